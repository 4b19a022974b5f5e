"""The parts of a result, which each form of report arranges in its own way.

Results about workers and about drivers have the same parts. In text from a worker, characters that
cannot be seen are escape sequences such as `\\x1b`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kvproto._text import visible
from kvproto.conformance import diagnose, display
from kvproto.conformance.case import special
from kvproto.conformance.drivers.case import DriverCase, DriverFinding
from kvproto.conformance.drivers.hostile import Hostile
from kvproto.conformance.runner import Result
from kvproto.conformance.trace import BaseFinding, Finding, NotApplicable

__all__ = [
    "FIXED",
    "SECTIONS",
    "Dump",
    "Failure",
    "Parts",
    "by_section",
    "failures",
    "is_of_driver",
    "leaders",
    "parts_of",
    "streams",
    "words",
]

STDERR_LINES = 5
STDERR_COLUMNS = 100

FIXED = "it is listed as a known failure but passes: remove it from the list"

SECTIONS = {
    "MAP": "In a map, the worker answers each pair with one list of result pairs, in order, before "
    "it waits for more.",
    "REDUCE": "In a reduce, the worker reads pairs and writes any number of lists of result pairs "
    "at any time.",
    "FRAME": "How pairs are sent: each key and each value is its size in 4 bytes, followed by that "
    "many bytes.",
    "LIST": "How results are sent: a list is the number of its pairs in 4 bytes, followed by "
    "exactly that many pairs.",
    "PARAMS": "Parameters are names and values that are sent once, before the first pair.",
    "LIFECYCLE": "How a worker starts and ends: end of input, exit status, output that nobody "
    "reads, and processes that are left.",
    "STDERR": "Standard error is for people: a tag marks a line as a message, or as an error, "
    "which fails the run.",
    "LIMITS": "Large keys, large values and very many pairs, and the memory that they may use.",
    "FILES": "The directory that a worker runs in, and the files beside it.",
}
"""What the cases of each section are about; the section is the first word of an id."""


class Dump(NamedTuple):
    """A dump of a stream: its name, a few words about it, and its lines."""

    name: str
    about: str
    lines: list[str]


class Parts(NamedTuple):
    """The parts of a failing result.

    fields  texts by name: found, expected, got, and optional ones
    dumps   the streams that show the fault
    needs   what the repro.sh of the evidence needs
    """

    fields: dict[str, str]
    dumps: list[Dump]
    needs: str


class Failure(NamedTuple):
    """A fault: the result that reports it, and the other results with the same cause."""

    result: Result
    others: tuple[Result, ...]

    @property
    def finding(self) -> BaseFinding:
        """The finding that is reported."""
        return self.result.finding


# --- one result ---------------------------------------------------------------------------------


def parts_of(result: Result) -> Parts:
    """Split a result whose verdict is a finding into its parts."""
    finding = result.finding
    fields = {"found": finding.what, "expected": finding.expected, "got": finding.got}
    if isinstance(finding, DriverFinding):
        if isinstance(result.case, DriverCase) and isinstance(result.case.worker, Hostile):
            fields["worker"] = _of_hostile(result.case.worker)
        return Parts(fields, _dumps_of_driver(finding), "the adapter and Python")
    assert isinstance(finding, Finding)
    if guess := diagnose.likely(finding):
        fields["likely"] = guess
    return Parts(fields, _dumps_of_worker(finding), "only the worker")


def words(result: Result) -> str:
    """Describe a result in one sentence; "" if it passes."""
    verdict = result.verdict
    if verdict is None:
        return FIXED if result.is_known else ""
    return verdict.why if isinstance(verdict, NotApplicable) else verdict.what


def streams(finding: BaseFinding) -> dict[str, tuple[bytes, int]]:
    """Map stdin, stdout and stderr to the bytes that were kept, and the number of all bytes.

    For a driver: what the worker read, what the adapter wrote, and the end of the adapter's stderr.
    """
    if isinstance(finding, DriverFinding):
        kept = {
            "stdin": finding.play.stdin,
            "stdout": bytes(finding.play.answer),
            "stderr": finding.play.stderr,
        }
        return {name: (data, len(data)) for name, data in kept.items()}
    assert isinstance(finding, Finding)
    trace = finding.trace
    return {
        "stdin": (trace.schedule.stdin, len(trace.schedule.stdin)),
        "stdout": (trace.stdout, len(trace.stdout)),
        "stderr": (trace.stderr, trace.n_stderr),
    }


def _dumps_of_worker(finding: Finding) -> list[Dump]:
    trace = finding.trace
    stdin, lines = trace.schedule.stdin, [line.data for line in trace.lines]
    how = f"{len(stdin)} bytes, argument {trace.schedule.argument!r}{special(trace.schedule)}"
    output = display.of_output(trace.stdout, diagnose.first_wrong(finding))
    dumps = [
        Dump("stdin", how, display.of_input(stdin)),
        Dump("stdout", f"{len(trace.stdout)} bytes", output),
    ]
    if lines:
        dumps.append(Dump("stderr", f"{trace.n_stderr} bytes, the last lines", _last(lines)))
    return dumps


def _dumps_of_driver(finding: DriverFinding) -> list[Dump]:
    play, dumps = finding.play, []
    if finding.at is not None:
        lines = display.of_input(play.stdin, finding.at)
        dumps.append(Dump("stdin of the worker", f"{len(play.stdin)} bytes", lines))
    if play.stderr:
        last = _last(play.stderr.removesuffix(b"\n").split(b"\n"))
        dumps.append(Dump("stderr of the adapter", "the last lines", last))
    return dumps


def _last(lines: list[bytes]) -> list[str]:
    return [
        "  " + visible(line.decode("utf-8", "backslashreplace"))[:STDERR_COLUMNS]
        for line in lines[-STDERR_LINES:]
    ]


def _of_hostile(worker: Hostile) -> str:
    about = (worker.function.__doc__ or worker.function.__name__).strip().split("\n")[0]
    return f"{about} ({worker.call})" if worker.options else about


# --- all results --------------------------------------------------------------------------------


def failures(results: Iterable[Result]) -> list[Failure]:
    """Group the failing results by cause.

    The first case that lists the cause in `Case.reports` reports the fault, otherwise the first
    that found it.
    """
    by_cause: dict[str, list[Result]] = {}
    for result in results:
        if result.status == "fail":
            by_cause.setdefault(result.finding.cause, []).append(result)
    return [_failure(group) for group in by_cause.values()]


def _failure(group: list[Result]) -> Failure:
    first = min(group, key=lambda result: not _lists_its_cause(result))
    return Failure(first, tuple(result for result in group if result is not first))


def _lists_its_cause(result: Result) -> bool:
    return result.finding.cause.startswith(result.case.reports)


def leaders(results: Iterable[Result]) -> dict[str, Result]:
    """Map the names of failing results to the result that reports their fault."""
    return {other.name: one.result for one in failures(results) for other in one.others}


def is_of_driver(results: Iterable[Result]) -> bool:
    """Whether the results are about a driver."""
    return any(isinstance(result.case, DriverCase) for result in results)


def by_section(results: Iterable[Result]) -> dict[str, list[Result]]:
    """Group results by section, in order."""
    sections: dict[str, list[Result]] = {}
    for result in results:
        sections.setdefault(result.case.id.partition("-")[0], []).append(result)
    return sections
