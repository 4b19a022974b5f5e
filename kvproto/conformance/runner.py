"""Runs cases on a worker: which ones, two at a time, and what each of them says.

Promises: results in the order of the table, each schedule played once and once only however many cases ask for it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event, Lock
from typing import NamedTuple

from kvproto.conformance.case import LEVELS, Case, Verdict
from kvproto.conformance.cases import CASES
from kvproto.conformance.finding import Finding, NotApplicable
from kvproto.conformance.player import Program, play
from kvproto.conformance.schedule import Schedule
from kvproto.conformance.trace import Trace

__all__ = ["Result", "run", "select"]

AT_ONCE = 2

MOST_WATCHDOGS = 6
"""After so many hangs that took the watchdog's time, since they cannot be proved, the other cases are not run."""


class Result(NamedTuple):
    """What a case says about the worker in one mode. `verdict` as Case.judge gives it."""

    case: Case
    mode: str
    verdict: Verdict

    @property
    def fails(self) -> bool:
        """Whether the worker does not conform for it: INFO only tells."""
        return isinstance(self.verdict, Finding) and self.case.level != "INFO"

    @property
    def is_noted(self) -> bool:
        """Whether there is something to tell that does not count."""
        return isinstance(self.verdict, Finding) and self.case.level == "INFO"


def select(modes: Iterable[str], level: str, pattern: str) -> list[tuple[Case, str]]:
    """The cases of a level and those above whose id fits a glob, once for each of these modes it is asked in."""
    levels = LEVELS[: LEVELS.index(level) + 1]
    return [
        (case, mode)
        for case in CASES
        if case.level in levels and fnmatch.fnmatchcase(case.id.lower(), pattern.lower())
        for mode in case.modes
        if mode in modes
    ]


def run(
    chosen: list[tuple[Case, str]], program: Program, timeout: float, on_result: Callable[[Result], object]
) -> list[Result]:
    """Run the chosen cases; on_result is called with each result, in order.

    Raises what `play` raises; whatever ends it, no worker still runs then.
    """
    plays = _Plays(program, timeout)
    results = []
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for result in _in_order(pool, chosen, plays):
            on_result(result)
            results.append(result)
    finally:
        plays.stop()
        pool.shutdown(cancel_futures=True)
    return results


def _in_order(pool: ThreadPoolExecutor, chosen: list[tuple[Case, str]], plays: _Plays) -> Iterator[Result]:
    for future in [pool.submit(_result, case, mode, plays) for case, mode in chosen]:
        yield future.result()


def _result(case: Case, mode: str, plays: _Plays) -> Result:
    traces: list[Trace] = []
    for schedule in case.schedules(mode):
        trace = plays.trace(schedule)
        if trace is None:
            return Result(case, mode, NotApplicable(f"not run, after {MOST_WATCHDOGS} hangs that could not be proved"))
        traces.append(trace)
        if verdict := case.judge(traces):
            return Result(case, mode, verdict)
    return Result(case, mode, None)


class _Plays:
    """Each schedule is played once, by whoever asks first; the others wait for that."""

    def __init__(self, program: Program, timeout: float) -> None:
        self._program, self._timeout = program, timeout
        self._futures: dict[Schedule, Future[Trace]] = {}
        self._lock = Lock()
        self._stopped = Event()
        self._n_watchdogs = 0

    def stop(self) -> None:
        """End the runs under way."""
        self._stopped.set()

    def trace(self, schedule: Schedule) -> Trace | None:
        """The run of a schedule; None when it is not to be run any more."""
        with self._lock:
            is_first = schedule not in self._futures
            if is_first and self._n_watchdogs >= MOST_WATCHDOGS:
                return None
            future = self._futures.setdefault(schedule, Future())
        if is_first:
            try:
                trace = play(schedule, self._program, self._timeout, self._stopped.is_set)
                self._n_watchdogs += trace.ending == "watchdog"
                future.set_result(trace)
            except BaseException as e:
                future.set_exception(e)
        return future.result()
