"""`pytest --clauses`: the tests of each clause of PROTOCOL.md and of each promise of the classic
interface's documentation.

A test names what it shows: `@pytest.mark.clause("FRAME-1")`, `@pytest.mark.documented("2 map: is
the map of the job")`, the number being that of a section below. The report replaces the run. It
fails when a clause with a MUST has no test, when a test names a clause that does not exist, and
when no promise begins with the name of a documented parameter.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from kvproto.classic.worker import PARAMETERS

PROTOCOL = Path(__file__).parents[2] / "PROTOCOL.md"

SECTIONS = {
    1: "The runtime environment",
    2: "The parameters of Worker",
    3: "jobdict",
    4: "In a task",
    5: "Functions",
    6: "When to use external programs",
    7: "The external interface",
    8: "External map",
    9: "External reduce",
    10: "Messages",
    11: "Parameters of external programs",
    12: "What an external task consists of",
    13: "The C library",
    14: "external()",
    15: "Parameters that the documentation of the worker leaves to that of the job",
}

UNDOCUMENTED = {
    "attempts",
    "bad_inputs",
    "ext_limits",
    "keep_map",
    "max_bad_records",
    "merge_partitions",
    "text",
    "trust",
    "speculate",
    "unpack",
}
"""Parameters that the documentation does not have."""


def clauses() -> dict[str, str]:
    """The clauses of PROTOCOL.md: id -> text."""
    text = PROTOCOL.read_text(encoding="utf-8")
    return dict(re.findall(r"^\*\*([A-Z]+-\d+)\*\* (.*?)\n\n", text, re.DOTALL | re.MULTILINE))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clauses", action="store_true", help="print the tests of each clause, and run none"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", 'clause("FRAME-1", ...): clauses of PROTOCOL.md it shows')
    config.addinivalue_line(
        "markers", 'documented("2 map: ...", ...): documented promises it shows'
    )
    if config.getoption("--clauses"):
        config.pluginmanager.register(Report())


class Report:
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Print the report instead of running the tests."""
        by_clause = tests_by_mark(session.items, "clause")
        by_promise = tests_by_mark(session.items, "documented")
        lines = []
        for clause in clauses():
            lines += [clause, *by_clause[clause]]
        for number, title in SECTIONS.items():
            lines += ["", f"{number} {title}"]
            for promise in by_promise:
                if promise.startswith(f"{number} "):
                    lines += [promise, *by_promise[promise]]
        wrong = problems(by_clause, by_promise)
        print(*lines, sep="\n")
        print(*wrong, sep="\n", end="\n" * bool(wrong), file=sys.stderr)
        session.testsfailed = len(wrong)
        return True


def tests_by_mark(items: list[pytest.Item], name: str) -> defaultdict[str, list[str]]:
    """What the marks of one name say -> the tests that have it, without their parameters."""
    tests: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for item in items:
        if item.get_closest_marker("skip") is None:
            for mark in item.iter_markers(name):
                for argument in mark.args:
                    tests[argument]["    " + item.nodeid.partition("[")[0]] = None
    return defaultdict(list, {argument: list(names) for argument, names in tests.items()})


def problems(by_clause: dict[str, list[str]], by_promise: dict[str, list[str]]) -> list[str]:
    """What has no test, and what a test names although it does not exist."""
    known = clauses()
    tested = {clause for clause, tests in by_clause.items() if tests}
    binding = {clause for clause, text in known.items() if "MUST" in text}
    sections = tuple(f"{number} " for number in SECTIONS)
    about = {
        promise.partition(":")[0].partition(" ")[2] for promise in by_promise if ":" in promise
    }
    return [
        *(f"no test names {clause}" for clause in sorted(binding - tested)),
        *(f"PROTOCOL.md has no clause {clause}" for clause in sorted(tested - known.keys())),
        *(f"no section of that number: {p}" for p in by_promise if not p.startswith(sections)),
        *(f"no test is about {name}" for name in sorted(set(PARAMETERS) - UNDOCUMENTED - about)),
    ]
