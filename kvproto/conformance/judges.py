"""Judges that compare several runs, or check more than `oracle.fault_of` does.

Each function is, or makes, a judge for `Case.judge`, which takes the traces so far.
"""

from __future__ import annotations

import dataclasses
import itertools

from kvproto.conformance.case import Judge, Verdict
from kvproto.conformance.contract import first_difference, pairs_of_lists
from kvproto.conformance.oracle import BAD_INPUT, UNWRITTEN, fault_of, must_fail
from kvproto.conformance.schedule import CloseOutput
from kvproto.conformance.trace import Finding, NotApplicable, Trace

__all__ = [
    "as_plain",
    "fails",
    "keeps_nothing",
    "same_answers",
    "same_as_itself",
    "unwritable",
    "uses_at_most",
]

UNSTABLE = "it answers the same input differently from run to run"
DEPENDS = "its answers depend on when its input comes"


def fails(why: str, clause: str, cause: str = BAD_INPUT) -> Judge:
    """Make a judge of a run in which the worker must not exit with status 0; see `must_fail`."""
    return lambda traces: must_fail(traces[-1], why, clause, cause)


def same_as_itself(traces: list[Trace]) -> Verdict:
    """Judge two runs of the same schedule, which must have the same answers."""
    return fault_of(traces[-1]) or (
        _difference(traces, "LIFECYCLE-9", UNSTABLE, UNSTABLE) if len(traces) > 1 else None
    )


def same_answers(clause: str, what: str) -> Judge:
    """Make a judge of runs that must agree; the first two are equal and check stability."""

    def judge(traces: list[Trace]) -> Verdict:
        if finding := fault_of(traces[-1]):
            return finding
        if len(traces) == 2 and _answers(traces[1]) != _answers(traces[0]):
            return NotApplicable(UNSTABLE)
        return _difference(traces, clause, what) if len(traces) > 2 else None

    return judge


def as_plain(traces: list[Trace]) -> Verdict:
    """Judge a drawn run by a plain run of the same bytes: it must have no fault and agree.

    The case applies only if two equal plain runs agree.
    """
    plain, trace = traces[0], traces[-1]
    schedule = trace.schedule
    if schedule.breaks:
        return must_fail(trace, "its input is cut short", schedule.breaks, BAD_INPUT)
    if CloseOutput() in schedule.steps:
        finding = must_fail(trace, "nobody reads its output", "LIFECYCLE-3", UNWRITTEN)
        return finding if plain.stdout else None
    if schedule.turn > 1 and _answers(trace) != _answers(plain):
        return NotApplicable(UNSTABLE)
    return fault_of(trace) or _difference([plain, trace], "FRAME-5", DEPENDS)


def unwritable(why: str) -> Judge:
    """Make a judge of two runs: one in which the worker can write, and one in which it cannot."""

    def judge(traces: list[Trace]) -> Verdict:
        if len(traces) == 1:
            return None if traces[0].stdout else NotApplicable("it writes nothing to stdout")
        finding = must_fail(traces[1], why, "LIFECYCLE-3", UNWRITTEN)
        return finding and dataclasses.replace(finding, also=(traces[0],))

    return judge


def uses_at_most(
    n_bytes: int, clause: str, what: str, then: Judge, is_touched: bool = True
) -> Judge:
    """Make a judge: memory may grow by n_bytes between two measures; then `then` judges.

    is_touched  whether touched memory counts, or requested memory
    """

    def judge(traces: list[Trace]) -> Verdict:
        trace = traces[-1]
        if trace.ending == "floods":
            return NotApplicable("it writes more than the kit keeps")
        if len(trace.memory) == 2:
            before, after = (memory[is_touched] for memory in trace.memory)
            if after - before > n_bytes:
                return Finding(
                    "memory grows",
                    clause,
                    what,
                    f"at most {n_bytes >> 20} MiB more than before",
                    f"{(after - before) >> 20} MiB more, {after >> 20} MiB in all",
                    trace,
                )
        return then(traces)

    return judge


def keeps_nothing(n_pairs: int, n_bytes: int) -> Judge:
    """Make a judge: memory must not grow by n_bytes for each pair in every stage of n_pairs."""

    def judge(traces: list[Trace]) -> Verdict:
        trace = traces[-1]
        if trace.ending == "floods":
            return NotApplicable("it writes more than the kit accepts")
        if finding := fault_of(trace):
            return finding
        touched = [memory[1] for memory in trace.memory]
        grown = [after - before for before, after in itertools.pairwise(touched)]
        if min(grown, default=0) <= n_bytes * n_pairs:
            return None
        return Finding(
            "memory grows with the pairs",
            "LIMITS-6",
            "its memory grows with the number of pairs",
            "the same memory however many pairs there are, unless what it computes needs more",
            f"at least {round(min(grown) / n_pairs)} bytes more for each pair; "
            f"{touched[-1] >> 20} MiB in all after {n_pairs * len(touched)} pairs",
            trace,
        )

    return judge


def _answers(trace: Trace) -> bytes:
    return trace.stdout if trace.schedule.argument == "map" else pairs_of_lists(trace.lists)


def _difference(
    traces: list[Trace], clause: str, what: str, cause: str = DEPENDS
) -> Finding | None:
    """Report where the last run differs from the first one."""
    expected, got = _answers(traces[0]), _answers(traces[-1])
    if expected == got:
        return None
    return first_difference(cause, clause, what, expected, got, traces[-1], also=tuple(traces[:-1]))
