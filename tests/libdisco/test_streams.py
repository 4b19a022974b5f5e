"""libdisco's streams: several in one program, in threads, and their errors as statuses."""

import contextlib
import os
import subprocess
import threading

import pytest
from support.disco_programs import PATIENCE, Build

from kvproto import encode_list, encode_pair, encode_pairs, encode_params

pytestmark = pytest.mark.slow

OK, MORE, TOO_LARGE, BAD_NUMBER, END, MISUSE, IO, NO_MEMORY = 0, 1, 2, 3, 7, 8, 9, 10
PAIRS = [(b"%d" % n, b"v" * (n * 7 % 300)) for n in range(20_000)] + [(b"", b"x" * 300_000)]


@pytest.fixture(scope="session", params=["plain", "sanitized", "portable", "threads"])
def streams(request, tmp_path_factory):
    """The program, also under the sanitizers: `threads` is ThreadSanitizer."""
    return Build.of_kind(request.param, tmp_path_factory).program("streams", "-pthread")


class Ends:
    """Pipes to and from one stream of a program: `theirs` are the descriptors it is given."""

    def __init__(self) -> None:
        self.reading, self.output = os.pipe()
        self.input, self.writing = os.pipe()
        self.theirs = (self.input, self.output)

    def give(self) -> None:
        """Close the ends of the program, which has them now."""
        for end in self.theirs:
            os.close(end)

    def feed(self, data: bytes) -> None:
        with open(self.writing, "wb") as pipe:
            pipe.write(data)

    def read(self) -> bytes:
        with open(self.reading, "rb") as pipe:
            return pipe.read()


def start(
    command: list[str], mode: str, ends: list[Ends], *calls: str, fault: int = 0
) -> subprocess.Popen:
    descriptors = [end for each in ends for end in each.theirs]
    process = subprocess.Popen(
        [*command, mode, *map(str, descriptors), *calls],
        pass_fds=descriptors,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FAIL_ALLOCATION_ONCE": str(fault)},
    )
    for each in ends:
        each.give()
    return process


def finish(process: subprocess.Popen) -> list[str]:
    """The lines that it printed; nothing on stderr, where a sanitizer would complain."""
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stderr) == (0, "")
    return stdout.splitlines()


def calls(command: list[str], stdin: bytes, *words: str) -> tuple[list[str], bytes]:
    """What a stream says to each call, and what it wrote."""
    ends = Ends()
    process = start(command, "calls", [ends], *words)
    ends.feed(stdin)
    written = ends.read()
    return finish(process), written


def test_streams_in_threads_do_not_meet(streams):
    ends = [Ends(), Ends(), Ends()]
    inputs = [encode_pairs(PAIRS), encode_pairs(PAIRS[::-1]), encode_pairs(PAIRS)[:-1]]
    process = start(streams, "echo", ends)
    feeders = [
        threading.Thread(target=each.feed, args=[data])
        for each, data in zip(ends, inputs, strict=True)
    ]
    outputs: dict[int, bytes] = {}
    readers = [
        threading.Thread(target=lambda n=n, each=each: outputs.__setitem__(n, each.read()))
        for n, each in enumerate(ends)
    ]
    for thread in feeders + readers:
        thread.start()
    lines = finish(process)
    for thread in feeders + readers:
        thread.join()
    assert lines[:2] == [f"{END} ", f"{END} "]
    assert lines[2].startswith(f"{MORE} the stream ends inside the value at byte ")
    assert outputs[0] == b"".join(encode_list([pair]) for pair in PAIRS)
    assert outputs[1] == b"".join(encode_list([pair]) for pair in PAIRS[::-1])
    assert outputs[2] == b"".join(encode_list([pair]) for pair in PAIRS[:-1])


@pytest.mark.clause("MAP-4")
def test_a_stream_flushes_before_its_own_read_blocks(streams):
    ends = Ends()
    process = start(streams, "echo", [ends])
    for n in range(100):
        os.write(ends.writing, encode_pair("key", str(n)))
        due = encode_list([("key", str(n))])
        assert os.read(ends.reading, 1000) == due
    ends.feed(b"")
    assert finish(process) == [f"{END} "]
    assert ends.read() == b""


def test_what_a_stream_reads_and_writes(streams):
    stdin = encode_params({"a": "b"}) + encode_pairs([("k", "v"), ("", "")])
    words = ["params", "read", "read", "list:2", "pair:kv", "pair:k", "flush", "list:0", "read"]
    said, written = calls(streams, stdin, *words)
    assert said == [
        "a=b params 0 ",
        "k=v read 0 ",
        "= read 0 ",
        *(f"{word.partition(':')[0]} 0 " for word in words[3:8]),
        f"read {END} ",
        "close 0",
    ]
    assert written == encode_list([("k", "v"), ("k", "")]) + encode_list([])


def test_raw_parameters_of_a_stream(streams):
    said, _ = calls(streams, b"sep=;" + encode_pair("k", "v"), "raw:5", "read")
    assert said == ["sep=; raw 0 ", "k=v read 0 ", "close 0"]


FAULTS = [
    (encode_pair("k", "v")[:-1], ["read"], MORE, "the stream ends inside the value at byte 9"),
    (encode_pair("k", "vv"), ["max:1", "read"], TOO_LARGE, "disco_stream_set_max_item()"),
    (b"-1\n", ["params"], BAD_NUMBER, "must be 1 to 10 digits"),
    (b"8\n1 a 1 x", ["params"], MORE, "the stream ends inside the parameter set"),
    (b"8\n1 ab1 x\n", ["params"], 4, "must be followed by ' '"),
    (b"8\n1 a 2 x\n", ["params"], 5, "the parameter set ends inside the parameter value"),
    (b"abc", ["raw:4"], MORE, "the stream ends inside the raw parameters"),
    (b"", ["pair:kv"], MISUSE, "a pair more than the 0 that the list announced"),
    (b"", ["list:1", "pair:kv", "pair:kv"], MISUSE, "a pair more than the 1"),
    (b"", ["list:2", "pair:kv", "list:1"], MISUSE, "a list begins after 1 of the 2 pairs"),
    (b"", ["list:1", "size:1073741825"], TOO_LARGE, "is over the limit, which is 1073741824"),
]


@pytest.mark.parametrize(("stdin", "words", "status", "text"), FAULTS)
def test_an_error_is_a_status_and_stays(streams, stdin, words, status, text):
    said, _ = calls(streams, stdin, *words, "read", "list:0", "flush", "params")
    assert all(line.split()[-1] == "0" for line in said[: len(words) - 1])
    errors = [line.split(" ", 2) for line in said[len(words) - 1 : -1]]
    assert len(errors) == 5
    assert {error[1] for error in errors if error[0] != "="} == {str(status)}
    assert text in errors[0][2]
    assert len({error[2] for error in errors}) == 1
    assert said[-1] == f"close {status}"


@pytest.mark.clause("LIST-2")
def test_a_list_that_is_not_complete_is_an_error_of_the_close(streams):
    said, _ = calls(streams, b"", "list:2", "pair:kv")
    assert said == ["list 0 ", "pair 0 ", f"close {MISUSE}"]


@pytest.mark.clause("LIFECYCLE-3")
@pytest.mark.parametrize("words", [["list:0"], ["list:0", "flush"], ["list:0", "read"]])
def test_a_write_that_fails_is_an_error(streams, words):
    with open("/dev/null", "rb") as null, open("/dev/full", "wb") as full:
        process = subprocess.Popen(
            [*streams, "calls", str(null.fileno()), str(full.fileno()), *words],
            pass_fds=[null.fileno(), full.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    said = finish(process)
    assert said[-1] == f"close {IO}"
    if words[-1] == "flush":
        assert "cannot write to the output: No space left on device" in said[-2]


def test_a_descriptor_that_is_not_open_gives_no_stream(streams):
    done = subprocess.run(
        [*streams, "calls", "97", "98", "read"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (3, "disco_stream_open: Bad file descriptor\n")


@pytest.mark.clause("LIFECYCLE-3")
@pytest.mark.parametrize("kind", ["plain", "sanitized"])
def test_memory_that_runs_out_at_any_allocation_is_a_status(tmp_path_factory, kind):
    streams = Build.of_kind(kind, tmp_path_factory).program("streams", "-pthread")
    n, said, stdin = 0, [""], encode_params({str(n): "v" for n in range(20)})
    stdin += encode_pairs([("k", "v" * 100), ("", "x" * 200_000)])
    statuses = set()
    while said[-1] != "close 0":
        n += 1
        ends = Ends()
        process = start(streams, "calls", [ends], "params", "read", "read", fault=n)
        with contextlib.suppress(BrokenPipeError):
            ends.feed(stdin)
        stdout, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode in (0, 3), stderr
        assert ends.read() == b""
        said = stdout.splitlines() or [""]
        statuses.add(said[-1])
    assert f"close {NO_MEMORY}" in statuses
    assert n > 40
