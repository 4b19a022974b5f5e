"""Runs cases on a worker: which ones, two at a time, and what each of them says.

Promises: results in the order of the table, each schedule played once and once only however many cases ask for it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event, Lock
from typing import NamedTuple

from kvproto.conformance import quiet
from kvproto.conformance.case import LEVELS, Case, Verdict
from kvproto.conformance.cases import CASES
from kvproto.conformance.contract import fault_of_contract
from kvproto.conformance.finding import NotApplicable
from kvproto.conformance.player import Program, play
from kvproto.conformance.schedule import Schedule
from kvproto.conformance.search import search
from kvproto.conformance.setting import Setting
from kvproto.conformance.trace import Trace

__all__ = ["Check", "Checker", "Result", "judged", "run", "select"]

AT_ONCE = 2

MOST_WATCHDOGS, HASTE = 6, 10
"""After so many hangs that took the watchdog's time, since they cannot be proved, other runs get a HASTE-th of it."""

UNSEEN = "this machine's /proc does not tell what the worker is doing, which this case has to know"

COMPARED = 100_000
"""Pairs up to which a run is compared with the contract; of longer ones the lists are counted."""

REMEMBERED = 1 << 20
"""Bytes of stdin up to which a run is kept for other cases; the long ones are of one case each."""


@dataclass(frozen=True)
class Check:
    """Who is checked, and how.

    params      tuple of (name, value): the parameters that the worker needs
    contract    "any", or "reference": it follows CONTRACT.md, and each of its answers is judged by that
    timeout     seconds without a byte moving, where a hang cannot be proved
    n_examples  schedules that are drawn, for each case that draws; `seed` says which
    known       ids, or ID.mode, of cases that are known to fail: they must
    """

    program: Program
    params: tuple[tuple[bytes, bytes], ...] = ()
    contract: str = "any"
    timeout: float = 10.0
    n_examples: int = 50
    seed: int = 0
    known: frozenset[str] = frozenset()


class Result(NamedTuple):
    """What a case says about the worker, or the driver, in one mode. `verdict` as Case.judge gives it."""

    case: Case
    mode: str
    verdict: Verdict
    is_known: bool = False

    @property
    def name(self) -> str:
        """ID.mode."""
        return f"{self.case.id}.{self.mode}"

    @property
    def status(self) -> str:
        """ "pass", "fail", "n/a"; "note": INFO tells; "known": it fails as is known; "fixed": it is to fail and does not."""
        if isinstance(self.verdict, NotApplicable):
            return "n/a"
        if self.verdict is None:
            return "fixed" if self.is_known else "pass"
        return "known" if self.is_known else "note" if self.case.level == "INFO" else "fail"

    @property
    def fails(self) -> bool:
        """Whether the worker does not conform for it, or conforms where it is said that it does not."""
        return self.status in ("fail", "fixed")


def select(
    modes: Iterable[str],
    level: str,
    pattern: str,
    contract: str = "any",
    cases: Iterable[Case] = CASES,
) -> list[tuple[Case, str]]:
    """The cases of a level and those above whose id fits a glob, once for each of these modes it is asked in.

    cases   those to choose from; cases for drivers will do as well
    """
    levels = LEVELS[: LEVELS.index(level) + 1]
    return [
        (case, mode)
        for case in cases
        if case.level in levels
        and case.contract in ("any", contract)
        and fnmatch.fnmatchcase(case.id.lower(), pattern.lower())
        for mode in case.modes
        if mode in modes
    ]


def run(
    chosen: list[tuple[Case, str]], check: Check, on_result: Callable[[Result], object]
) -> list[Result]:
    """Run the chosen cases; on_result is called with each result, in order.

    Raises what `play` raises; whatever ends it, no worker still runs then.
    """
    checker = Checker(check)
    results = []
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        for future in [pool.submit(checker.result, case, mode) for case, mode in chosen]:
            results.append(future.result())
            on_result(results[-1])
    finally:
        checker.stop()
        pool.shutdown(cancel_futures=True)
    return results


def judged(case: Case, contract: str, traces: list[Trace]) -> Verdict:
    """What a case says of its runs so far; where the contract holds, it judges the last of them too."""
    is_asked = contract == "reference" and traces[-1].n_pairs <= COMPARED
    return case.judge(traces) or (fault_of_contract(traces[-1]) if is_asked else None)


class _NotRun(Exception):
    """The argument says why, in words."""


class Checker:
    """Checks one worker, case by case. Each schedule is played once, by whoever asks first; the others wait for that."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._futures: dict[Schedule, Future[Trace]] = {}
        self._lock = Lock()
        self._stopped = Event()
        self._n_watchdogs = 0

    def stop(self) -> None:
        """End the runs under way."""
        self._stopped.set()

    def result(self, case: Case, mode: str) -> Result:
        """What a case says in one mode. Raises what `play` raises."""
        known = self._check.known
        try:
            verdict = self._verdict(case, Setting(mode, self._check.params))
        except _NotRun as e:
            verdict = NotApplicable(str(e))
        return Result(case, mode, verdict, bool(known & {case.id, f"{case.id}.{mode}"}))

    def _verdict(self, case: Case, setting: Setting) -> Verdict:
        check, traces = self._check, []
        for schedule in case.schedules(setting):
            traces.append(self._trace(schedule))
            if verdict := judged(case, check.contract, traces):
                return verdict
        if case.drawn is None:
            return None

        def judge(drawn: list[Trace]) -> Verdict:
            return judged(case, check.contract, drawn)

        return search(case, setting, self._trace, judge, check.n_examples, check.seed)

    def _trace(self, schedule: Schedule) -> Trace:
        """The run of a schedule. Raises _NotRun when it is not to be run any more."""
        if len(schedule.stdin) > REMEMBERED:
            return self._play(schedule)
        with self._lock:
            is_first = schedule not in self._futures
            future = self._futures.setdefault(schedule, Future())
        if is_first:
            try:
                future.set_result(self._play(schedule))
            except BaseException as e:
                future.set_exception(e)
        return future.result()

    def _play(self, schedule: Schedule) -> Trace:
        if self._stopped.is_set():
            raise _NotRun("the check was stopped")
        if schedule.needs_looks and not quiet.can_look():
            raise _NotRun(UNSEEN)
        timeout = self._check.timeout / (HASTE if self._n_watchdogs >= MOST_WATCHDOGS else 1)
        trace = play(schedule, self._check.program, timeout, self._stopped.is_set)
        self._n_watchdogs += trace.ending in ("watchdog", "endless")
        return trace
