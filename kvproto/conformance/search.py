"""Draws schedules with Hypothesis until one of them gives a finding, and shrinks that.

Promises: the same seed draws the same schedules; the schedule that is shown has the cause of the first that failed.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from kvproto.conformance import quiet
from kvproto.conformance.case import Case, Verdict
from kvproto.conformance.finding import Finding, NotApplicable
from kvproto.conformance.schedule import End, Exit, Schedule, Send
from kvproto.conformance.setting import Setting
from kvproto.conformance.trace import Trace

__all__ = ["search"]

_one_at_a_time = Lock()  # Hypothesis has state of the whole process


class _Found(Exception):
    pass


def search(
    case: Case,
    setting: Setting,
    play: Callable[[Schedule], Trace],
    judge: Callable[[list[Trace]], Verdict],
    n_examples: int,
    seed: int,
) -> Verdict:
    """The finding of the smallest of `n_examples` schedules of `case.drawn` that gives one; None: none does."""
    if n_examples < 1:
        return NotApplicable("--examples 0 was given: no schedules are drawn")
    try:
        import hypothesis
    except ImportError:
        return NotApplicable("it needs Hypothesis: pip install 'kvproto[check]'")
    found: list[Finding] = []

    def attempt(schedule: Schedule) -> None:
        if schedule.needs_looks and not quiet.can_look():
            return
        traces = [play(schedule)] if schedule.breaks else [play(_plain(schedule)), play(schedule)]
        verdict = judge(traces)
        if isinstance(verdict, Finding) and (not found or verdict.cause == found[0].cause):
            found.append(verdict)
            raise _Found

    limits = hypothesis.settings(
        max_examples=n_examples,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=hypothesis.Verbosity.quiet,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with _one_at_a_time:
        try:
            hypothesis.seed(seed)(limits(hypothesis.given(case.drawn(setting))(attempt)))()
        except _Found:
            pass
    return found[-1] if found else None  # the last one that Hypothesis tries is the smallest


def _plain(schedule: Schedule) -> Schedule:
    """All its bytes at once."""
    return Schedule((Send(schedule.stdin), End(), Exit()), schedule.argument)
