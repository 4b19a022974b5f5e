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
from collections.abc import Mapping

from kvproto.conformance.report.parts import leaders, streams, told, words
from kvproto.conformance.report.text import COUNTED
from kvproto.conformance.runner import Result

__all__ = ["MOST_BYTES", "VERSION", "as_json"]

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
