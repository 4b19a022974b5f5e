"""The calls of one stage: which of them wait, which run, and what follows from how they end.

The engines share this: they only carry calls to processes and answers back. A call runs as one or
several attempts; the first success of a call counts, and what comes later changes nothing.
"""

from __future__ import annotations

import collections
import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cloudpickle

from kvproto.engine.calls import Calls
from kvproto.engine.events import Note, OnEvent, Retry, TaskEnded
from kvproto.engine.task_main import Failure
from kvproto.errors import JobError, TaskError

__all__ = ["Attempt", "Stage", "portable"]

_DONE = 0.9  # of the calls of a stage, before a slow one gets a second attempt
_SLOW = 1.5  # times the median of those that are done
_MIN_SECONDS = 1.0


class Attempt(NamedTuple):
    """One attempt: the index of its call, and how many attempts of that call began before it."""

    task: int
    number: int


class Stage:
    """The state of a stage.

    Parameters
    ----------
    name : str
        The name of the stage, for events and errors.
    calls : sequence
        What the tasks do, and the attribute `calls`. The optional attribute `label` of a call, a
        str, describes it in the error if its process dies. Those in `Calls.done` do not run.
    retries : int
        How many times a call is tried again after a failure that another attempt may avoid.
    on_event : callable
        Called with a Retry for each failed attempt that is followed by another, and by engines with
        the events of the tasks.
    clock : callable
        Returns seconds.

    Attributes
    ----------
    n_left : int
        How many calls have not succeeded yet.
    """

    def __init__(
        self,
        name: str,
        calls: Sequence[Any],
        retries: int,
        on_event: OnEvent,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.on_event = on_event
        self.calls = calls
        self._retries = retries
        self._clock = clock
        done = calls.done if isinstance(calls, Calls) else ()
        self._is_done = [index in done for index in range(len(calls))]
        self._waiting = collections.deque(
            index for index, is_done in enumerate(self._is_done) if not is_done
        )
        self.n_left = len(self._waiting)
        self._running: dict[Attempt, float] = {}  # when each began
        self._seconds: list[float] = []  # that each success took
        self._n_begun = [0] * len(calls)
        self._n_failed = [0] * len(calls)

    def call(self, index: int) -> bytes:
        """The pickled call."""
        return pickle.dumps(self.calls[index])

    # --- which runs next -------------------------------------------------------------------------

    def take(self) -> Attempt | None:
        """Begin an attempt of the next call that waits; None if none waits."""
        return self._begin(self._waiting.popleft()) if self._waiting else None

    def take_slow(self) -> Attempt | None:
        """Begin a second attempt of the slowest call; None if none is slow.

        Most calls of the stage must be done, and the slow one must have run longer than they did.
        """
        n_done = len(self.calls) - self.n_left
        if self._waiting or not self._seconds or n_done < _DONE * len(self.calls):
            return None
        typical = sorted(self._seconds)[len(self._seconds) // 2]
        limit = max(_MIN_SECONDS, _SLOW * typical)
        n_attempts = collections.Counter(attempt.task for attempt in self._running)
        slow = {
            attempt.task: began
            for attempt, began in self._running.items()
            if n_attempts[attempt.task] == 1 and self._clock() - began > limit
        }
        if not slow:
            return None
        task = min(slow, key=slow.__getitem__)
        self.on_event(Note(f"task {self.name}:{task} is slow: a second attempt begins"))
        return self._begin(task)

    def _begin(self, task: int) -> Attempt:
        attempt = Attempt(task, self._n_begun[task])
        self._n_begun[task] += 1
        self._running[attempt] = self._clock()
        return attempt

    def began(self, attempt: Attempt) -> None:
        """Record that an attempt, which waited in the engine, begins only now."""
        if attempt in self._running:
            self._running[attempt] = self._clock()

    def give_back(self, attempt: Attempt) -> None:
        """Let the call of an attempt wait again, because the attempt could not begin."""
        del self._running[attempt]
        self._waiting.appendleft(attempt.task)

    # --- how attempts end ------------------------------------------------------------------------

    def succeeded(self, attempt: Attempt, seconds: float = 0.0) -> bool:
        """Record a success, which took so long; return whether it is the first of its call."""
        self._running.pop(attempt, None)
        if self._is_done[attempt.task]:
            return False
        self._seconds.append(seconds)
        self._is_done[attempt.task] = True
        self.n_left -= 1
        return True

    def others(self, attempt: Attempt) -> list[Attempt]:
        """The other attempts of the same call that are running."""
        return [one for one in self._running if one.task == attempt.task and one != attempt]

    def died(self, attempt: Attempt, report: str, host: str = "", pid: int = 0) -> None:
        """The process of an attempt died: try the call again, or raise TaskError."""
        label = getattr(self.calls[attempt.task], "label", None)
        text = "\n".join(filter(None, (report, label)))
        self._tell_end(attempt, "lost", host, pid)
        self.failed(attempt, Failure(text, text, None, True))

    def cancelled(self, attempt: Attempt, host: str = "", pid: int = 0) -> None:
        """Record that the driver has ended an attempt."""
        self._tell_end(attempt, "cancelled", host, pid)
        del self._running[attempt]

    def _tell_end(self, attempt: Attempt, outcome: str, host: str, pid: int) -> None:
        seconds, now = self._clock() - self._running[attempt], time.time()
        self.on_event(TaskEnded(self.name, *attempt, outcome, now - seconds, now, host, pid))

    def failed(self, attempt: Attempt, failure: Failure) -> None:
        """Try the call again, or raise TaskError."""
        self._running.pop(attempt, None)
        others = self.others(attempt)
        if not self._is_done[attempt.task]:
            self._count_failure(attempt.task, failure, is_running=bool(others))
            if not others:
                self._waiting.appendleft(attempt.task)

    def lost(self, attempt: Attempt, report: str) -> None:
        """Count a failure of an attempt that the engine runs again, or raise TaskError."""
        failure = Failure(report, report, None, True)
        self._count_failure(attempt.task, failure, is_running=self._is_done[attempt.task])

    def _count_failure(self, task: int, failure: Failure, *, is_running: bool) -> None:
        """Raise TaskError if the call has failed for good, else send a Retry."""
        self._n_failed[task] += 1
        n_failed = self._n_failed[task]
        if failure.may_retry and (is_running or n_failed <= self._retries):
            self.on_event(Retry(self.name, task, n_failed, failure.brief))
            return
        tried = f" after {n_failed} attempts; the error of the last one" if n_failed > 1 else ""
        what = f"task {self.name}:{task} failed{tried}:\n"
        cause = _restored(failure.error)
        raise TaskError(
            what + failure.report,
            cause=cause,
            task=(self.name, task),
            brief=what + failure.brief,
            place=failure.place,
        ) from cause


def portable(fn: Callable[[Any], Any]) -> bytes:
    """Pickle the function of a stage; JobError if that fails."""
    try:
        data: bytes = cloudpickle.dumps(fn)
    except Exception as e:  # anything that the objects in it raise
        raise JobError(
            f"the job's functions and params cannot be sent to its task processes: {e}; "
            "create open files, locks and connections in the task"
        ) from e
    return data


def _restored(error: bytes | BaseException | None) -> BaseException | None:
    """Unpickle the error of a task; None if only the task can import its class."""
    if not isinstance(error, bytes):
        return error
    try:
        restored: BaseException = pickle.loads(error)
    except Exception:  # anything that the import of its module raises
        return None
    return restored
