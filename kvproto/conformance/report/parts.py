"""What a result tells, in parts that each form of report puts together in its own way; the same for both kits.

Promises: text that comes from a worker is visible: what cannot be seen is an escape sequence, `\x1b`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

from kvproto.conformance import diagnose, display
from kvproto.conformance.case import special
from kvproto.conformance.display import visible
from kvproto.conformance.drivers.case import DriverCase, DriverFinding
from kvproto.conformance.drivers.hostile import Hostile
from kvproto.conformance.runner import Result
from kvproto.conformance.trace import Finding, NotApplicable
from kvproto.storage.atomic import OutputFile

__all__ = [
    "FIXED",
    "SECTIONS",
    "Dump",
    "Failure",
    "Told",
    "by_section",
    "check_writable",
    "failures",
    "is_of_driver",
    "leaders",
    "streams",
    "told",
    "words",
    "write",
]

STDERR_LINES = 5
STDERR_COLUMNS = 100

FIXED = "it is listed as a known failure but passes: take it off the list"

SECTIONS = {
    "MAP": "In a map, each pair is answered with one list of result pairs, in order, before the worker waits for more.",
    "REDUCE": "In a reduce, pairs come in and lists of result pairs go out, any number of them at any time.",
    "FRAME": "How pairs travel: each key and each value is its size in 4 bytes, and then that many bytes.",
    "LIST": "How results travel: a list is the number of its pairs in 4 bytes, and then exactly that many pairs.",
    "PARAMS": "Parameters are names and values that are sent once, before the first pair.",
    "LIFECYCLE": "How a worker starts and ends: end of input, exit status, output that nobody reads, processes left.",
    "STDERR": "Standard error is for people: a line is tagged as a message, or as an error, which fails the run.",
    "LIMITS": "Large keys, large values and very many pairs, and the memory that they may take.",
    "FILES": "The directory that a worker runs in, and the files beside it.",
}
"""What the cases of a section are about: the first word of an id -> a sentence."""


class Dump(NamedTuple):
    """A stream: what it is, some words about it, its lines."""

    name: str
    about: str
    lines: list[str]


class Told(NamedTuple):
    """What a failing result says.

    fields  name -> text: found, expected, got, and more where there is more to say
    dumps   list of Dump
    needs   str, what the repro.sh of its evidence needs
    """

    fields: dict[str, str]
    dumps: list[Dump]
    needs: str


def told(result: Result) -> Told:
    """The parts of a result whose verdict is a finding, about a worker or about a driver."""
    finding = result.verdict
    fields = {"found": finding.what, "expected": finding.expected, "got": finding.got}
    if isinstance(finding, DriverFinding):
        if isinstance(result.case.worker, Hostile):
            fields["worker"] = _of_hostile(result.case.worker)
        return Told(fields, _dumps_of_driver(finding), "the adapter and Python")
    if guess := diagnose.likely(finding):
        fields["likely"] = guess
    return Told(fields, _dumps_of_worker(finding), "nothing but the worker")


def words(result: Result) -> str:
    """What a result says, in one sentence; "" when all is well."""
    verdict = result.verdict
    if verdict is None:
        return FIXED if result.is_known else ""
    return verdict.why if isinstance(verdict, NotApplicable) else verdict.what


def streams(finding: Finding | DriverFinding) -> dict[str, tuple[bytes, int]]:
    """stdin, stdout, stderr -> (the bytes, how many there were in all).

    Of a driver: what the worker read, what the adapter wrote, and the end of what the adapter said on stderr.
    """
    if isinstance(finding, DriverFinding):
        kept = {
            "stdin": finding.play.stdin,
            "stdout": bytes(finding.play.answer),
            "stderr": finding.play.stderr,
        }
        return {name: (data, len(data)) for name, data in kept.items()}
    trace = finding.trace
    return {
        "stdin": (trace.schedule.stdin, len(trace.schedule.stdin)),
        "stdout": (trace.stdout, len(trace.stdout)),
        "stderr": (trace.stderr, trace.n_stderr),
    }


def is_of_driver(results: Iterable[Result]) -> bool:
    """Whether these are results about a driver."""
    return any(isinstance(result.case, DriverCase) for result in results)


def by_section(results: Iterable[Result]) -> dict[str, list[Result]]:
    """The results by the first word of their ids, in the order in which the sections come."""
    sections: dict[str, list[Result]] = {}
    for result in results:
        sections.setdefault(result.case.id.partition("-")[0], []).append(result)
    return sections


def leaders(results: Iterable[Result]) -> dict[str, Result]:
    """Names of failing results that another one tells of -> that other one."""
    return {other.name: one.result for one in failures(results) for other in one.others}


def _dumps_of_worker(finding: Finding) -> list[Dump]:
    trace = finding.trace
    stdin, n_stdout = trace.schedule.stdin, len(trace.stdout)
    how = f"{len(stdin)} bytes, argument {trace.schedule.argument!r}{special(trace.schedule)}"
    output = display.of_output(trace.stdout, diagnose.first_wrong(finding))
    dumps = [
        Dump("stdin", how, display.of_input(stdin)),
        Dump("stdout", f"{n_stdout} bytes", output),
    ]
    said = [line.data for line in trace.lines]
    return dumps + [Dump("stderr", f"{trace.n_stderr} bytes, the last lines", _last(said))] * bool(
        said
    )


def _dumps_of_driver(finding: DriverFinding) -> list[Dump]:
    play, dumps = finding.play, []
    if finding.at is not None:
        lines = display.of_input(play.stdin, finding.at)
        dumps.append(Dump("stdin of the worker", f"{len(play.stdin)} bytes", lines))
    if play.stderr:
        said = play.stderr.removesuffix(b"\n").split(b"\n")
        dumps.append(Dump("stderr of the adapter", "the last lines", _last(said)))
    return dumps


def _last(lines: list[bytes]) -> list[str]:
    return [
        "  " + visible(line.decode("utf-8", "backslashreplace"))[:STDERR_COLUMNS]
        for line in lines[-STDERR_LINES:]
    ]


def _of_hostile(worker: Hostile) -> str:
    about = (worker.function.__doc__ or worker.function.__name__).strip().split("\n")[0]
    return f"{about} ({worker.call})" if worker.options else about


class Failure(NamedTuple):
    """A fault of the worker: the result that tells it, and the other cases that it fails by the same cause."""

    result: Result
    others: tuple[Result, ...]

    @property
    def finding(self) -> Finding:
        return self.result.verdict


def failures(results: Iterable[Result]) -> list[Failure]:
    """The findings by cause, each told by the case that is there for it (Case.tells), or by the first that met it."""
    by_cause: dict[str, list[Result]] = {}
    for result in results:
        if result.status == "fail":
            by_cause.setdefault(result.verdict.cause, []).append(result)
    return [_failure(group) for group in by_cause.values()]


def _failure(group: list[Result]) -> Failure:
    first = min(group, key=_is_others)
    return Failure(first, tuple(result for result in group if result is not first))


def _is_others(result: Result) -> bool:
    return not result.verdict.cause.startswith(result.case.tells or " ")


def check_writable(path: str) -> None:
    """Raise the OSError, with the path in it, that `write` would end in. What is there stays as it is."""
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
        if not os.access(path, os.W_OK):  # opening a pipe would wait for its reader
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return
    OutputFile(path).discard()


def write(path: str, text: str) -> None:
    """Write a report. Raises OSError, with the path in it."""
    with OutputFile(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
