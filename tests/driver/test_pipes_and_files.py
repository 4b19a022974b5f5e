"""Pipes that fill while nobody reads them, and what lies in a worker's directory."""

import subprocess
import sys
from pathlib import Path

import pytest

from kvproto import ExternalProgram, Message, encode_list, encode_pairs, encode_params

ROOT = Path(__file__).parents[2]

TALKER = f"""#!{sys.executable} -IS
import sys
with open("answer", "rb") as file:
    answer = file.read()
if sys.argv[1] == "map":
    sys.stdin.buffer.read()
sys.stdout.buffer.write(answer[:6])
sys.stdout.flush()
for _ in range(20000):
    sys.stderr.write("**<MSG> " + "x" * 71 + "\\n")
sys.stderr.flush()
sys.stdout.buffer.write(answer[6:])
sys.stdout.flush()
sys.stdin.buffer.read()
"""
"""Writes 6 bytes of its answer, 1.6 MB to stderr, and the rest: a map when it has read all, a
reduce before it reads.
"""


def answer_of_talker(mode: str, given, answer: bytes) -> list:
    messages: list[Message] = []
    with ExternalProgram({"op": TALKER, "answer": answer}, on_message=messages.append) as program:
        came_back = list(getattr(program, mode)(given))
    assert messages == [Message("MSG", b"x" * 71)] * 20_000
    return came_back


@pytest.mark.clause("STDERR-8", "MAP-5")
def test_a_map_worker_may_say_more_than_a_pipe_holds_in_the_middle_of_a_list():
    given = [(b"key", b"v" * 300_000)] * 10
    assert (
        answer_of_talker("map", given, encode_list([(b"k", b"v" * 300_000)]) * 10)
        == [[(b"k", b"v" * 300_000)]] * 10
    )


@pytest.mark.documented(
    "9 the program writes lists whenever it likes, even after the end of the input"
)
@pytest.mark.clause("STDERR-8", "REDUCE-2", "REDUCE-5")
def test_a_reduce_worker_may_write_more_than_a_pipe_holds_before_it_reads():
    due = [(b"%d" % index, b"v" * 1000) for index in range(3000)]
    answer = encode_list(due[:1000]) + encode_list([]) + encode_list(due[1000:])
    assert answer_of_talker("reduce", [(b"key", b"v" * 300_000)] * 10, answer) == due


@pytest.mark.documented(
    "12 a shell script may prepare the environment and start the executable beside it"
)
@pytest.mark.clause("FILES-4")
def test_a_script_may_start_a_program_that_lies_beside_it():
    beside = '#!/bin/sh\ncat >/dev/null\necho "**<MSG> $1" >&2\n'
    messages: list[Message] = []
    files = {"op": '#!/bin/sh\nexec ./beside "$1"\n', "beside": beside}
    with ExternalProgram(files, on_message=messages.append) as program:
        assert list(program.reduce([])) == []
    assert messages == [Message("MSG", b"reduce")]


@pytest.mark.documented(
    "12 a program reads only its own files and writes none; the library reads and writes none"
)
@pytest.mark.clause("FILES-3")
def test_a_worker_with_libdisco_opens_no_file_and_writes_none(tmp_path):
    sources = [
        path for path in (ROOT / "csrc/libdisco").glob("*.c") if path.name != "probe_stdio.c"
    ]
    worker = tmp_path / "identity"
    # Static, so that the loader has nothing to open either.
    command = [
        "gcc",
        "-static",
        "-I",
        ROOT / "include",
        ROOT / "kvproto/examples/identity.c",
        *sources,
        "-o",
        worker,
    ]
    subprocess.run(command, check=True)
    # no file may grow, no descriptor be opened besides the three
    limits = 'ulimit -f 0; ulimit -n 3; exec "$0" map'
    stdin = encode_params({}) + encode_pairs([("k", "v")])
    done = subprocess.run(
        ["sh", "-c", limits, worker], input=stdin, capture_output=True, check=True
    )
    assert done.stdout == encode_list([("k", "v")])
