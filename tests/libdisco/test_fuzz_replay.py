"""The fuzz targets under an ordinary compiler: every seed keeps the invariant, and a core with a
fault in it does not.

The faults are one line each, put into a copy of the sources; the seeds alone must find them,
without any fuzzing.
"""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
from support.codecs_under_test import NAMES
from support.disco_programs import PATIENCE, ROOT, SANITIZE, compile_or_fail

pytestmark = pytest.mark.slow

FUZZ = ROOT / "fuzz"
TARGETS = [
    "pairs",
    "lists",
    "params",
    "lines",
    "chunking",
    "messages",
    "sequences",
    "allocation",
    "dealing",
    "sorting",
    "summing",
]

FAULTS = {
    "limit-off-by-one": (
        "pairs",
        "libdisco/inline.h",
        "if (size > max_item)",
        "if (size >= max_item)",
    ),
    "cut-item-accepted": (
        "pairs",
        "libdisco/inline.h",
        "if (n_bytes - *at - 4 < size)",
        "if (n_bytes - *at < size)",
    ),
    "num-pairs-passed-on": (
        "lists",
        "libdisco/wire.c",
        "kept != NULL && !is_count",
        "kept != NULL",
    ),
    "list-begins-at-its-end": (
        "lists",
        "libdisco/wire.c",
        "list_offset = walker->field_offset",
        "list_offset = walker->offset",
    ),
    "cut-size-forgotten": (
        "chunking",
        "libdisco/wire.c",
        "memcpy(walker->size + walker->had,",
        "memcpy(walker->size,",
    ),
    "closing-byte-behind-the-end": (
        "params",
        "libdisco/params.c",
        "size >= total - *at",
        "size > total - *at",
    ),
    "pair-written-without-room": (
        "pairs",
        "libdisco/wire.c",
        "    if (room < *n_bytes)\n        return DISCO_NO_ROOM;\n    put_item",
        "    put_item",
    ),
    "number-written-backwards": (
        "params",
        "libdisco/params.c",
        "digits[--n_digits]",
        "*digits, n_digits--",
    ),
    "line-cut-too-late": (
        "lines",
        "libdisco/messages.c",
        "n_text < DISCO_MAX_LINE ? n_text :",
        "n_text + 0 * ",
    ),
    "space-of-the-text-dropped": (
        "lines",
        "libdisco/messages.c",
        "line[n_tag] == ' ')\n        n_tag++",
        "1)\n        n_tag++",
    ),
    "eleven-digits": ("params", "libdisco/params.c", "MAX_DIGITS = 10", "MAX_DIGITS = 11"),
    "interrupted-write-given-up": (
        "messages",
        "libdisco/report.c",
        "n_written == 0 || errno != EINTR",
        "1",
    ),
    "cut-message-silent": ("messages", "libdisco/report.c", "&& long_text == NULL)", "&& 0)"),
    "answer-held-back": (
        "sequences",
        "libdisco/stream.c",
        "n_pending > 0 && poll",
        "n_pending > 99999 && poll",
    ),
    "answer-held-back-again": (
        "sequences",
        "libdisco/stream.c",
        "if (flush(stream) != DISCO_OK) /* it was ready",
        "if (0) /* it was ready",
    ),
    "missing-pairs-at-exit-unseen": (
        "sequences",
        "libdisco/stream.c",
        "if (stream->pairs_left > 0)",
        "if (stream->pairs_left > 9)",
    ),
    "entry-not-ended": ("sequences", "libdisco/entry.c", "    entry->data[n_bytes] = '\\0';\n", ""),
    "no-memory-unseen": ("allocation", "libdisco/entry.c", "if (block == NULL)", "if (0)"),
    "no-memory-not-said": (
        "allocation",
        "libdisco/stream.c",
        "out of memory: %u bytes",
        "cannot go on: %u bytes",
    ),
    "list-end-unseen": (
        "dealing",
        "native/dealer.c",
        "            walker.n_lists++;\n",
        "",
    ),
    "buffer-overrun": (
        "dealing",
        "native/dealer.c",
        "size + MARGIN > dealer->capacity - used",
        "size > dealer->capacity - used",
    ),
    "key-partly-moved-forgotten": (
        "dealing",
        "native/dealer.c",
        "if (dealer->n_key_moved < dealer->n_key)",
        "if (0)",
    ),
    "partition-of-the-size-too": (
        "dealing",
        "native/dealer.c",
        "dealer->key + 4, dealer->n_key - 4",
        "dealer->key, dealer->n_key",
    ),
    "head-of-a-long-key-forgotten": (
        "dealing",
        "native/dealer.c",
        "kvproto_get_u64(key + n_head) ^ (uint32_t)~crc",
        "kvproto_get_u64(key + n_head)",
    ),
    "checksum-by-lanes": (
        "dealing",
        "native/crc.c",
        "for (int lane = 1; lane < N_LANES; lane++)",
        "for (int lane = 2; lane < N_LANES; lane++)",
    ),
    "long-keys-by-their-beginning": (
        "sorting",
        "native/sort_order.c",
        "if (length > 1 && refs[index].rest == LONGER)",
        "if (length > 1 && refs[index].rest > LONGER)",
    ),
    "equal-keys-not-stable": (
        "sorting",
        "native/sort_order.c",
        "order[next[sorter->group_of[pair]]++]",
        "order[next[sorter->group_of[n_pairs - 1 - pair]]++]",
    ),
    "escape-not-undone": (
        "sorting",
        "native/records.c",
        "*data >= ESCAPED && *data < 2 * ESCAPED",
        "*data >= ESCAPED",
    ),
    "overflow-unseen": (
        "summing",
        "native/frame_sums.c",
        "__builtin_add_overflow(sum->sum, step->number, &total)",
        "(total = (int64_t)((uint64_t)sum->sum + (uint64_t)step->number), 0)",
    ),
    "zeros-before-a-number": (
        "summing",
        "native/frame_sums.c",
        "(*digit == '0' && value->n_bytes > 1)",
        "0",
    ),
    "digits-to-another-base": (
        "summing",
        "native/frame_sums.c",
        "sum = 10 * sum + one",
        "sum = 8 * sum + one",
    ),
    "typed-int-of-4-bytes": (
        "summing",
        "native/frame_sums.c",
        "(uint32_t)((uint64_t)sum >> 32)",
        "0",
    ),
    "table-without-memory-unseen": (
        "summing",
        "native/frame_sums.c",
        "    if (sums == NULL)\n        return -1;\n",
        "",
    ),
}
"""Name -> (target, file, what stands in it, what stands in its place)."""


def replay(target: str, csrc: Path, directory: Path, *flags: str) -> subprocess.CompletedProcess:
    """Build a target over the sources in `csrc` and feed it its seeds."""
    binary = directory / target
    core, native = csrc / "libdisco", csrc / "native"
    core_sources = [core / f"{name}.c" for name in ("messages", "params", "wire")]
    sources = [FUZZ / f"{target}.c", FUZZ / "replay.c", *core_sources]
    warnings = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-O0", *flags]
    compile_or_fail(
        [
            "gcc",
            *warnings,
            f"-I{ROOT / 'include'}",
            f"-I{core}",
            f"-I{native}",
            *sources,
            "-o",
            binary,
        ]
    )
    return subprocess.run(
        [binary, FUZZ / "seeds" / target],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_keeps_the_invariant(target, tmp_path):
    done = replay(target, ROOT / "csrc", tmp_path, *SANITIZE)
    n_seeds = len(list((FUZZ / "seeds" / target).iterdir()))
    assert (done.returncode, done.stdout) == (0, f"{n_seeds} inputs\n"), done.stderr


@pytest.mark.parametrize("name", FAULTS)
def test_a_core_with_a_fault_breaks_the_invariant(name, tmp_path):
    target, file, there, instead = FAULTS[name]
    csrc = tmp_path / "csrc"
    shutil.copytree(ROOT / "csrc", csrc)
    path = csrc / file
    text = path.read_text(encoding="utf-8")
    assert text.count(there) == 1, (
        "the line that the fault was in has changed: put the fault where it now stands"
    )
    path.write_text(text.replace(there, instead), encoding="utf-8")
    done = replay(target, csrc, tmp_path, "-Wno-error")
    assert done.returncode != 0, "no seed sees it"
    assert "broken: " in done.stderr or done.returncode < 0, done.stderr


def module(name: str):
    """A Python file of fuzz/."""
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", FUZZ / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_seeds_are_those_that_the_vectors_and_scripts_make():
    stored = {
        str(path.relative_to(FUZZ / "seeds")): path.read_bytes() for path in FUZZ.glob("seeds/*/*")
    }
    made = module("seeds").seeds()
    assert {name: data for name, data in stored.items() if "/found-" not in name} == made


@pytest.mark.skipif(NAMES == ["reference"], reason="KVPROTO_PURE asks for the reference alone")
@pytest.mark.parametrize(
    "target", ["streams_agree", "parameter_sets_agree", "encoders_agree", "primitives_agree"]
)
def test_codecs_agree_on_what_is_drawn(target):
    differential = module("differential")
    differential.run(getattr(differential, target), 0, 200)
