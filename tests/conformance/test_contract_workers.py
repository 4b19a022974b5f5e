"""The contract workers: each follows every clause of the contract, in both modes, as a real
process.
"""

import array
import fcntl
import os
import re
import select
import subprocess
import termios
from pathlib import Path

import pytest
from support.languages import LANGUAGES, missing, opens_null, program
from support.shared import shared_base

from kvproto import ExternalProgram, encode_list, encode_pairs, encode_params, errors

pytestmark = pytest.mark.slow

WATCHDOG = 60  # seconds: only for a worker that is at fault
MODES = ("map", "reduce")
PAIRS = [(b"key", b"value"), (b"", b""), (b"\x01\0\0\0", b"\n\0\r\n \xff"), (b"k", b"")]
FAST = (
    "c",
    "python",
)  # one compiled and one interpreted: the languages whose workers get a million pairs
TOO_MUCH = 1 << 26  # bytes of memory that nobody needs for what is sent here


@pytest.fixture(scope="session", params=LANGUAGES)
def worker(request, tmp_path_factory):
    """The worker of each language, as the list of files that ExternalProgram takes."""
    if lacking := missing(request.param):
        pytest.skip(f"no {', '.join(lacking)} on this machine")
    return program(request.param, shared_base(tmp_path_factory))


def run(worker, *arguments, stdin=b"", stdout=subprocess.PIPE):
    """One run of a worker: (status, stdout). Its stderr must be tagged and ended, with an ERR only
    if it failed.
    """
    command = [worker[0], *arguments]
    done = subprocess.run(
        command, input=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=WATCHDOG, check=False
    )
    judge(done.returncode, done.stderr)
    return done.returncode, done.stdout


def spawn(worker, mode, **options):
    return subprocess.Popen(
        [worker[0], mode],
        **{
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "bufsize": 0,
            **options,
        },
    )


def judge(status, stderr):
    assert re.fullmatch(rb"(\*\*<(MSG|ERR)> [^\n]*\n)*", stderr), stderr
    assert (status, b"**<ERR>" in stderr) in ((0, False), (1, True)), stderr


# --- what it does ---------------------------------------------------------------------------------

SETTINGS = {"z": " b ", "do": "params", "": "\n0 ", "Z": "", "é": b"\0\xff", "za": "1 a 1 b\n"}
LISTED = sorted(
    (k.encode(), v if isinstance(v, bytes) else v.encode()) for k, v in SETTINGS.items()
)

FILE = (b"a b.bin", b"\0\n\xff")

DOES = {
    "CONTRACT-2: no do": ({"n": "x"}, [[p] for p in PAIRS], PAIRS),
    "CONTRACT-5: echo": ({"do": "echo"}, [[p] for p in PAIRS], PAIRS),
    "CONTRACT-6: fan 0": ({"do": "fan", "n": "0"}, [[] for _ in PAIRS], []),
    "CONTRACT-6: fan 3": (
        {"n": "0003", "do": "fan"},
        [[p] * 3 for p in PAIRS],
        [p for p in PAIRS for _ in range(3)],
    ),
    "CONTRACT-7: sink": ({"do": "sink"}, [[] for _ in PAIRS], []),
    "CONTRACT-8: params": (SETTINGS, [LISTED for _ in PAIRS], LISTED),
    "CONTRACT-9: say": ({"do": "say", "text": "é"}, [[p] for p in PAIRS], PAIRS),
    "CONTRACT-10: err never": ({"do": "err", "text": "t", "at": "4"}, [[p] for p in PAIRS], PAIRS),
    "CONTRACT-11: file": (
        {"do": "file", "name": "a b.bin"},
        [[FILE] for _ in PAIRS],
        [FILE for _ in PAIRS],
    ),
    "CONTRACT-12: hold": ({"do": "hold"}, [[p] for p in PAIRS], PAIRS),
}


@pytest.mark.parametrize("clause", DOES)
def test_a_worker_does_what_a_clause_says(worker, clause, tmp_path):
    params, lists, reduced = DOES[clause]
    beside = tmp_path / "a b.bin"
    beside.write_bytes(FILE[1])
    told = []
    with ExternalProgram([*worker, beside], params=params, on_message=told.append) as external:
        assert list(external.map(PAIRS)) == lists
        assert list(external.reduce(PAIRS)) == reduced
        assert list(external.map([])) == []
        assert list(external.reduce([])) == (LISTED if "params" in clause else [])
    said = ["é 0", "é 1", "é 2", "é 3"] * 2 if "say" in clause else []
    assert [(str(m.kind), bytes(m.text).decode()) for m in told] == [("MSG", text) for text in said]


def test_the_lists_of_a_reduce_are_as_the_contract_says(worker):
    pairs = encode_pairs(PAIRS)
    hold, listed = encode_params({"do": "hold"}), encode_params(SETTINGS)
    assert run(worker, "reduce", stdin=b"0\n" + pairs) == (
        0,
        b"".join(encode_list([p]) for p in PAIRS),
    )
    assert run(worker, "reduce", stdin=hold + pairs) == (0, encode_list(PAIRS))
    assert run(worker, "reduce", stdin=hold) == (0, encode_list([]))
    assert run(worker, "reduce", stdin=listed + pairs) == (0, encode_list(LISTED))
    assert run(worker, "reduce", stdin=encode_params({"do": "sink"}) + pairs) == (0, b"")


def test_of_two_parameters_with_one_name_the_last_counts(worker):
    entries = b"1 a 1 1\n2 do 6 params\n1 a 1 2\n1 a 0 \n"
    stdin = b"%d\n" % len(entries) + entries + encode_pairs(PAIRS[:1])
    assert run(worker, "own argument", "map", stdin=stdin) == (
        0,
        encode_list([(b"a", b""), (b"do", b"params")]),
    )


@pytest.mark.parametrize("mode", MODES)
def test_err_ends_the_job_at_its_pair_behind_the_answers_before(worker, mode):
    stdin = encode_params({"do": "err", "text": "so\nend", "at": "2"}) + encode_pairs(PAIRS)
    with (
        ExternalProgram(worker, params={"do": "err", "text": "so it ends", "at": "2"}) as external,
        pytest.raises(errors.WorkerError, match="so it ends"),
    ):
        list(getattr(external, mode)(PAIRS))
    done = subprocess.run(
        [worker[0], mode], input=stdin, capture_output=True, timeout=WATCHDOG, check=False
    )
    answers = b"".join(encode_list([pair]) for pair in PAIRS[:2])
    assert (done.returncode, done.stderr, done.stdout) == (1, b"**<ERR> so\n**<ERR> end\n", answers)


# --- what it refuses ------------------------------------------------------------------------------


def setting(**params):
    return encode_params(params) + encode_pairs(PAIRS)


REFUSED = {
    "do unknown": setting(do="nothing of this"),
    "do empty": setting(do=""),
    "n missing": setting(do="fan"),
    "n empty": setting(do="fan", n=""),
    "n signed": setting(do="fan", n="+1"),
    "n with a space": setting(do="fan", n=" 1"),
    "n of 11 digits": setting(do="fan", n="00000000001"),
    "n over 32 bits": setting(do="fan", n="4294967296"),
    "n with a newline": setting(do="fan", n="1\n"),
    "at missing": setting(do="err", text="t"),
    "text missing": setting(do="say"),
    "name missing": setting(do="file"),
    "file not there": setting(do="file", name="not-there"),
    "file up": setting(do="file", name="../etc"),
    "file of a path": setting(do="file", name="/etc/passwd"),
    "file empty": setting(do="file", name=""),
    "file dot": setting(do="file", name="."),
    "total negative": b"-1\n",
    "total without digits": b"\n" + encode_pairs(PAIRS),
    "total in a carriage return": b"0\r\n",
    "total of 11 digits": b"00000000000\n",
    "total over the limit": b"1073741825\n" + bytes(100),
    "entry over the total": b"7\n1 a 1 b\n" + encode_pairs(PAIRS),
    "total over the entry": b"9\n1 a 1 b\n" + encode_pairs(PAIRS),
    "two spaces": b"9\n1  a 1 b\n",
    "no space behind the name": b"8\n1 ab1 b\n",
    "no newline behind the value": b"8\n1 a 1 bc",
    "name over the set": b"8\n9 a 1 b\n",
    "key over the limit": b"0\n\x01\0\0\x40" + bytes(100),
    "value over the limit": b"0\n\0\0\0\0\xff\xff\xff\xff" + bytes(100),
}


def all_refused(worker, cases):
    """Each of many inputs ends in an ERR; four processes at a time, because some take long to
    start.
    """
    names = list(cases)
    outputs = {}
    for first in range(0, len(names), 4):
        started = {name: spawn(worker, MODES[first // 4 % 2]) for name in names[first : first + 4]}
        for name, process in started.items():
            stdout, stderr = process.communicate(cases[name], timeout=WATCHDOG)
            judge(process.returncode, stderr)
            assert process.returncode == 1, f"{name}: exit status {process.returncode}"
            outputs[name] = stdout
    return outputs


def test_what_is_malformed_is_an_error_before_any_output(worker):
    assert set(all_refused(worker, REFUSED).values()) == {b""}


CUT = encode_params({"do": "hold"}) + encode_pairs([(b"k", b"vv")])
BETWEEN = len(encode_params({"do": "hold"}))


def test_input_that_is_cut_anywhere_but_between_pairs_is_an_error(worker):
    cuts = {f"cut at {at}": CUT[:at] for at in range(len(CUT)) if at != BETWEEN}
    assert set(all_refused(worker, cuts).values()) == {b""}
    assert run(worker, "map", stdin=CUT[:BETWEEN]) == (0, b"")


@pytest.mark.parametrize("arguments", [(), ("",), ("mapp",), ("map", "maps"), ("reduce", "Map")])
def test_a_mode_that_is_none_is_an_error(worker, arguments):
    assert run(worker, *arguments, stdin=b"0\n" + encode_pairs(PAIRS)) == (1, b"")


# --- how it does it -------------------------------------------------------------------------------


def read_within_watchdog(process, n_bytes):
    """Bytes of its stdout, which are due now."""
    data = b""
    while len(data) < n_bytes:
        ready, _, _ = select.select([process.stdout], [], [], WATCHDOG)
        assert ready, f"no answer: {len(data)} bytes of {n_bytes}"
        piece = os.read(process.stdout.fileno(), n_bytes - len(data))
        assert piece, process.stderr.read()
        data += piece
    return data


def end(process):
    stdout, stderr = process.communicate(timeout=WATCHDOG)
    judge(process.returncode, stderr)
    return process.returncode, stdout


def test_each_pair_is_answered_before_the_rest_of_the_next_one_comes(worker):
    pair, answer = encode_pairs(PAIRS[:1]), encode_list(PAIRS[:1])
    with spawn(worker, "map") as process:
        process.stdin.write(b"0\n")
        begun = 0
        for ahead in range(len(pair)):
            process.stdin.write(pair[begun:] + pair[:ahead])
            assert read_within_watchdog(process, len(answer)) == answer
            begun = ahead
        process.stdin.write(pair[begun:])
        assert end(process) == (0, answer)


def test_a_reduce_answers_at_once_as_well(worker):
    with spawn(worker, "reduce") as process:
        process.stdin.write(setting(do="fan", n="2")[:-3])
        expected = b"".join(encode_list([pair] * 2) for pair in PAIRS[:-1])
        assert read_within_watchdog(process, len(expected)) == expected
        process.stdin.close()
        assert process.wait(WATCHDOG) == 1


def test_input_that_comes_byte_by_byte_is_taken(worker):
    with spawn(worker, "map") as process:
        for byte in setting(do="echo"):
            process.stdin.write(bytes([byte]))
        assert end(process) == (0, b"".join(encode_list([pair]) for pair in PAIRS))


@pytest.mark.parametrize("start", [b"1073741825\n", b"0\n\x01\0\0\x40"], ids=["set", "item"])
def test_a_size_over_the_limit_is_refused_while_input_is_still_open(worker, start):
    with spawn(worker, "map") as process:
        process.stdin.write(start)
        status = process.wait(WATCHDOG)
        judge(status, process.stderr.read())
        assert status == 1


@pytest.mark.parametrize("mode", MODES)
def test_sizes_and_byte_values_pass_unchanged(worker, mode):
    every = bytes(range(256))
    sizes = [0, 1, 255, 256, 65535, 65536, 1 << 20]
    pairs = [
        (every * (size // 256) + every[: size % 256], bytes(n)) for size in sizes for n in (size, 3)
    ]
    with ExternalProgram(worker) as external:
        expected = [[pair] for pair in pairs] if mode == "map" else pairs
        assert list(getattr(external, mode)(pairs)) == expected


@pytest.mark.parametrize("stdout", ["full", "closed", "without a reader"])
@pytest.mark.parametrize("n", [1, 4000], ids=["at the end", "midway"])
def test_output_that_cannot_be_written_is_an_error(worker, stdout, n):
    stdin = b"0\n" + encode_pairs([(b"key", b"v" * 1000)] * n)
    if stdout == "closed":
        shell = ["/bin/sh", "-c", 'exec "$0" map >&-', worker[0]]
        done = subprocess.run(
            shell, input=stdin, stderr=subprocess.PIPE, timeout=WATCHDOG, check=False
        )
        judge(done.returncode, done.stderr)
        # Some run-times open /dev/null in place of a closed stdout: nothing fails then.
        assert done.returncode == (0 if opens_null(worker[0]) else 1)
    elif stdout == "full":
        with open("/dev/full", "wb") as full:
            assert run(worker, "map", stdin=stdin, stdout=full) == (1, None)
    else:
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "wb") as broken:
            assert run(worker, "map", stdin=stdin, stdout=broken) == (1, None)


def memory(process):
    """Bytes that a process has asked for, and has touched, at most."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return [
        int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) * 1024 for field in ("VmPeak", "VmHWM")
    ]


def send_and_see_it_read(process, data):
    """Write, and come back when the worker has read it all."""
    process.stdin.write(data)
    left = array.array("i", [1])
    while left[0]:
        assert process.poll() is None, process.stderr.read()
        fcntl.ioctl(process.stdin, termios.FIONREAD, left)


def test_an_announced_size_is_not_allocated(worker):
    announced = {
        "item": b"0\n\xff\xff\xff\x3f",
        "set": b"1000000000\n",
        "name": b"1000000000\n999999990 ",
    }
    for data in announced.values():
        with spawn(worker, "map") as process:
            send_and_see_it_read(process, data[:1])
            send_and_see_it_read(process, data[1:2])
            before = memory(process)
            send_and_see_it_read(process, data[2:])
            send_and_see_it_read(
                process, bytes(4 << 20)
            )  # more than a first piece, and little of what was announced
            grown = [now - then for now, then in zip(memory(process), before, strict=True)]
            process.stdin.close()
            status, stderr = process.wait(WATCHDOG), process.stderr.read()
        judge(status, stderr)
        assert status == 1 and max(grown) < TOO_MUCH


@pytest.mark.parametrize("worker", FAST, indirect=True)
def test_memory_does_not_grow_with_the_pairs(worker, tmp_path):
    some, lists = 10_000, tmp_path / "lists"
    pairs = encode_pairs([(b"key", b"value")]) * some
    with open(lists, "wb") as stdout, spawn(worker, "map", stdout=stdout) as process:
        process.stdin.write(b"0\n")
        send_and_see_it_read(process, pairs)
        before = memory(process)
        for _ in range(1_000_000 // some - 1):
            process.stdin.write(pairs)
        send_and_see_it_read(
            process, b"\0"
        )  # a pair that is begun, so that all before have been answered
        grown = [now - then for now, then in zip(memory(process), before, strict=True)]
        process.stdin.close()
        judge(process.wait(WATCHDOG), process.stderr.read())
    assert lists.stat().st_size == 1_000_000 * len(encode_list([(b"key", b"value")]))
    assert max(grown) < 4 << 20
