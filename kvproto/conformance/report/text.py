"""The report for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from kvproto.conformance import diagnose, hexdump
from kvproto.conformance.finding import NotApplicable
from kvproto.conformance.report.grouping import Failure, failures
from kvproto.conformance.runner import Result

__all__ = ["failure", "report", "summary"]

STDERR_LINES = 5
WIDTH = 100


def report(worker: str, results: list[Result], directories: dict[str, str]) -> str:
    """All of it: each failure, what does not apply, the last line.

    directories   case id and mode, as `ID.mode` -> where its evidence is
    """
    parts = [failure(one, directories[f"{one.result.case.id}.{one.result.mode}"]) for one in failures(results)]
    skipped = [r for r in results if isinstance(r.verdict, NotApplicable)]
    asides = [f"n/a   {r.case.id} ({r.mode}): {r.verdict.why}\n" for r in skipped]
    asides += [f"note  {r.case.id} ({r.mode}): {r.verdict.what}\n" for r in results if r.is_noted]
    return "\n".join([*parts, *["".join(asides)] * bool(asides), summary(worker, results)])


def failure(one: Failure, directory: str) -> str:
    """One failure: what, where, expected and got, the bytes, the likely mistake, how to see it again."""
    case, mode, finding = one.result
    trace = finding.trace
    lines = [f"FAIL  {case.id} ({mode})  {case.level}  {finding.clause}", f"      {case.title}", ""]
    lines += _field("found", finding.what) + _field("expected", finding.expected) + _field("got", finding.got)
    if words := diagnose.likely(finding):
        lines += _field("likely", words)
    lines += _dump("stdin", hexdump.of_input(trace.schedule.stdin), f"{len(trace.schedule.stdin)} bytes{_how(trace)}")
    output = hexdump.of_output(trace.stdout, diagnose.first_wrong(finding))
    lines += _dump("stdout", output, f"{len(trace.stdout)} bytes")
    if trace.lines:
        said = [line.data.decode("utf-8", "backslashreplace") for line in trace.lines[-STDERR_LINES:]]
        lines += _dump("stderr", ["  " + text[:100] for text in said], f"{trace.n_stderr} bytes, the last lines")
    if one.others:
        lines += ["", *_field("also", _names(one.others))]
    lines += ["", *_field("evidence", f"{directory}/   its repro.sh needs nothing but the worker")]
    return "\n".join(lines) + "\n"


def summary(worker: str, results: list[Result]) -> str:
    """The last line: how many, and the verdict."""
    n_fails = sum(result.fails for result in results)
    n_notes = sum(r.is_noted for r in results)
    n_skipped = sum(isinstance(r.verdict, NotApplicable) for r in results)
    counts = [f"{len(results) - n_fails - n_notes - n_skipped} pass", f"{n_fails} fail"]
    counts += [f"{n_notes} noted"] * bool(n_notes) + [f"{n_skipped} not applicable"] * bool(n_skipped)
    n_causes = sum(one.result.fails for one in failures(results))
    verdict = f"does not conform: {n_causes} fault{'s' * (n_causes != 1)}" if n_fails else "conforms"
    return f"{worker} {verdict}. {len(results)} check{'s' * (len(results) != 1)}: {', '.join(counts)}\n"


def _how(trace) -> str:
    schedule = trace.schedule
    details = [f"argument {schedule.argument}"] + ["stdout is /dev/full"] * (schedule.stdout == "full")
    details += ["the environment is empty"] * (schedule.environment == "empty")
    return "".join(f", {detail}" for detail in details)


def _field(name: str, text: str) -> list[str]:
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, WIDTH, break_on_hyphens=False)]
    return [f"      {word:<9} {line}" for word, line in zip([name] + [""] * len(lines), lines, strict=False)]


def _dump(name: str, lines: Iterable[str], words: str) -> list[str]:
    return ["", f"      {name}, {words}", *("      " + line for line in lines)]


def _names(results: tuple[Result, ...]) -> str:
    names = ", ".join(dict.fromkeys(result.case.id for result in results))
    return f"the same in {len(results)} other check{'s' * (len(results) != 1)}: {names}"
