"""The report as JUnit's XML, which CI services show: a testsuite for each section, a testcase for each case and mode.

Promises: well-formed whatever the worker wrote: what XML cannot hold is there as an escape sequence. Known failures and
what does not apply are skipped, and say which they are; a note passes, and tells in its system-out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from kvproto.conformance.report.grouping import Failure, failures
from kvproto.conformance.report.parts import by_section, leaders, words
from kvproto.conformance.report.text import failure
from kvproto.conformance.runner import Result
from kvproto.conformance.wording import visible

__all__ = ["junit"]


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
