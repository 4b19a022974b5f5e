"""Runs cases on a worker, two at a time.

Results come in the order of the table. Each schedule is played once, however many cases use it.
Hypothesis draws random schedules until one gives a finding, and then shrinks that one: the smallest
schedule has the same cause as the first that failed. The same seed draws the same schedules.
"""

from __future__ import annotations

import fnmatch
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock
from typing import NamedTuple, TypeVar

from kvproto.conformance import quiet
from kvproto.conformance.answers import Pair
from kvproto.conformance.case import LEVELS, BaseCase, Case, Verdict
from kvproto.conformance.contract import fault_of_contract
from kvproto.conformance.player import Program, play
from kvproto.conformance.schedule import Schedule, Send, Setting, until_exit
from kvproto.conformance.trace import BaseFinding, Finding, NotApplicable, Trace
from kvproto.conformance.workers import CASES
from kvproto.driver.signals import deferred
from kvproto.errors import KnownError

__all__ = [
    "AT_ONCE",
    "MOST_WATCHDOGS",
    "Check",
    "Checker",
    "KnownError",
    "Result",
    "judged",
    "read_known",
    "run",
    "run_all",
    "select",
    "select_from",
]

AT_ONCE = 2

MOST_WATCHDOGS, HASTE = 6, 10
"""After MOST_WATCHDOGS hangs without a proof, the watchdog's time is divided by HASTE."""

UNSEEN = (
    "the /proc of this machine does not show what the worker is doing, and this case needs that"
)

COMPARED = 100_000
"""The most pairs of a run that is compared with the contract; longer runs are only counted."""

REMEMBERED = 1 << 20
"""The most bytes of stdin of a run that is kept for other cases."""

REMEMBERED_IN_ALL = 64 << 20
"""About the most memory, in bytes, for runs that are kept for other cases."""


@dataclass(frozen=True)
class Check:
    """Which worker is checked, and how.

    params      names and values of the parameters that the worker needs
    contract    "any", or "reference" for a worker whose answers must be those of CONTRACT.md
    timeout     seconds without a byte moving that count as a hang where none can be proved
    n_examples  the number of schedules that a case draws, with `seed`
    known       cases, as ID or ID.mode, that must fail
    """

    program: Program
    params: tuple[Pair, ...] = ()
    contract: str = "any"
    timeout: float = 10.0
    n_examples: int = 50
    seed: int = 0
    known: frozenset[str] = frozenset()


class Result(NamedTuple):
    """The result of a case in one mode; the verdict is None if nothing is wrong."""

    case: BaseCase
    mode: str
    verdict: BaseFinding | NotApplicable | None
    is_known: bool = False

    @property
    def name(self) -> str:
        """The name of the result: ID.mode."""
        return f"{self.case.id}.{self.mode}"

    @property
    def status(self) -> str:
        """One of "pass", "fail", "n/a", "note" (a finding of level INFO), "known" and "fixed".

        A case that is listed as a known failure is "known" if it fails, and "fixed" if it passes.
        """
        if isinstance(self.verdict, NotApplicable):
            return "n/a"
        if self.verdict is None:
            return "fixed" if self.is_known else "pass"
        return "known" if self.is_known else "note" if self.case.level == "INFO" else "fail"

    @property
    def fails(self) -> bool:
        """Whether the whole check fails because of this result."""
        return self.status in ("fail", "fixed")

    @property
    def finding(self) -> BaseFinding:
        """The verdict of a result that is a finding."""
        assert isinstance(self.verdict, BaseFinding)
        return self.verdict


_Case = TypeVar("_Case", bound=BaseCase)


def select(
    modes: Iterable[str], level: str, pattern: str, contract: str = "any"
) -> list[tuple[Case, str]]:
    """Select from the cases for workers; see `select_from`."""
    return select_from(CASES, modes, level, pattern, contract)


def select_from(
    cases: Iterable[_Case], modes: Iterable[str], level: str, pattern: str, contract: str = "any"
) -> list[tuple[_Case, str]]:
    """Select the cases of a level and above whose id matches a glob, once for each mode."""
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


def read_known(path: Path) -> frozenset[str]:
    """Read a file of known failures: ID or ID.mode on each line; `#` begins a comment.

    Raises KnownError for a line that names no case, OSError, UnicodeDecodeError.
    """
    names = {case.id for case in CASES}
    names |= {f"{case.id}.{mode}" for case in CASES for mode in case.modes}
    known = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name = line.partition("#")[0].strip()
        if name and name not in names:
            raise KnownError(
                f"{path}, line {number}: {name!r} is not a case, "
                "nor a case followed by .map or .reduce"
            )
        known.add(name)
    return frozenset(known - {""})


def run(
    chosen: list[tuple[Case, str]], check: Check, on_result: Callable[[Result], object]
) -> list[Result]:
    """Run the chosen cases on a worker; see `run_all`. Raises what `play` raises."""
    checker = Checker(check)
    return run_all(checker.result, chosen, on_result, checker.stop)


def run_all(
    result: Callable[[_Case, str], Result],
    chosen: list[tuple[_Case, str]],
    on_result: Callable[[Result], object],
    stop: Callable[[], None],
) -> list[Result]:
    """Get the result of each case and mode, AT_ONCE at a time.

    on_result  is called with each result, in order
    stop       is called at the end, also after an exception; it must end the runs under way
    """
    results: list[Result] = []
    ended: SimpleQueue[Future[Result]] = SimpleQueue()
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        with deferred():
            futures = [pool.submit(result, case, mode) for case, mode in chosen]
            for future in futures:
                future.add_done_callback(ended.put)
        seen: set[Future[Result]] = set()
        for future in futures:
            while future not in seen:
                seen.add(ended.get())
            results.append(future.result())
            on_result(results[-1])
    finally:
        with deferred():
            stop()
            pool.shutdown(cancel_futures=True)
    return results


def judged(case: Case, contract: str, traces: list[Trace]) -> Verdict:
    """Judge the runs so far, also by the contract if the worker follows it."""
    is_asked = contract == "reference" and traces[-1].n_pairs <= COMPARED
    return case.judge(traces) or (fault_of_contract(traces[-1]) if is_asked else None)


class _NotRunError(Exception):
    """A schedule cannot be played; the argument says why."""


class Checker:
    """Checks one worker, case by case.

    The first case that needs a schedule plays it; others wait for that run. When the runs take too
    much memory, those that were not needed for the longest time are forgotten.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._futures: OrderedDict[Schedule, Future[Trace]] = OrderedDict()
        self._sizes: dict[Schedule, int] = {}  # of the runs that have ended
        self._lock = Lock()
        self._stopped = Event()
        self._n_watchdogs = 0

    def stop(self) -> None:
        """End the runs under way."""
        self._stopped.set()

    def result(self, case: Case, mode: str) -> Result:
        """Run a case in one mode. Raises what `play` raises."""
        known = self._check.known
        verdict: Verdict
        try:
            verdict = self._verdict(case, Setting(mode, self._check.params))
        except _NotRunError as e:
            verdict = NotApplicable(str(e))
        return Result(case, mode, verdict, bool(known & {case.id, f"{case.id}.{mode}"}))

    def _verdict(self, case: Case, setting: Setting) -> Verdict:
        traces: list[Trace] = []
        for schedule in case.schedules(setting):
            traces.append(self._trace(schedule))
            if verdict := judged(case, self._check.contract, traces):
                return verdict
        return self._search(case, setting) if case.drawn else None

    def _search(self, case: Case, setting: Setting) -> Verdict:
        """Find the smallest drawn schedule that gives a finding."""
        check = self._check
        if check.n_examples < 1:
            return NotApplicable("no random schedules, because of --examples 0")
        try:
            import hypothesis  # noqa: PLC0415 (it is slow to load, and an extra)
        except ImportError:
            return NotApplicable("it needs Hypothesis: pip install 'kvproto[check]'")
        findings: list[Finding] = []

        def attempt(drawn: Callable[[], Schedule]) -> None:
            schedule = drawn()
            if schedule.needs_looks and not quiet.can_look():
                return
            before = [] if schedule.breaks else [self._trace(_plain(schedule))]
            verdict = judged(case, check.contract, [*before, self._trace(schedule)])
            if isinstance(verdict, Finding) and (
                not findings or verdict.cause == findings[0].cause
            ):
                findings.append(verdict)
                raise _FailsError

        limits = hypothesis.settings(
            max_examples=check.n_examples,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
            print_blob=False,
            verbosity=hypothesis.Verbosity.quiet,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        assert case.drawn is not None
        # Functions, since Hypothesis warns of arguments whose repr is long.
        strategy = case.drawn(setting).map(lambda schedule: lambda: schedule)
        search = limits(hypothesis.given(strategy)(attempt))
        # A worker may fail only now and then, which Hypothesis calls flaky.
        with _one_search_at_a_time, suppress(_FailsError, hypothesis.errors.Flaky):
            hypothesis.seed(check.seed)(search)()
        return findings[-1] if findings else None  # Hypothesis ends with the smallest

    def _trace(self, schedule: Schedule) -> Trace:
        """Return the run of a schedule. Raises _NotRunError if it cannot be played."""
        if len(schedule.stdin) > REMEMBERED:
            return self._play(schedule)
        with self._lock:
            is_first = schedule not in self._futures
            future = self._futures.setdefault(schedule, Future())
            self._futures.move_to_end(schedule)
        if is_first:
            try:
                future.set_result(self._play(schedule))
            except BaseException as e:
                future.set_exception(e)
            else:
                self._make_room(schedule, future.result().n_bytes)
        return future.result()

    def _make_room(self, schedule: Schedule, n_bytes: int) -> None:
        """Forget runs for one that has ended."""
        with self._lock:
            self._sizes[schedule] = n_bytes
            for other in list(self._futures):
                if sum(self._sizes.values()) <= REMEMBERED_IN_ALL:
                    break
                if other in self._sizes:
                    del self._futures[other], self._sizes[other]

    def _play(self, schedule: Schedule) -> Trace:
        if self._stopped.is_set():
            raise _NotRunError("the check was stopped")
        if schedule.needs_looks and not quiet.can_look():
            raise _NotRunError(UNSEEN)
        timeout = self._check.timeout / (HASTE if self._n_watchdogs >= MOST_WATCHDOGS else 1)
        trace = play(schedule, self._check.program, timeout, self._stopped.is_set)
        self._n_watchdogs += trace.ending in ("watchdog", "endless")
        return trace


class _FailsError(Exception):
    """Tells Hypothesis that an example fails."""


_one_search_at_a_time = Lock()  # Hypothesis has global state


def _plain(schedule: Schedule) -> Schedule:
    """Send all of a schedule's bytes at once."""
    return until_exit(Setting(schedule.argument), Send(schedule.stdin))
