"""The kit's cases for drivers: good drivers pass all of them, and each of them tells a fault of a
broken one.
"""

import shutil
import sys

import pytest
from support import driver_mutants as mutants

from kvproto.conformance import workers as worker_cases
from kvproto.conformance.case import LEVELS, MODES
from kvproto.conformance.drivers.cases import CASES
from kvproto.conformance.drivers.runner import run

pytestmark = pytest.mark.slow

OURS = [sys.executable, "-P", "-m", "kvproto.conformance.drivers.adapter"]
LONG = 600.0  # seconds: a safety net; what passes, and what is proved, never takes them
SHORT = 1.5
BY_ID = {case.id: case for case in CASES}


def all_of(mode):
    return [(case, mode) for case in CASES if mode in case.modes]


def faults(results):
    """What fails, as lines for a person."""
    return [
        f"{r.case.id} ({r.mode}): {r.verdict.what}; {r.verdict.got}"
        for r in results
        if r.verdict is not None
    ]


@pytest.mark.parametrize("mode", MODES)
def test_our_own_driver_passes_all_cases(mode):
    assert faults(run(all_of(mode), OURS, LONG, print)) == []


@pytest.mark.parametrize("mode", MODES)
def test_a_driver_in_another_language_that_knows_the_documents_alone_passes_all_cases(mode):
    if shutil.which("perl") is None:
        pytest.skip("no perl on this machine")
    assert faults(run(all_of(mode), mutants.PERL, LONG, print)) == []


def test_a_driver_that_waits_for_each_answer_passes_all_cases_of_a_map():
    assert faults(run(all_of("map"), [*mutants.NAIVE, "waits for each answer"], LONG, print)) == []


def test_the_driver_that_is_broken_in_other_tests_is_good_before():
    assert faults(run(all_of("reduce"), mutants.NAIVE, LONG, print)) == []


@pytest.mark.parametrize(
    "mutant", mutants.MUTANTS, ids=lambda mutant: f"{' and '.join(mutant.faults)}: {mutant.how}"
)
def test_a_broken_driver_is_told_by_the_cases_that_are_there_for_it(mutant):
    cases = [BY_ID[name] for name in mutant.cases.split()]
    chosen = [(case, mutant.mode if mutant.mode in case.modes else case.modes[0]) for case in cases]
    results = run(
        chosen, [*mutants.NAIVE, *mutant.faults], SHORT if mutant.takes_time else LONG, print
    )
    causes = [result.verdict and result.verdict.cause for result in results]
    wanted = [{mutant.how, f"{case.id}: {mutant.how}"} for case in cases]
    assert all(cause in either for cause, either in zip(causes, wanted, strict=True)), faults(
        results
    )


def test_each_case_is_failed_by_a_broken_driver():
    told = {name for mutant in mutants.MUTANTS for name in mutant.cases.split()}
    assert told == set(BY_ID)


def test_ids_are_nobody_elses_and_clauses_are_there():
    text = (mutants.HERE.parent.parent / "PROTOCOL.md").read_text(encoding="utf-8")
    assert len(BY_ID) == len(CASES) and not set(BY_ID) & {case.id for case in worker_cases.CASES}
    for case in CASES:
        assert case.level in LEVELS and set(case.modes) <= set(MODES)
        for clause in case.clauses.split():
            assert f"**{clause}**" in text, case.id
