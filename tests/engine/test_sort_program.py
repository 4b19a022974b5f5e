"""What the sort leaves, how it fails, and the memory that it uses."""

import os
import subprocess
import sys
from itertools import islice
from multiprocessing.connection import wait

import pytest
from support.sorting import by_sort

from kvproto.engine.sort import check_buffer_size, sort_pairs
from kvproto.errors import DataError, JobError

pytestmark = pytest.mark.slow


@pytest.fixture
def room(tmp_path):
    directory = tmp_path / "room"
    directory.mkdir()
    return directory


# --- nothing is left -----------------------------------------------------------------------------


KEYS = {"text": "%d".__mod__, "bytes": b"%d".__mod__, "int": int}


def of_any_length(key):
    for number in range(1_000_000):
        yield [(key(number), "v" * 100) for _ in range(1000)]


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_nothing_is_left_when_the_source_fails(room, key):
    def broken():
        source = of_any_length(key)
        for _ in range(30):
            yield next(source)
        assert key is int or os.listdir(room)
        raise KeyError("the source failed")

    with pytest.raises(KeyError, match="the source failed"):
        list(sort_pairs(broken(), "1M", str(room)))
    assert os.listdir(room) == []


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_nothing_is_left_when_it_is_closed_early(room, key):
    done = sort_pairs(islice(of_any_length(key), 30), "1M", str(room))
    assert next(done)
    assert key is int or os.listdir(room)
    done.close()
    assert os.listdir(room) == []
    assert (
        subprocess.run(["pgrep", "-f", str(room)], capture_output=True, check=False).stdout == b""
    )


IN_THE_MIDDLE = """
import os, signal, sys
from kvproto.engine.sort import sort_pairs
def batches():
    for number in range(100):
        yield [("%d" % number, "v" * 100)] * 1000
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        print(children.read(), flush=True)
    signal.pause()
next(sort_pairs(batches(), "1M", sys.argv[1]))
"""


def test_the_program_and_its_files_are_gone_when_the_process_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-P", "-c", IN_THE_MIDDLE, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        supervisor = os.pidfd_open(int(process.stdout.readline()))
        assert os.listdir(tmp_path)
        process.kill()
    assert wait([supervisor], timeout=30)
    os.close(supervisor)
    assert os.listdir(tmp_path) == []
    assert (
        subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, check=False).stdout
        == b""
    )


# --- failures of the program and of the disk -----------------------------------------------------


def test_without_the_program_it_is_named_and_no_other_try_is_made(room, monkeypatch):
    monkeypatch.setenv("PATH", str(room))
    with pytest.raises(JobError, match="there is no program `sort` on the PATH"):
        by_sort([("a", 1)] * 100_000, room, size=1000)
    assert os.listdir(room) == []


def stand_in(directory, monkeypatch, script):
    """Another program of the name."""
    (directory / "sort").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "sort").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    "script, says",
    [
        ("kill -9 $$", "the program `sort` failed: killed by SIGKILL; its stderr: empty"),
        (
            "cat > /dev/null; echo it is broken >&2; exit 2",
            "the program `sort` failed: exit status 2; its stderr: it is broken",
        ),
        (
            "xargs -0 cat | head -c -1",
            "the program `sort` failed: its output ends inside a record",
        ),
        (
            "xargs -0 cat | head -z -n 5",
            "the program `sort` got 100000 records and returned 5",
        ),
        ("cat > /dev/null", "the program `sort` got 100000 records and returned 0"),
        ("cat", "the program `sort` returned something other than records"),
    ],
)
def test_a_program_that_fails_or_loses_records_is_an_error_with_its_words(
    room, tmp_path, monkeypatch, script, says
):
    stand_in(tmp_path, monkeypatch, script)
    with pytest.raises(DataError, match=says):
        by_sort([("key", "value")] * 100_000, room, size=1000)
    assert os.listdir(room) == []


ON_A_SMALL_DISK = """
import os, sys
from kvproto.engine.sort import sort_pairs
from kvproto.storage.typed_records import pairs_in
key = {"text": str, "int": int}[sys.argv[2]]
try:
    pairs = ([(key(number), f"{other:100}") for other in range(1000)] for number in range(300))
    list(sort_pairs(pairs, "1M", sys.argv[1]))
except Exception as e:
    print(type(e).__name__, e)
print(os.listdir(sys.argv[1]))
"""


@pytest.mark.parametrize("key", ["text", "int"])
def test_a_full_disk_is_an_error_that_no_other_try_mends_and_says_what_to_do(tmp_path, key):
    shell = 'mount -t tmpfs -o size=4m tmpfs "$1" || exit 77; exec "$2" -P -c "$3" "$1" "$4"'
    argv = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        shell,
        "sh",
        str(tmp_path),
        sys.executable,
        ON_A_SMALL_DISK,
        key,
    ]
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, "KVPROTO_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare to make a small disk with")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be made here: {done.stderr}")
    assert done.stdout.startswith("JobError ") and done.stdout.endswith("\n[]\n")
    assert (
        "No space left on device" in done.stdout
        and str(tmp_path) in done.stdout
        and "KVPROTO_HOME" in done.stdout
    )


def test_a_directory_that_is_not_there_is_named(tmp_path):
    for key in ("a", 1):
        with pytest.raises(DataError, match=f"{tmp_path}/nowhere"):
            list(
                sort_pairs(
                    ([(key, number)] * 1000 for number in range(100)),
                    "1M",
                    str(tmp_path / "nowhere"),
                )
            )


# --- memory --------------------------------------------------------------------------------------


MEASURED = """
import re, resource, sys
from kvproto.engine.sort import sort_pairs
from kvproto.storage.typed_records import pairs_in
key = {
    "text": "%08d".__mod__,
    "bytes": b"%08d".__mod__,
    "int": int,
    "tuple": lambda number: (number, "x"),
}[sys.argv[2]]
N = 1_000_000
def peak():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1]) >> 10
def batches():
    for first in range(0, N, 1000):
        yield [(key(number * 7919 % N), b"v" * 80) for number in range(first, first + 1000)]
before = peak()
n, last = 0, None
for batch in map(pairs_in, sort_pairs(batches(), "8M", sys.argv[1])):
    assert last is None or last < batch[0][0]
    last = batch[-1][0]
    n += len(batch)
assert n == N
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
print(peak() - before, max(children - peak(), 0))  # the start of a child counts as this process
"""


@pytest.mark.parametrize("key", ["text", "bytes", "int", "tuple"])
def test_ten_times_more_data_than_the_buffer_is_sorted_within_its_memory(tmp_path, key):
    """96 MB of records, more as objects, with a buffer of 8 MiB: this process stays within twice
    that, and the program takes no more than this process.
    """
    argv = [sys.executable, "-P", "-c", MEASURED, str(tmp_path), key]
    here, program = map(
        int, subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    )
    assert here <= 16 and program == 0, f"MiB: {here} here, {program} more in the program"
    assert os.listdir(tmp_path) == []


# --- the buffer's size ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["10%", "64M", "1G", "512K", "100b", "5", "1k", "1t", "0", "1P", "1E", "200%"]
)
def test_a_size_that_sort_takes_is_taken(room, text):
    check_buffer_size(text)
    assert by_sort([("b", 1), ("a", 2)], room, text) == [("a", 2), ("b", 1)]
    assert by_sort([(2, 1), (1, 2)], room, text) == [(1, 2), (2, 1)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M",
        "%",
        "-5",
        "+5",
        " 5",
        "5 ",
        "64MB",
        "1.5G",
        "10%%",
        "1p",
        "1Z",
        "9" * 30,
        "9999E",
        "\u0663",
        64,
        None,
        b"1M",
    ],
)
def test_a_size_that_sort_would_not_take_is_a_value_error_that_says_what_it_takes(text):
    with pytest.raises(
        ValueError, match=r"sort_buffer_size must be a str that `sort -S` accepts.*'10%'.*'64M'"
    ):
        check_buffer_size(text)
