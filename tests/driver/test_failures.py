"""Each way of failing has its own error, ends in bounded time, and leaves nothing behind: the
catalogue of workers, walked.
"""

import os
import select
from pathlib import Path

import pytest
from support import catalogue

from kvproto import ExternalProgram, errors
from kvproto.protocol.messages import Message

pytestmark = pytest.mark.slow

PAIRS = [(b"key %d" % index, b"value") for index in range(1000)]
"""Fits into a pipe: a worker that stops reading is noticed by what it does, not by a pipe that is
full.
"""

BIG_PAIRS = [(b"key %d" % index, b"v" * 8000) for index in range(1000)]
"""8 MB, which fits into no pipe: the driver has to write while it reads."""

IDLE, GRACE = 3.0, 0.8
"""Seconds, for workers that are to run into one of them; far enough apart that the right one comes
first.
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    return tmp_path_factory.mktemp("workers")


def processes_in(directory: Path) -> list[int]:
    """Pids of the processes whose working directory is, or was, inside a directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "cwd").startswith(f"{directory}/"):
                    found.append(int(entry.name))
            except OSError:
                continue  # gone meanwhile, or a zombie
    return found


def assert_ends(pid: int) -> None:
    """Wait until a process that has been killed is no more; one that has not been killed is a
    failure.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        ended = select.select([process], [], [], 30)[0]
    finally:
        os.close(process)
    assert ended, f"process {pid} lives on"


def limits(error: str | None, pairs: list) -> dict:
    """Short limits for the workers that are to run into them, so that the test is quick; ample ones
    for the rest, whose little input is also played again.
    """
    if error in ("WorkerHung", "WorkerClosedStdout", "WorkerLeftChild"):
        return {"idle": IDLE, "grace": GRACE, "pinpoint": False}
    return {"idle": 60, "grace": 60, "pinpoint": pairs is PAIRS}


def run(files, mode, pairs, on_message, error):
    options = {"mode": mode, "on_message": on_message, **limits(error, pairs)}
    with ExternalProgram(files, **options) as worker:
        if mode == "map":
            return [pair for answer in worker.map(pairs) for pair in answer]
        return list(worker.reduce(pairs))


def runs():
    """Each worker as map and as reduce, with little input and with much; those that take their time
    a little less often.
    """
    for case in catalogue.WORKERS:
        for mode in ("map", "reduce"):
            yield pytest.param(case, mode, PAIRS, id=f"{case.source}-{mode}-small")
            if mode == "map" or case not in catalogue.TAKES_FOR_EVER:
                yield pytest.param(case, mode, BIG_PAIRS, id=f"{case.source}-{mode}-big")


@pytest.mark.documented(
    "6 a worker may be in any language and needs no Python",
    "7 a program reads as long as there is data; to exit earlier is an error",
    "7 output in a buffer: libdisco flushes it, and the driver also serves a worker that "
    "flushes late",
    "8 a list is num-pairs, 32 bits, zero allowed, and exactly that many pairs",
    "8 the map is done with the list for the last pair",
    "9 the reduce is done when the program exits",
)
@pytest.mark.clause(
    "LIFECYCLE-2", "LIFECYCLE-4", "LIFECYCLE-5", "LIFECYCLE-6", "LIFECYCLE-7", "LIFECYCLE-8"
)
@pytest.mark.clause("MAP-2", "MAP-3", "REDUCE-4", "STDERR-5", "STDERR-7", "STDERR-8")
@pytest.mark.parametrize("case, mode, pairs", list(runs()))
def test_the_verdict_on_each_worker(case, mode, pairs, built, private):
    expected, says = case.verdict(mode)
    messages: set[Message] = set()
    files = catalogue.files(case, built)
    if expected is None:
        output = run(files, mode, pairs, messages.add, expected)
        assert (mode == "reduce" and case.reduce is None) or output == pairs
    else:
        with pytest.raises(errors.WorkerError) as caught:
            run(files, mode, pairs, messages.add, expected)
        report = str(caught.value)
        assert type(caught.value).__name__ == expected, report
        for text in says:
            assert text in report
        assert "what to do: " in report
    for kind, text in case.messages:
        assert any((message.kind, message.text) == (kind, text) for message in messages)
    for pid in processes_in(private):
        assert_ends(pid)
    assert list(private.iterdir()) == []


@pytest.mark.parametrize("case", catalogue.WORKERS, ids=lambda case: case.source)
def test_each_worker_says_its_verdict_in_its_own_source(case, built):
    path = catalogue.program(case.source, built)
    source = path if path.suffix else catalogue.HERE / case.source
    if case.source in (catalogue.IDENTITY, "empty"):
        return
    first_lines = "".join(source.read_text().splitlines(keepends=True)[:2])
    assert (f"{case.map}: " if case.map else "Good") in first_lines


def test_every_program_of_the_directory_has_a_row_or_serves_one():
    there = {path.name for path in catalogue.HERE.iterdir() if path.is_file()}
    rows = {case.source for case in catalogue.WORKERS} | {
        name for case in catalogue.WORKERS for name in case.files
    }
    of_other_tests = {"soup.py", "fails_on.c"}
    assert there - of_other_tests == rows - {catalogue.IDENTITY}


def test_every_worker_error_has_a_worker_that_earns_it():
    earned = {case.verdict(mode)[0] for case in catalogue.WORKERS for mode in ("map", "reduce")}
    tree = {
        name for name in errors.__all__ if issubclass(getattr(errors, name), errors.WorkerError)
    }
    assert tree - {"WorkerError"} == earned - {None}
