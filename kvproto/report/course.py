"""What the events of a job say about its course, as far as they say it.

The job may run, or have ended in any way. Logs of earlier versions lack some events and fields: the
attributes are then empty or 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kvproto.engine.commands import how_to_resume, replay_command
from kvproto.engine.events import (
    Counted,
    Done,
    Failed,
    JobStarted,
    Message,
    Note,
    Progress,
    Resumed,
    Retry,
    StageStarted,
    TaskEnded,
)
from kvproto.engine.job_handle import ACTIVE, DEAD, READY, JobHandle
from kvproto.errors import DataError
from kvproto.storage.bad_records import BadRecord, read_bad_records

__all__ = ["Attempt", "Course", "Stage", "read_course"]

MAX_TEXTS = 50
"""The most notes and errors of attempts that are kept, the last ones, and the most bad records."""

_MOST = 1 << 53  # of a number from the file; a float has it exactly


class Attempt:
    """An attempt of a task, from its `TaskEnded`; `began` is in seconds of the `Clock`."""

    def __init__(self, event: dict[str, Any], clock: Clock) -> None:
        self.stage: str = event["stage"]
        self.task = _number(event["task"])
        self.number = _number(event["attempt"])
        self.outcome: str = event["outcome"]
        self.start, self.end = float(event["start"]), float(event["end"])
        self.host: str = event.get("host", "")
        self.pid = _number(event.get("pid", 0))
        self.cpu = float(event.get("user", 0) + event.get("system", 0))
        self.memory = _number(event.get("memory", 0))
        self.bytes_in, self.records_in = (
            _number(event.get("bytes", 0)),
            _number(event.get("records", 0)),
        )
        self.bytes_out = _number(event.get("bytes_out", 0))
        self.records_out = _number(event.get("records_out", 0))
        self.parts = [_number(n_bytes) for n_bytes in event.get("parts", [])]
        self.program_memory = _number(event.get("program_memory", 0))
        self.computing = float(event.get("computing", 0))
        self.waiting_for_input = float(event.get("waiting_for_input", 0))
        self.waiting_for_output = float(event.get("waiting_for_output", 0))
        self.began = clock.seconds(self.start)

    @property
    def name(self) -> str:
        """The name of its task."""
        return f"{self.stage}:{self.task}"

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, self.end - self.start)

    @property
    def is_done(self) -> bool:
        return self.outcome == "done"


class Clock:
    """Counts the seconds in which the job had a driver."""

    def __init__(self) -> None:
        self._spans: list[list[float]] = []

    def begin(self, now: float) -> None:
        """Begin to count, with a driver."""
        self._spans.append([now, now])

    def tick(self, now: float) -> None:
        """Note that the driver lives."""
        if not self._spans:
            self.begin(now)
        self._spans[-1][1] = max(self._spans[-1][1], now)

    def seconds(self, at: float) -> float:
        """Return the seconds until a time; times without a driver are those of the last one."""
        return sum(max(0.0, min(at, end) - start) for start, end in self._spans)

    @property
    def resumed(self) -> list[float]:
        """When other drivers went on."""
        return [self.seconds(start) for start, _ in self._spans[1:]]


@dataclass
class Stage:
    """A stage: how many tasks it has, and how many are done; seconds of the `Clock`."""

    name: str
    n_tasks: int
    began: float
    ended: float | None = None
    n_done: int = 0
    bytes_in: int = 0
    records_in: int = 0


@dataclass
class Course:
    """The course of a job.

    Attributes
    ----------
    status : str
        That of `JobHandle`.
    outcome : str
        "running", "done", "failed", "stopped", or "lost" with its driver.
    seconds : float
        How long it has run, without the time between two drivers.
    has_attempts : bool
        Whether the log has the ends of attempts: those of early versions do not.
    set_aside : list of BadRecord
        The first of them; `n_bad_records` and `n_bad_inputs` count all.
    set_aside_error : str
        Why they cannot be read.
    replay, resume : str
        The command that runs the failed task alone, and the line that says how to resume the job.
    """

    job: str
    directory: str
    status: str
    outcome: str = "lost"
    started: float = 0.0
    seconds: float = 0.0
    first: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    failure: dict[str, Any] | None = None
    retries: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    set_aside: list[BadRecord] = field(default_factory=list)
    n_bad_records: int = 0
    n_bad_inputs: int = 0
    set_aside_error: str = ""
    n_retries: int = 0
    n_messages: int = 0
    clock: Clock = field(default_factory=Clock)
    replay: str = ""
    resume: str = ""

    @property
    def has_attempts(self) -> bool:
        return bool(self.attempts) or not any(stage.n_done for stage in self.stages.values())

    def accepted(self, stage: str) -> dict[int, Attempt]:
        """Return the last attempt that is done of each task."""
        return {one.task: one for one in self.attempts if one.is_done and one.stage == stage}


def read_course(handle: JobHandle, now: float | None = None) -> Course:
    """Read the events of a job. JobError if there is no such job, or if its log is damaged."""
    events = handle.events()
    status, results = handle.state()
    course = Course(handle.job, handle.paths.path, status, results=results)
    raw: list[dict[str, Any]] = []
    for _, event in events:
        if event["event"] != Resumed.name:
            course.clock.tick(event["time"])
        take = _TAKERS.get(event["event"])
        if event["event"] == TaskEnded.name:
            raw.append(event)
        elif take is not None:
            take(course, event)
    if status == ACTIVE:
        course.clock.tick(time.time() if now is None else now)
    order = list(course.stages)
    course.attempts = [Attempt(event, course.clock) for event in raw]
    course.attempts.sort(
        key=lambda one: (order.index(one.stage) if one.stage in order else -1, one.task, one.began)
    )
    course.seconds = course.clock.seconds(float("inf"))
    course.outcome = _outcome(course)
    _read_bad_records(course, handle)
    if status == DEAD:
        course.replay = replay_command(handle.paths, handle.failed_task())
        course.resume = how_to_resume(handle.paths).strip()
    return course


def _read_bad_records(course: Course, handle: JobHandle) -> None:
    try:
        for one in read_bad_records(handle.paths):
            if one.kind == "record":
                course.n_bad_records += 1
            else:
                course.n_bad_inputs += 1
            if len(course.set_aside) < MAX_TEXTS:
                course.set_aside.append(one)
    except DataError as e:
        course.set_aside_error = str(e)


def _outcome(course: Course) -> str:
    if course.status == ACTIVE:
        return "running"
    if course.status == READY:
        return "done"
    if course.failure is None:
        return "lost"
    return "stopped" if course.failure.get("details", {}).get("kind") == "Cancelled" else "failed"


def _number(value: float) -> int:
    return max(0, min(int(value), _MOST))


# --- the kinds of events ------------------------------------------------------------------------


def _on_job(course: Course, event: dict[str, Any]) -> None:
    course.first, course.started = event, event["time"]


def _on_resumed(course: Course, event: dict[str, Any]) -> None:
    course.clock.begin(event["time"])
    course.failure = None


def _on_stage(course: Course, event: dict[str, Any]) -> None:
    began = course.clock.seconds(event["time"])
    _end_stages(course, began)
    before = course.stages.get(event["stage"])
    if before is None:
        course.stages[event["stage"]] = Stage(event["stage"], _number(event["tasks"]), began)
    else:  # in a job that was resumed
        before.n_tasks, before.ended = _number(event["tasks"]), None


def _end_stages(course: Course, now: float) -> None:
    for stage in course.stages.values():
        if stage.ended is None:
            stage.ended = now


def _on_progress(course: Course, event: dict[str, Any]) -> None:
    if stage := course.stages.get(event["stage"]):
        stage.n_done = _number(event["done"])
        stage.bytes_in, stage.records_in = _number(event["bytes"]), _number(event["records"])


def _on_counters(course: Course, event: dict[str, Any]) -> None:
    course.counters = event["counters"]


def _on_note(course: Course, event: dict[str, Any]) -> None:
    course.notes = [*course.notes, event["text"]][-MAX_TEXTS:]


def _on_retry(course: Course, event: dict[str, Any]) -> None:
    course.n_retries += 1
    course.retries = [*course.retries, event][-MAX_TEXTS:]


def _on_message(course: Course, event: dict[str, Any]) -> None:
    course.n_messages += 1


def _on_done(course: Course, event: dict[str, Any]) -> None:
    _end_stages(course, course.clock.seconds(event["time"]))


def _on_failed(course: Course, event: dict[str, Any]) -> None:
    _end_stages(course, course.clock.seconds(event["time"]))
    course.failure = event


_TAKERS: dict[str, Callable[[Course, dict[str, Any]], None]] = {
    JobStarted.name: _on_job,
    Resumed.name: _on_resumed,
    StageStarted.name: _on_stage,
    Progress.name: _on_progress,
    Counted.name: _on_counters,
    Note.name: _on_note,
    Retry.name: _on_retry,
    Message.name: _on_message,
    Done.name: _on_done,
    Failed.name: _on_failed,
}
