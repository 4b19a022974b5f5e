"""Cases against workers: each fault is told under its own id, and under no other; correct workers
are clean.
"""

import os
from fnmatch import fnmatchcase

import pytest
from support import catalogue, contract_mutants, unknown_mutants
from support import conformance_mutants as mutants
from support.languages import LANGUAGES, missing, program
from support.shared import shared_base

from kvproto.conformance.case import Case
from kvproto.conformance.confinement import witnesses
from kvproto.conformance.oracle import CAUSES
from kvproto.conformance.player import Program
from kvproto.conformance.report.parts import failures
from kvproto.conformance.report.text import report
from kvproto.conformance.runner import Check, run, select
from kvproto.conformance.schedule import Setting
from kvproto.conformance.trace import Finding
from kvproto.conformance.workers import CASES
from kvproto.driver.files import external

pytestmark = pytest.mark.slow

FEW = [
    "MAP-lockstep",
    "MAP-one-list-each",
    "MAP-lists-alone",
    "MAP-no-pairs",
    "MAP-echo",
    "REDUCE-lists-alone",
    "REDUCE-no-pairs",
    "PARAMS-cut",
    "PARAMS-none",
    "PARAMS-one",
    "LIFECYCLE-exit-status",
    "LIFECYCLE-ends",
    "LIFECYCLE-reads-all",
    "LIFECYCLE-keeps-stdout",
    "LIFECYCLE-full-stdout",
    "LIFECYCLE-no-stdout",
    "FILES-supporting",
    "FILES-not-there",
    "STDERR-no-error",
    "STDERR-ended",
    "STDERR-tagged",
    "STDERR-says-why",
    "STDERR-message",
    "STDERR-error",
]
"""Short cases of each kind of fault, which each worker gets besides those that must report it."""

MOST_RUNS = 3

SLOW = ("java", "javascript", "tcl")
"""Languages whose programs take long to start."""

ONLY_IN_A_MAP = ("too many lists", "too few lists", "answers held back")
NOTED = [*mutants.NOTED, *unknown_mutants.NOTED]

LONG = [
    "*-drawn",
    "*-drawn-told",
    "*-buffer-sizes",
    "*-size-16-mib",
    "*-tiny-pairs",
    "*-slow-reader",
    "*-both-full",
    "*-one-key",
    "*-hold",
    "*-large",
    "*-flood",
    "*-midway",
    "*-of-much",
    "*-1-mib",
    "*-announced",
    "*-flat",
    "*-flat-memory",
    "*-allocated",
    "*-two-pieces",
]
"""Cases of much input or of many runs: only those workers get them that they must tell of."""


def chosen(
    mode: str, named: str, contract: str, level: str = "SHOULD", is_slow: bool = False
) -> list[tuple[Case, str]]:
    """The named cases and a few; where there is time (`make matrix`), and the worker is not slow to
    start, all of this contract that are of few runs, and not long.
    """
    is_more = "MATRIX" in os.environ and not is_slow

    def is_wanted(case: Case) -> bool:
        if case.id in FEW or case.id in named.split():
            return True
        if not is_more or case.contract != contract or is_long(case.id):
            return False
        return len(case.schedules(Setting(mode))) <= MOST_RUNS

    return [(case, mode) for case, mode in select([mode], level, "*", contract) if is_wanted(case)]


def is_long(id: str) -> bool:
    return any(fnmatchcase(id, pattern) for pattern in LONG)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("workers")


def check(mutant, mode, contract, directory):
    """A fault is told once, by the case that it belongs to, and by no other."""
    ids, words = getattr(mutant, mode)
    if ids.startswith("FILES-") and contract == "any" and "strace" not in witnesses():
        pytest.skip("no strace on this machine")
    results = run(
        chosen(mode, ids, contract),
        Check(mutant.program(directory), contract=contract, timeout=mutant.watchdog),
        lambda result: None,
    )
    told = failures(results)
    directories = {f"{one.result.case.id}.{mode}": "evidence" for one in told}
    text = report("worker", results, directories)
    assert sorted(one.result.case.id for one in told) == sorted(ids.split()), text
    assert words in " ".join(text.split())


def in_its_modes(table):
    """A parameter of pytest for each mode in which something is said of a worker."""
    return [
        pytest.param(mutant, mode, id=f"{mutant.name}-{mode}")
        for mutant in table
        for mode in ("map", "reduce")
        if getattr(mutant, mode) is not None
    ]


@pytest.mark.parametrize(("mutant", "mode"), in_its_modes([*mutants.MUTANTS, *unknown_mutants.ANY]))
def test_a_fault_is_told_once_by_the_case_that_it_belongs_to(mutant, mode, directory):
    check(mutant, mode, "any", directory)


@pytest.mark.parametrize(("mutant", "mode"), in_its_modes(contract_mutants.TOLD))
def test_a_fault_against_the_contract_is_told_once_by_the_case_that_it_belongs_to(
    mutant, mode, directory
):
    check(mutant, mode, "reference", directory)


@pytest.mark.parametrize("source", mutants.CORRECT)
def test_a_correct_worker_is_clean(source, directory):
    cases = select(["map", "reduce"], "INFO", "*")
    if source != catalogue.IDENTITY:
        cases = [(case, mode) for case, mode in cases if not is_long(case.id)]
    told, text = told_of(mutants.program(source, directory), cases, "any")
    assert told == ["LIFECYCLE-unknown-mode"], (
        text
    )  # none of them looks at its mode, which fails nobody


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_worker_that_follows_the_contract_is_clean(language, tmp_path_factory):
    if lacking := missing(language):
        pytest.skip(f"no {', '.join(lacking)} on this machine")
    files = external(program(language, shared_base(tmp_path_factory)))
    worker = Program(
        language, {name: catalogue.with_interpreter(data) for name, data in files.items()}
    )
    cases = [
        one
        for mode in ("map", "reduce")
        for one in chosen(mode, "", "reference", "INFO", language in SLOW)
    ]
    if language == "c":
        cases = select(["map", "reduce"], "INFO", "*", "reference")
    told, text = told_of(worker, cases, "reference")
    assert told == ["LIFECYCLE-no-stdout"] * 2 * LANGUAGES[language].opens_null, text


def told_of(worker, cases, contract):
    """The cases that have something to say of a worker, and the report; drawn schedules are few
    where time is short.
    """
    n_examples = 50 if "MATRIX" in os.environ else 10
    results = run(
        cases, Check(worker, contract=contract, n_examples=n_examples), lambda result: None
    )
    found = [result for result in results if result.verdict is not None]
    text = report(worker.path, found, {result.name: "evidence" for result in found})
    return [result.case.id for result in found], text


@pytest.mark.parametrize(("mutant", "id"), NOTED, ids=lambda value: getattr(value, "name", value))
def test_what_only_informs_fails_nobody(mutant, id, directory):
    results = run(
        select(["map"], "INFO", id), Check(mutant.program(directory)), lambda result: None
    )
    assert results and all(
        isinstance(result.verdict, Finding) and not result.fails for result in results
    )


def test_each_case_has_a_worker_that_it_tells_of():
    named = {id for _, id in NOTED}
    for mutant in [*mutants.MUTANTS, *unknown_mutants.ANY, *contract_mutants.TOLD]:
        named |= {
            id for mode in ("map", "reduce") for id in (getattr(mutant, mode) or ("",))[0].split()
        }
    assert {case.id for case in CASES} - named == set()


def test_each_cause_is_told_by_a_case_in_each_mode():
    for cause in CAUSES:
        modes = {mode for case in CASES if cause in case.reports for mode in case.modes}
        assert "map" in modes and ("reduce" in modes or cause in ONLY_IN_A_MAP), cause


def test_ids_are_of_a_section_and_stable_in_form_and_clauses_are_there():
    text = (mutants.catalogue.HERE.parent.parent / "PROTOCOL.md").read_text(encoding="utf-8")
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids))
    for case in CASES:
        assert case.id.partition("-")[0] in (
            "MAP",
            "REDUCE",
            "PARAMS",
            "STDERR",
            "LIFECYCLE",
            "LIMITS",
            "FILES",
        )
        assert not case.id.rpartition("-")[2].isdigit()  # a clause's name
        for clause in case.clauses.split():
            assert f"**{clause}**" in text, case.id


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_bytes_of_each_schedule_are_what_it_says(case):
    for mode in case.modes:
        for schedule in case.schedules(Setting(mode)):
            assert schedule.flaw() == ""
            assert type(schedule).from_json(schedule.to_json()) == schedule


@pytest.mark.skipif("strace" not in witnesses(), reason="no strace on this machine")
@pytest.mark.parametrize(
    ("source", "id"),
    [("reads_outside.py", "FILES-reads-own"), ("writes_a_file.py", "FILES-writes-none")],
)
def test_a_file_that_is_touched_is_told_by_one_case_alone(source, id, directory):
    results = run(
        select(["map"], "MUST", "FILES-*"),
        Check(mutants.program(source, directory)),
        lambda result: None,
    )
    assert [result.case.id for result in results if result.fails] == [id]
