"""Runs the cases on a driver, through its adapter: two at a time, results in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from kvproto.conformance import quiet
from kvproto.conformance.drivers.case import DriverCase
from kvproto.conformance.drivers.judge import fault_of
from kvproto.conformance.drivers.play import Play, ended_at_start, play
from kvproto.conformance.finding import NotApplicable
from kvproto.conformance.runner import AT_ONCE, MOST_WATCHDOGS, Result

__all__ = ["Result", "run"]

HASTE = 3
"""After MOST_WATCHDOGS times that the watchdog's time was up, the other cases get one part in so many of it."""

UNSEEN = "this machine's /proc does not tell how much memory the adapter takes"


def run(
    chosen: list[tuple[DriverCase, str]],
    adapter: list[str],
    timeout: float,
    on_result: Callable[[Result], object],
) -> list[Result]:
    """Run the chosen cases, each in its mode; on_result is called with each result, in order. Its verdict is a
    DriverFinding, NotApplicable when the case cannot be asked here, or None when nothing is wrong.

    adapter   the command that starts it
    timeout   seconds, the watchdog's

    Raises WorkerNotStarted when the adapter cannot be started; whatever ends it, nothing still runs then.
    """
    stopped, watchdogs = Event(), []

    def result(case: DriverCase, mode: str) -> Result:
        if case.is_frugal and not quiet.can_look():
            return Result(case, mode, NotApplicable(UNSEEN))
        limit = timeout / (HASTE if len(watchdogs) >= MOST_WATCHDOGS else 1)
        facts: Play = play(case, mode, adapter, limit, stopped.is_set)
        if error := ended_at_start(facts):
            raise error
        if facts.ending == "watchdog":
            watchdogs.append(case)
        return Result(case, mode, fault_of(case, facts))

    results = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(result, *one) for one in chosen]
        try:
            for future in futures:
                results.append(future.result())
                on_result(results[-1])
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return results
