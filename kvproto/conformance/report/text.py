"""The report for a terminal. No control character of a worker gets into it."""

from __future__ import annotations

import textwrap
from collections import Counter

from kvproto._text import visible
from kvproto.conformance.display import plural
from kvproto.conformance.report.parts import Failure, failures, parts_of, words
from kvproto.conformance.runner import Result

__all__ = ["asides", "conclusion", "counts", "failure", "report"]

WIDTH = 100

ASIDES = {"n/a": "n/a  ", "note": "note ", "known": "known", "fixed": "FIXED"}

COUNTED = {
    "pass": "pass",
    "fail": "fail",
    "fixed": "fixed",
    "known": "known",
    "note": "noted",
    "n/a": "not applicable",
}


def report(worker: str, results: list[Result], directories: dict[str, str]) -> str:
    """Make the report: each failure, the asides, and the summary.

    directories  the evidence of each failing result, by ID.mode
    """
    parts = [failure(one, directories[one.result.name]) for one in failures(results)]
    return "\n".join([*parts, *asides(results), _summary(worker, results)])


def asides(results: list[Result]) -> list[str]:
    """Make the part about results that neither pass nor fail, if there are any."""
    lines = []
    for status, name in ASIDES.items():
        lines += [
            f"{name} {r.case.id} ({r.mode}): {words(r)}\n" for r in results if r.status == status
        ]
    return [visible("".join(lines))] * bool(lines)


def failure(one: Failure, directory: str) -> str:
    """Describe one failure: its texts, the bytes, and the evidence."""
    case, mode, finding = one.result.case, one.result.mode, one.finding
    parts = parts_of(one.result)
    lines = [f"FAIL  {case.id} ({mode})  {case.level}  {finding.clause}", f"      {case.title}", ""]
    for name, text in parts.fields.items():
        lines += _field(name, text)
    for dump in parts.dumps:
        lines += ["", f"      {dump.name}, {dump.about}", *("      " + line for line in dump.lines)]
    if one.others:
        lines += ["", *_field("also", _names(one.others))]
    lines += ["", *_field("evidence", f"{directory}/   its repro.sh needs {parts.needs}")]
    return visible("\n".join(lines) + "\n")


def conclusion(results: list[Result]) -> str:
    """Return the verdict: "conforms", or "does not conform" and the number of faults."""
    n_causes, n_fixed = len(failures(results)), sum(result.status == "fixed" for result in results)
    faults = [plural(n_causes, "fault")] * bool(n_causes)
    faults += [f"{plural(n_fixed, 'known failure')} that pass{'es' * (n_fixed == 1)}"] * bool(
        n_fixed
    )
    return f"does not conform: {', '.join(faults)}" if faults else "conforms"


def counts(results: list[Result]) -> dict[str, int]:
    """Count the results by status; "pass" and "fail" are always there."""
    n = Counter(result.status for result in results)
    return {status: n[status] for status in COUNTED if n[status] or status in ("pass", "fail")}


def _summary(worker: str, results: list[Result]) -> str:
    """Make the last line: the verdict and the counts."""
    text = ", ".join(f"{n} {COUNTED[status]}" for status, n in counts(results).items())
    return visible(f"{worker} {conclusion(results)}. {plural(len(results), 'check')}: {text}\n")


def _field(name: str, text: str) -> list[str]:
    """Wrap a named part of a failure."""
    parts = (textwrap.wrap(part, WIDTH, break_on_hyphens=False) for part in text.split("\n"))
    lines = [line for part in parts for line in part]
    return [f"      {'' if n else name:<9} {line}" for n, line in enumerate(lines)]


def _names(results: tuple[Result, ...]) -> str:
    """Name the other checks that fail for the same cause."""
    names = ", ".join(dict.fromkeys(result.case.id for result in results))
    return f"the same fault in {plural(len(results), 'other check')}: {names}"
