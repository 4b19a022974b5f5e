"""The reports for programs: one JSON document, TAP, or JUnit XML, with the same content.

The JSON document is stable; `version` changes with its structure:

    version   1
    subject   the worker, or the adapter of a driver
    verdict   "conforms" or "does not conform"
    counts    status -> number of results, for all six statuses
    results   in the order of the table, objects:
      id, mode, level, title
      clauses   list of clauses of PROTOCOL.md
      status    "pass"; "fail"; "n/a", it does not apply; "note", of level INFO, which fails nobody;
                "known", a known failure; "fixed", listed as a known failure but passes, so that the
                whole does not conform
      why       the result in words; "" for "pass"
      finding   null, or for "fail", "note" and "known" an object:
        cause     the same in all results with the same fault
        clause, what, expected, got
        likely    the likely mistake, or null; for a driver always null
        at        offset of the first wrong byte in stdout, for a driver in stdin; or null
        same_as   "ID.mode" of the failure that reports this fault, if that is another one; or null
        evidence  path of its directory; or null
        stdin, stdout, stderr   objects: base64, the first 65536 of the bytes kept; kept and length,
                  the numbers of bytes kept and in all. For a driver: what the worker read, what the
                  adapter wrote to stdout, the end of what it wrote to stderr

Bytes of files and arguments that are not UTF-8 appear in texts as lone surrogates, escaped.

TAP is version 14. The line of a failure is followed by YAML, in which all texts are quoted or
indented: nothing that a worker wrote can be taken for a line of TAP. Known failures are TODO, cases
that do not apply are SKIP, and notes are ok.

JUnit XML, which CI services show, has a testsuite for each section and a testcase for each case and
mode. It is well-formed whatever the worker wrote: what XML cannot represent is an escape sequence.
Known failures and cases that do not apply are skipped; a note passes, and is in the system-out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kvproto._text import visible
from kvproto.conformance.report.parts import by_section, failures, leaders, parts_of, streams, words
from kvproto.conformance.report.text import COUNTED, conclusion, failure
from kvproto.conformance.runner import Result

__all__ = ["MOST_BYTES", "VERSION", "as_json", "junit", "tap"]

VERSION = 1
MOST_BYTES = 1 << 16

DIRECTIVES = {"n/a": " # SKIP {}", "known": " # TODO known failure: {}"}


# --- JSON ---------------------------------------------------------------------------------------


def as_json(subject: str, results: list[Result], directories: Mapping[str, str]) -> str:
    """Make the JSON report; `directories` is the evidence by ID.mode."""
    same = leaders(results)
    statuses = [result.status for result in results]
    document = {
        "version": VERSION,
        "subject": subject,
        "verdict": "does not conform" if any(result.fails for result in results) else "conforms",
        "counts": {status: statuses.count(status) for status in COUNTED},
        "results": [_result(result, same.get(result.name), directories) for result in results],
    }
    return json.dumps(document, indent=1) + "\n"


def _result(
    result: Result, leader: Result | None, directories: Mapping[str, str]
) -> dict[str, Any]:
    case = result.case
    has_finding = result.status in ("fail", "note", "known")
    return {
        "id": case.id,
        "mode": result.mode,
        "level": case.level,
        "clauses": case.clauses.split(),
        "title": case.title,
        "status": result.status,
        "why": words(result),
        "finding": _finding(result, leader, directories) if has_finding else None,
    }


def _finding(
    result: Result, leader: Result | None, directories: Mapping[str, str]
) -> dict[str, Any]:
    finding = result.finding
    return {
        "cause": finding.cause,
        "clause": finding.clause,
        "what": finding.what,
        "expected": finding.expected,
        "got": finding.got,
        "likely": parts_of(result).fields.get("likely"),
        "at": finding.at,
        "same_as": leader and leader.name,
        "evidence": directories.get(result.name),
        **{name: _stream(data, n_all) for name, (data, n_all) in streams(finding).items()},
    }


def _stream(data: bytes, n_all: int) -> dict[str, Any]:
    return {
        "base64": base64.b64encode(data[:MOST_BYTES]).decode(),
        "kept": len(data),
        "length": n_all,
    }


def _reports(results: list[Result], directories: Mapping[str, str]) -> dict[str, str]:
    """Map the names of the results that report a fault to their text."""
    names = {one.result.name: one for one in failures(results)}
    return {name: failure(one, directories[name]) for name, one in names.items()}


# --- TAP ----------------------------------------------------------------------------------------


def tap(subject: str, results: list[Result], directories: Mapping[str, str]) -> str:
    """Make the TAP report; `directories` is the evidence by ID.mode."""
    reports = _reports(results, directories)
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
        lines += _diagnostics(result, same.get(result.name), reports.get(result.name, ""))
    return "\n".join(lines) + "\n"


def _diagnostics(result: Result, leader: Result | None, report: str) -> list[str]:
    """Make the YAML after the line of a result, unless it passes or does not apply."""
    if result.status in ("pass", "n/a"):
        return []
    fields = {"status": result.status, "message": words(result)}
    if result.status != "fixed":
        finding = result.finding
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


# --- JUnit XML ----------------------------------------------------------------------------------


def junit(subject: str, results: list[Result], directories: Mapping[str, str]) -> str:
    """Make the JUnit report; `directories` is the evidence by ID.mode."""
    reports = _reports(results, directories)
    same = leaders(results)
    root = Element("testsuites", {"name": visible(f"kvproto check {subject}"), **_counts(results)})
    for section, some in by_section(results).items():
        suite = SubElement(root, "testsuite", {"name": section, **_counts(some)})
        for result in some:
            name = f"{result.case.id} ({result.mode})"
            case = SubElement(suite, "testcase", name=name, classname=f"kvproto.{section}")
            _fill(case, result, reports.get(result.name, ""), same.get(result.name))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _counts(results: Iterable[Result]) -> dict[str, str]:
    statuses = [result.status for result in results]
    return {
        "tests": str(len(statuses)),
        "failures": str(statuses.count("fail") + statuses.count("fixed")),
        "errors": "0",
        "skipped": str(statuses.count("known") + statuses.count("n/a")),
    }


def _fill(case: Element, result: Result, report: str, leader: Result | None) -> None:
    message = visible(words(result))
    if result.status == "note":
        SubElement(case, "system-out").text = f"note: {message}"
    elif result.status in ("known", "n/a"):
        reason = "known failure" if result.status == "known" else "not applicable"
        SubElement(case, "skipped", message=f"{reason}: {message}")
    elif result.status == "fixed":
        SubElement(case, "failure", message=message, type="fixed")
    elif result.status == "fail":
        element = SubElement(case, "failure", message=message, type=visible(result.finding.clause))
        element.text = visible(report if leader is None else _other(result, leader))


def _other(result: Result, leader: Result) -> str:
    finding = result.finding
    return (
        f"the same fault as {leader.case.id} ({leader.mode}), which has the bytes\n"
        f"found     {finding.what}\nexpected  {finding.expected}\ngot       {finding.got}\n"
    )
