"""The report as one JSON document, for programs. Its structure is stable: `version` changes with it.

    version   1
    subject   the worker, or the adapter of a driver
    verdict   "conforms" or "does not conform"
    counts    status -> how many results have it; all six are there
    results   a list, in the order of the table, of objects:
      id, mode, level, title
      clauses   a list of clauses of PROTOCOL.md
      status    "pass"; "fail"; "n/a", it does not apply; "note", of level INFO, which fails nobody;
                "known", a known failure; "fixed", listed as a known failure and passes, so the whole does not conform
      why       what is said of it in words; "" for "pass"
      finding   null, or for "fail", "note" and "known" an object:
        cause     the same in all results with the same fault
        clause, what, expected, got
        likely    the likely mistake, or null; of a driver always null
        at        offset of the first wrong byte, of a worker in stdout, of a driver in stdin; or null
        same_as   "ID.mode" of the failure that tells of this fault, where that is another one; or null
        evidence  path of its directory; or null
        stdin, stdout, stderr   objects: base64, the first 65536 of the bytes that were kept; kept and length, how many
                  bytes were kept and were there. Of a driver: what the worker read, what the adapter wrote to stdout,
                  the end of what it wrote to stderr

Texts are as they came: what a file or an argument has of bytes that are no UTF-8 is there as lone surrogates, escaped.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kvproto.conformance.display import visible
from kvproto.conformance.report.parts import (
    Failure,
    by_section,
    failures,
    leaders,
    streams,
    told,
    words,
)
from kvproto.conformance.report.text import COUNTED, conclusion, failure
from kvproto.conformance.runner import Result

__all__ = ["MOST_BYTES", "VERSION", "as_json", "junit", "tap"]

VERSION = 1
MOST_BYTES = 1 << 16


def as_json(subject: str, results: list[Result], directories: Mapping[str, str]) -> str:
    """The report about a worker or a driver.

    directories   case id and mode, as `ID.mode` -> where its evidence is
    """
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


def _result(result: Result, leader: Result | None, directories: Mapping[str, str]) -> dict:
    case = result.case
    return {
        "id": case.id,
        "mode": result.mode,
        "level": case.level,
        "clauses": case.clauses.split(),
        "title": case.title,
        "status": result.status,
        "why": words(result),
        "finding": _finding(result, leader, directories)
        if result.status in ("fail", "note", "known")
        else None,
    }


def _finding(result: Result, leader: Result | None, directories: Mapping[str, str]) -> dict:
    finding = result.verdict
    return {
        "cause": finding.cause,
        "clause": finding.clause,
        "what": finding.what,
        "expected": finding.expected,
        "got": finding.got,
        "likely": told(result).fields.get("likely"),
        "at": finding.at,
        "same_as": leader and leader.name,
        "evidence": directories.get(result.name),
        **{name: _stream(data, n_all) for name, (data, n_all) in streams(finding).items()},
    }


def _stream(data: bytes, n_all: int) -> dict:
    return {
        "base64": base64.b64encode(data[:MOST_BYTES]).decode(),
        "kept": len(data),
        "length": n_all,
    }


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


def junit(subject: str, results: list[Result], directories: Mapping[str, str]) -> str:
    """The report about a worker or a driver.

    directories   case id and mode, as `ID.mode` -> where its evidence is
    """
    told = {one.result.name: one for one in failures(results)}
    same = leaders(results)
    root = Element("testsuites", name=visible(f"kvproto check {subject}"), **_counts(results))
    for section, some in by_section(results).items():
        suite = SubElement(root, "testsuite", name=section, **_counts(some))
        for result in some:
            case = SubElement(
                suite,
                "testcase",
                name=f"{result.case.id} ({result.mode})",
                classname=f"kvproto.{section}",
            )
            _tell(case, result, told.get(result.name), same.get(result.name), directories)
    ElementTree.indent(root)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        + ElementTree.tostring(root, encoding="unicode")
        + "\n"
    )


def _counts(results: Iterable[Result]) -> dict[str, str]:
    statuses = [result.status for result in results]
    n_failures = statuses.count("fail") + statuses.count("fixed")
    n_skipped = statuses.count("known") + statuses.count("n/a")
    return {
        "tests": str(len(statuses)),
        "failures": str(n_failures),
        "errors": "0",
        "skipped": str(n_skipped),
    }


def _tell(
    case: Element,
    result: Result,
    one: Failure | None,
    leader: Result | None,
    directories: Mapping[str, str],
) -> None:
    said = visible(words(result))
    if result.status == "note":
        SubElement(case, "system-out").text = f"note: {said}"
    elif result.status in ("known", "n/a"):
        reason = "known failure" if result.status == "known" else "not applicable"
        SubElement(case, "skipped", message=f"{reason}: {said}")
    elif result.status == "fixed":
        SubElement(case, "failure", message=said, type="fixed")
    elif result.status == "fail":
        element = SubElement(case, "failure", message=said, type=visible(result.verdict.clause))
        element.text = visible(
            failure(one, directories[result.name]) if one else _other(result, leader)
        )


def _other(result: Result, leader: Result) -> str:
    finding = result.verdict
    return (
        f"the same fault as {leader.case.id} ({leader.mode}), which has the bytes\n"
        f"found     {finding.what}\nexpected  {finding.expected}\ngot       {finding.got}\n"
    )
