"""libdisco when memory or the disk runs out. The law: never exit 0 with output that differs from
the fault-free run's.

Faults are injected at every allocation and at every write (faults.c), and made by the system
itself: a full device, a file that may not grow, a closed pipe, a closed descriptor.
"""

import errno
import os
import subprocess

import pytest
from support.disco_programs import Build, run

from kvproto import encode_list, encode_pair, encode_pairs, encode_params

pytestmark = pytest.mark.slow

WORK = [
    "params",
    "get:name",
    "echo",
    "copies:abc",
    "allocate:5",
    "msg-long:5000",
    "prefix:1",
    "pair:a=b",
]
INPUT = encode_params({str(n): "value" for n in range(20)} | {"name": "x"}) + encode_pairs(
    [("", "short"), ("key" * 50, "v" * 500), ("l", "x" * 300_000), ("", ""), ("m", "y" * 300_000)]
)


@pytest.fixture(scope="session", params=["plain", "sanitized"])
def script(request, tmp_path_factory):
    return Build.of_kind(request.param, tmp_path_factory).program("script")


@pytest.fixture(scope="session", params=["plain", "sanitized", "musl", "portable"])
def any_script(request, tmp_path_factory):
    """For faults of the system's own making, which reach the writes of every C library."""
    return Build.of_kind(request.param, tmp_path_factory).program("script")


def lawful(result, fault_free):
    """Exit 0 with the fault-free output, or not exit 0, by die()."""
    if result.status == 0:
        return result.stdout == fault_free.stdout
    return result.status == 1 and len(result.errors) == 1


@pytest.mark.documented("13 dxmalloc(): allocates that many bytes, or calls die()")
@pytest.mark.clause("LIFECYCLE-3")
@pytest.mark.parametrize("fault", ["FAIL_ALLOCATION", "FAIL_ALLOCATION_ONCE"])
def test_memory_that_runs_out_at_any_allocation_is_an_error(script, fault):
    no_leak_check = {"ASAN_OPTIONS": "detect_leaks=0"}
    fault_free = run(script, *WORK, stdin=INPUT)
    assert fault_free.status == 0
    n, n_dead = 0, 0
    while True:
        n += 1
        result = run(script, *WORK, stdin=INPUT, faults={fault: n, **no_leak_check})
        if result == fault_free:
            break
        assert lawful(result, fault_free), (n, result)
        if result.status == 0:
            assert result.messages[-1] == "[the rest of this message is cut: out of memory]"
        else:
            assert "out of memory" in result.errors[0]
            n_dead += 1
    assert n_dead > 40 and n > n_dead + 1


ERRORS = ["ENOSPC", "EPIPE", "EIO", "EFBIG", "EBADF", "EINTR", "EAGAIN"]
WAYS = [[], ["unbuffered"], ["line-buffered"]]


@pytest.mark.clause("LIFECYCLE-3")
@pytest.mark.parametrize("way", WAYS, ids=["buffered", "unbuffered", "line-buffered"])
@pytest.mark.parametrize("name", ERRORS)
def test_write_that_fails_anywhere_is_an_error_unless_it_can_be_repeated(
    script, tmp_path, name, way
):
    arguments = [*way, *WORK]
    path = tmp_path / "input"
    path.write_bytes(INPUT)  # a file, which never blocks: the number of writes is always the same
    fault_free = run(script, *arguments, stdin=INPUT)
    assert fault_free.status == 0
    n = 0
    while True:
        n += 1
        with open(path, "rb") as file:
            result = run(
                script,
                *arguments,
                stdin=file,
                faults={"FAIL_WRITE": n, "FAIL_WITH": getattr(errno, name)},
            )
        if name in ("EINTR", "EAGAIN"):
            assert result == fault_free
            if n == 5:
                break
        elif result == fault_free:
            break
        else:
            assert lawful(result, fault_free) and result.status == 1, (n, result)
            reason = os.strerror(getattr(errno, name))
            assert result.errors == [
                f"cannot write to stdout: {reason}; do not use what was written"
            ]
    assert n > 4, "the program writes too seldom to show anything"


@pytest.mark.parametrize("most", [1, 7, 5000])
def test_short_writes_are_continued(script, most):
    stdin = INPUT if most > 1 else encode_params({"name": "x"}) + encode_pair("k", "v" * 100)
    fault_free = run(script, *WORK, stdin=stdin)
    assert run(script, *WORK, stdin=stdin, faults={"SHORT_WRITES": most}) == fault_free


def test_bytes_that_arrived_before_a_write_failed_are_not_written_again(script):
    """exit() flushes what stdio still holds: that must not be what is out already."""
    faults = {"SHORT_WRITES": 7, "FAIL_WRITE": 2, "FAIL_WITH": errno.EIO}
    long = ("", "x" * 300_000)  # too long for the buffer: its beginnings are written before exit
    result = run(script, "echo", stdin=encode_pair(*long), faults=faults)
    assert (result.status, result.stdout) == (1, encode_list([long])[:7])


SMALL = encode_params({"name": "x"}) + encode_pairs([("k", "v"), ("", "")])


@pytest.mark.clause("LIFECYCLE-3")
@pytest.mark.parametrize("way", WAYS, ids=["buffered", "unbuffered", "line-buffered"])
def test_disk_that_is_full_at_any_byte_is_an_error(any_script, tmp_path, way):
    arguments = [*way, "params", "echo", "prefix:1", "pair:a=b"]
    whole = run(any_script, *arguments, stdin=SMALL).stdout
    assert len(whole) == 40
    for n_bytes in range(len(whole) + 1):
        path = tmp_path / "output"
        with open(path, "wb") as file:
            result = run(any_script, f"file-size:{n_bytes}", *arguments, stdin=SMALL, stdout=file)
        assert path.read_bytes() == whole[:n_bytes]
        assert result.status == (0 if n_bytes == len(whole) else 1), (n_bytes, result)


@pytest.mark.clause("LIFECYCLE-3")
@pytest.mark.parametrize(
    "arguments", [["prefix:0"], ["prefix:0", "exit:0"], ["echo"], ["print:own text", "prefix:0"]]
)
def test_full_device_is_an_error(any_script, arguments):
    with open("/dev/full", "wb") as full:
        result = run(any_script, *arguments, stdin=encode_pair("k", "v"), stdout=full)
    assert result.status == 1
    assert result.errors == [
        "cannot write to stdout: No space left on device; do not use what was written"
    ]


def test_write_of_its_own_that_failed_is_an_error_too(any_script):
    """The program's own fflush() has failed, nobody looked, and stdio has thrown the bytes away."""
    with open("/dev/full", "wb") as full:
        result = run(any_script, "prefix:0", "fflush", stdout=full)
    assert result.status == 1
    assert result.errors == ["an earlier write to stdout failed; do not use what was written"]


@pytest.mark.parametrize("input_bytes", [10, 1_000_000])
def test_closed_stdout_is_an_error(any_script, input_bytes):
    stdin = encode_pair("k", "v" * input_bytes)
    result = run(["sh", "-c", '"$0" echo >&-', *any_script], stdin=stdin)
    assert (result.status, len(result.errors)) == (1, 1)


@pytest.mark.parametrize("ignored", [True, False])
def test_closed_pipe_is_never_success(any_script, ignored):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe:
        result = run(
            any_script,
            "echo",
            stdin=encode_pair("k", "v"),
            stdout=pipe,
            restore_signals=not ignored,
        )
    if ignored:
        assert result.status == 1 and result.errors[0].startswith(
            "cannot write to stdout: Broken pipe"
        )
    else:
        assert result.status == -13


def test_die_ends_with_status_1_when_stderr_is_gone(any_script):
    assert run(["sh", "-c", '"$0" die:x 2>&-', *any_script]).status == 1
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*any_script, "die:x"], stdin=subprocess.DEVNULL, stderr=full, check=False
        )
    assert done.returncode == 1


def test_die_ends_with_status_1_when_stdout_is_gone_too(any_script):
    with open("/dev/full", "wb") as full:
        result = run(any_script, "prefix:1", "die:first", stdout=full)
    assert (result.status, result.errors) == (1, ["first"])
