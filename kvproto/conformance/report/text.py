"""The report for a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable

from kvproto.conformance import diagnose, hexdump
from kvproto.conformance.explain import special
from kvproto.conformance.finding import NotApplicable
from kvproto.conformance.report.grouping import Failure, failures
from kvproto.conformance.runner import Result

__all__ = ["STDERR_LINES", "asides", "dump", "failure", "field", "names", "report", "summary", "words"]

STDERR_LINES = 5
WIDTH = 100


ASIDES = {
    "n/a": "n/a   {}: {}",
    "note": "note  {}: {}",
    "known": "known {}: {}",
    "fixed": "FIXED {}: it passes and is listed as a known failure; take it off the list",
}


def report(worker: str, results: list[Result], directories: dict[str, str]) -> str:
    """All of it: each failure, what does not apply, the last line.

    directories   case id and mode, as `ID.mode` -> where its evidence is
    """
    parts = [failure(one, directories[one.result.name]) for one in failures(results)]
    return "\n".join([*parts, *asides(results), summary(worker, results)])


def asides(results: list[Result]) -> list[str]:
    """The lines about what is neither good nor a failure, as one part of a report; none, no part."""
    lines = []
    for status, form in ASIDES.items():
        told = [result for result in results if result.status == status]
        lines += [form.format(f"{r.case.id} ({r.mode})", words(r)) + "\n" for r in told]
    return ["".join(lines)] * bool(lines)


def words(result: Result) -> str:
    """What a result says, in one sentence; "" when all is well."""
    verdict = result.verdict
    return "" if verdict is None else verdict.why if isinstance(verdict, NotApplicable) else verdict.what


def failure(one: Failure, directory: str) -> str:
    """One failure: what, where, expected and got, the bytes, the likely mistake, how to see it again."""
    case, mode, finding, _ = one.result
    trace = finding.trace
    lines = [f"FAIL  {case.id} ({mode})  {case.level}  {finding.clause}", f"      {case.title}", ""]
    lines += field("found", finding.what) + field("expected", finding.expected) + field("got", finding.got)
    if words := diagnose.likely(finding):
        lines += field("likely", words)
    lines += dump("stdin", hexdump.of_input(trace.schedule.stdin), f"{len(trace.schedule.stdin)} bytes{_how(trace)}")
    output = hexdump.of_output(trace.stdout, diagnose.first_wrong(finding))
    lines += dump("stdout", output, f"{len(trace.stdout)} bytes")
    if trace.lines:
        said = [line.data.decode("utf-8", "backslashreplace") for line in trace.lines[-STDERR_LINES:]]
        lines += dump("stderr", ["  " + text[:100] for text in said], f"{trace.n_stderr} bytes, the last lines")
    if one.others:
        lines += ["", *field("also", names(one.others))]
    lines += ["", *field("evidence", f"{directory}/   its repro.sh needs nothing but the worker")]
    return "\n".join(lines) + "\n"


def summary(worker: str, results: list[Result]) -> str:
    """The last line: how many, and the verdict."""
    n = Counter(result.status for result in results)
    said = {"pass": "pass", "fail": "fail", "fixed": "fixed", "known": "known", "note": "noted", "n/a": "not applicable"}
    counts = [f"{n[status]} {said[status]}" for status in said if n[status] or status in ("pass", "fail")]
    n_causes = len(failures(results))
    faults = [f"{n_causes} fault{'s' * (n_causes != 1)}"] * bool(n["fail"])
    faults += [f"{n['fixed']} known to fail and passing"] * bool(n["fixed"])
    verdict = f"does not conform: {', '.join(faults)}" if faults else "conforms"
    return f"{worker} {verdict}. {len(results)} check{'s' * (len(results) != 1)}: {', '.join(counts)}\n"


def _how(trace) -> str:
    return f", argument {trace.schedule.argument!r}" + special(trace.schedule)


def field(name: str, text: str) -> list[str]:
    """A part of a failure that has a name: its lines, wrapped."""
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, WIDTH, break_on_hyphens=False)]
    return [f"      {word:<9} {line}" for word, line in zip([name] + [""] * len(lines), lines, strict=False)]


def dump(name: str, lines: Iterable[str], words: str) -> list[str]:
    """A stream of a failure: what it is, and its lines."""
    return ["", f"      {name}, {words}", *("      " + line for line in lines)]


def names(results: tuple[Result, ...]) -> str:
    """The other checks that fail by the same cause."""
    names = ", ".join(dict.fromkeys(result.case.id for result in results))
    return f"the same in {len(results)} other check{'s' * (len(results) != 1)}: {names}"
