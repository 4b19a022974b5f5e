"""Cases against workers: each fault is told under its own id, and under no other; correct workers are clean."""

import os

import conformance_mutants as mutants
import pytest

from kvproto.conformance.case import Case
from kvproto.conformance.cases import CASES
from kvproto.conformance.finding import Finding
from kvproto.conformance.oracle import CAUSES
from kvproto.conformance.report.grouping import failures
from kvproto.conformance.report.text import report
from kvproto.conformance.runner import Check, run, select
from kvproto.conformance.setting import Setting

FEW = {"MAP-lockstep", "MAP-one-list-each", "MAP-lists-alone", "REDUCE-lists-alone", "MAP-no-pairs", "REDUCE-no-pairs"}


def chosen(mode: str, named: str) -> list[tuple[Case, str]]:
    """All cases where there is time (CI); else the named ones, those of one plain run, and some more."""
    every = select([mode], "SHOULD", "*")
    few = {*FEW, *named.split(), *(case.id for case, _ in every if not case.id.startswith(("MAP-", "REDUCE-")))}
    return every if "CI" in os.environ else [(case, mode) for case, mode in every if case.id in few]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("workers")


@pytest.mark.parametrize("mode", ["map", "reduce"])
@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.source)
def test_a_fault_is_told_once_by_the_case_that_it_belongs_to(mutant, mode, directory):
    ids, words = getattr(mutant, mode)
    program = mutants.program(mutant.source, directory)
    results = run(chosen(mode, ids), Check(program, timeout=mutant.watchdog), lambda result: None)
    told = failures(results)
    directories = {f"{one.result.case.id}.{mode}": "evidence" for one in told}
    text = report("worker", results, directories)
    assert {one.result.case.id for one in told} == set(ids.split()), text
    assert words in " ".join(text.split())


@pytest.mark.parametrize("source", mutants.CORRECT)
def test_a_correct_worker_conforms(source, directory):
    program = mutants.program(source, directory)
    results = run(select(["map", "reduce"], "SHOULD", "*"), Check(program), lambda result: None)
    assert [(result.case.id, result.verdict) for result in results if result.verdict is not None] == []


@pytest.mark.parametrize(("source", "id"), mutants.NOTED)
def test_what_only_informs_fails_nobody(source, id, directory):
    program = mutants.program(source, directory)
    results = run(select(["map"], "INFO", id), Check(program), lambda result: None)
    assert results and all(isinstance(result.verdict, Finding) and not result.fails for result in results)


def test_each_case_has_a_worker_that_it_tells_of():
    named = {id for _, id in mutants.NOTED}
    for mutant in mutants.MUTANTS:
        named |= {*mutant.map[0].split(), *mutant.reduce[0].split()}
    assert {case.id for case in CASES} - named == set()


def test_each_cause_is_told_by_one_case_in_each_mode():
    for cause in CAUSES:
        tells = [(mode, case.id) for case in CASES for mode in case.modes if cause in case.tells]
        modes = [mode for mode, _ in tells]
        assert sorted(modes) == sorted(set(modes)), tells
        assert "map" in modes, cause


def test_ids_are_of_a_section_and_stable_in_form_and_clauses_are_there():
    text = (mutants.catalogue.HERE.parent.parent / "PROTOCOL.md").read_text(encoding="utf-8")
    ids = [case.id for case in CASES]
    assert len(ids) == len(set(ids))
    for case in CASES:
        assert case.id.partition("-")[0] in ("MAP", "REDUCE", "PARAMS", "STDERR", "LIFECYCLE", "LIMITS", "FILES")
        assert not case.id.rpartition("-")[2].isdigit()  # a clause's name
        for clause in case.clauses.split():
            assert f"**{clause}**" in text, case.id


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_bytes_of_each_schedule_are_what_it_says(case):
    for mode in case.modes:
        for schedule in case.schedules(Setting(mode)):
            assert schedule.flaw() == ""
            assert type(schedule).from_json(schedule.to_json()) == schedule
