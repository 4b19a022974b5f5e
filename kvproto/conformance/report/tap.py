"""The report as TAP 14, the Test Anything Protocol: a line for each case and mode.

Promises: what a failure says follows its line as YAML, all texts of it quoted or indented, so that nothing that a
worker wrote is taken for a line of TAP. Known failures are TODO, what does not apply is SKIP; a note is ok, and tells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from kvproto.conformance.report.grouping import failures
from kvproto.conformance.report.parts import leaders, words
from kvproto.conformance.report.text import conclusion, failure
from kvproto.conformance.runner import Result
from kvproto.conformance.wording import visible

__all__ = ["tap"]

DIRECTIVES = {"n/a": " # SKIP {}", "known": " # TODO known failure: {}"}


def tap(subject: str, results: list[Result], directories: Mapping[str, str]) -> str:
    """The report about a worker or a driver.

    directories   case id and mode, as `ID.mode` -> where its evidence is
    """
    told = {one.result.name: one for one in failures(results)}
    same = leaders(results)
    lines = [
        "TAP version 14",
        f"1..{len(results)}",
        f"# {_line(f'{subject} {conclusion(results)}')}",
    ]
    for number, result in enumerate(results, 1):
        is_ok = result.status in ("pass", "n/a", "note")
        directive = DIRECTIVES.get(result.status, "").format(_line(words(result)))
        name = f"{result.case.id} ({result.mode}): {result.case.title}"
        lines.append(f"{'ok' if is_ok else 'not ok'} {number} - {_escaped(_line(name))}{directive}")
        one = told.get(result.name)
        report = failure(one, directories[result.name]) if one else ""
        lines += _diagnostics(result, same.get(result.name), report)
    return "\n".join(lines) + "\n"


def _diagnostics(result: Result, leader: Result | None, report: str) -> list[str]:
    """The YAML behind a line, for what failed, for notes, and for what is known to fail and passes."""
    if result.status in ("pass", "n/a"):
        return []
    fields = {"status": result.status, "message": words(result)}
    if result.verdict is not None:
        finding = result.verdict
        fields |= {
            "clause": finding.clause,
            "cause": finding.cause,
            "expected": finding.expected,
            "got": finding.got,
        }
    if leader is not None:
        fields["same_as"] = f"{leader.case.id} ({leader.mode})"
    block = [
        f"{name}: {json.dumps(visible(text), ensure_ascii=False)}" for name, text in fields.items()
    ]
    if report:
        block += ["report: |", *(f"  {line}" for line in visible(report).splitlines())]
    return ["  ---", *(f"  {line}" for line in block), "  ..."]


def _line(text: str) -> str:
    return " ".join(visible(text).split())


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("#", "\\#")
