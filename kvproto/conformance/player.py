"""Plays a schedule to a worker, and records what the worker does.

A wait ends when the event that it waits for has happened, or when `quiet` proves that it never
will. Only if nothing can be proved does the clock decide, and the trace says so: no byte has moved
for the watchdog's time, bytes move without end, or answers are due and the worker has done nothing
but wait for input for a second. stderr is always read. No process of the worker is left at the end.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvproto.conformance import confinement, quiet
from kvproto.conformance.answers import Stream
from kvproto.conformance.confinement import readable
from kvproto.conformance.pipes import Pipes
from kvproto.conformance.schedule import (
    Answers,
    CloseOutput,
    End,
    Exit,
    Measure,
    Pause,
    Rest,
    Resume,
    Schedule,
    Send,
    Step,
    Taken,
)
from kvproto.conformance.strace import accesses
from kvproto.conformance.trace import ENDLESS, Owed, Trace
from kvproto.driver import proc
from kvproto.driver.process import SupervisedProcess
from kvproto.driver.verdict import why_not_started
from kvproto.errors import KitFault, WorkerNotStarted

__all__ = ["KEPT_OF_FLOOD", "VARIABLES", "KitFault", "Program", "play"]

VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR")
"""The environment variables that every worker gets. Others may change what it does: with
PYTHONUNBUFFERED, for example, a worker that forgets to flush conforms."""

STDOUT_BYTES, STDOUT_LISTS = 256 << 20, 8 << 20
"""A run ends when the worker has written more bytes, or more result lists."""

KEPT_OF_FLOOD = 1 << 20
"""Bytes of stdout that are kept of such a run."""

STDERR_BYTES = 1 << 20
"""Bytes of stderr that are kept; the rest is only counted."""

_WITHOUT_STDOUT = ["/bin/sh", "-c", 'exec "$@" >&-', "sh"]
_FIRST_WAIT, _LONGEST_WAIT = 1, 50  # milliseconds without a move before the next try for a proof
_BEFORE_LOOKS = 0.005  # seconds without a move before the first look: most workers start meanwhile
_COUNTED = 0.5  # seconds that one wait counts at most, since the machine may have been suspended
_WITHHELD = 1.0  # seconds of waiting for input with answers due that count as a fault
_WITHHELD_AGAIN = 0.1  # the same after the first such fault


@dataclass(frozen=True)
class Program:
    """A worker program.

    Attributes
    ----------
    path : str
        The program, for reports and repro.sh.
    files : dict of str to bytes
        `op` and the supporting files.
    arguments : tuple of str
        The program's own arguments, before the mode.
    handed_on : tuple of str
        Environment variables that it gets besides PATH, HOME, LANG and TMPDIR.
    """

    path: str
    files: dict[str, bytes]
    arguments: tuple[str, ...] = ()
    handed_on: tuple[str, ...] = ()

    def environment(self) -> dict[str, str]:
        """Return the environment that the program is started with."""
        return {
            name: os.environ[name] for name in (*VARIABLES, *self.handed_on) if name in os.environ
        }


class _EndedError(Exception):
    """The run ends before its schedule does; the argument is the ending."""


def play(
    schedule: Schedule, program: Program, timeout: float, is_stopped: Callable[[], bool] = bool
) -> Trace:
    """Start a worker and play a schedule to it.

    Parameters
    ----------
    schedule : Schedule
        What to do to the worker.
    program : Program
        The worker.
    timeout : float
        Seconds without a byte moving that end a run in which no hang can be proved.
    is_stopped : callable, optional
        Called repeatedly; once it returns True the run ends as "stopped".

    Returns
    -------
    Trace
        What the worker did.

    Raises
    ------
    KitFault
        The schedule breaks another clause than it says, or has no end.
    WorkerNotStarted
        The program could not be executed.
    OSError
        The worker's directory could not be written.
    """
    if flaw := schedule.flaw():
        raise KitFault(f"the schedule is wrong: {flaw}")
    if not schedule.witness:
        through = _WITHOUT_STDOUT if schedule.stdout == "closed" else []
        return _play(schedule, program, through, timeout, is_stopped)[0]
    with quiet.STARTING:
        may_read = readable(program.files, program.environment())
    with tempfile.TemporaryDirectory(prefix="kvproto-log-") as directory:
        log = os.path.join(directory, "log")
        through = confinement.through(schedule.witness, may_read, log)
        trace, its_directory = _play(schedule, program, through, timeout, is_stopped)
        if schedule.witness == "strace" and os.path.exists(log):
            with open(log, encoding="utf-8", errors="surrogateescape") as file:
                trace.accesses = tuple(accesses(file.read(), its_directory, may_read))
    return trace


def _play(
    schedule: Schedule,
    program: Program,
    through: Sequence[str],
    timeout: float,
    is_stopped: Callable[[], bool],
) -> tuple[Trace, str]:
    """Return the trace, and the directory that the worker ran in."""
    with quiet.STARTING:
        process = SupervisedProcess(
            {**program.files, **dict(schedule.files)},
            [*program.arguments, *schedule.between, schedule.argument],
            output="/dev/full" if schedule.stdout == "full" else None,
            environment={} if schedule.environment == "empty" else program.environment(),
            through=through,
        )
    try:
        player = _Player(schedule, process, program.path, timeout, is_stopped)
        return player.play(), process.directory
    finally:
        process.close()


class _Player:
    """One run. `_until` is its only loop."""

    def __init__(
        self,
        schedule: Schedule,
        process: SupervisedProcess,
        path: str,
        timeout: float,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._process, self._path, self._is_stopped = process, path, is_stopped
        self._timeout = timeout
        self._trace = Trace(schedule, limit=timeout)
        self._pipes = Pipes(process, self._take)
        self._lists = Stream("lists")
        self._stderr = bytearray()
        self._stdout_inode = os.fstat(process.stdout).st_ino
        self._readers: tuple[quiet.Thread, ...] = ()  # those that seem to wait for input
        self._reading_since = 0.0
        self._floods = False

    def play(self) -> Trace:
        trace, process = self._trace, self._process
        began = time.monotonic()
        try:
            for step in trace.schedule.steps:
                trace.step = step
                self._do(step)
        except _EndedError as ending:
            trace.ending = str(ending)
            trace.waits = tuple(map(str, self._pipes.threads))
        self._pipes.drain()
        trace.seconds = time.monotonic() - began
        if self._floods:
            trace.ending, self._lists = "floods", Stream("lists", self._lists.data[:KEPT_OF_FLOOD])
        trace.n_sent = self._pipes.n_written
        trace.stdout, trace.stderr = bytes(self._lists.data), bytes(self._stderr)
        self._lists.data = trace.stdout  # it may be large: no second copy
        trace.lists = self._lists
        trace.is_stdout_ended = self._is_stdout_ended()
        trace.exit_status = process.exit_status
        trace.n_unread = process.n_unread()
        trace.left = process.descendants() if process.exit_status is not None else []
        return trace

    def _do(self, step: Step) -> None:
        match step:
            case Send(data, times):
                self._pipes.queue = memoryview(bytes(self._pipes.queue) + data * times)
                self._write_all()
            case Taken():
                self._go_on_when(
                    lambda: not self._process.n_unread() or self._process.exit_status is not None
                )
            case Answers(n):
                self._wait_for_answers(n)
            case Rest():
                self._until(
                    lambda: self._process.exit_status is not None or self._rests(), gives_up=False
                )
            case Measure():
                self._trace.memory.append(quiet.memory(self._process.supervisor_pid))
            case Pause():
                self._pipes.paused.add(self._process.stdout)
            case Resume():
                self._pipes.paused.clear()
            case CloseOutput():
                self._pipes.open.discard(self._process.stdout)
                self._process.close_stdout()
            case End():
                self._write_all()
                self._process.close_stdin()
            case Exit():
                self._go_on_when(self._is_over)

    def _wait_for_answers(self, n: int) -> None:
        def is_done() -> bool:
            return self._lists.n_records >= n or not self._can_answer()

        owed = self._trace.owed
        patience = _WITHHELD if all(one.is_proved for one in owed) else _WITHHELD_AGAIN
        if not self._until(is_done, patience=patience):
            waits = tuple(map(str, self._pipes.threads))
            owed.append(Owed(n, self._lists.n_records, waits, not self._readers))

    def _write_all(self) -> None:
        self._go_on_when(lambda: not self._pipes.queue or self._process.exit_status is not None)

    def _go_on_when(self, is_done: Callable[[], bool]) -> None:
        if not self._until(is_done) and not self._pipes.paused:
            raise _EndedError("stuck")

    def _can_answer(self) -> bool:
        return not self._is_over() and not self._lists.fault(at_end=False)

    def _is_over(self) -> bool:
        return self._process.exit_status is not None and self._is_stdout_ended()

    def _is_stdout_ended(self) -> bool:
        return self._process.stdout not in self._pipes.open

    def _rests(self) -> bool:
        """Whether the worker has read everything that was sent, and is idle now."""
        return (
            not self._pipes.queue
            and not self._process.n_unread()
            and self._pipes.is_quiet(quiet.is_still)
        )

    def _until(
        self, is_done: Callable[[], bool], gives_up: bool = True, patience: float = math.inf
    ) -> bool:
        """Move bytes until `is_done`; return False if it never will be, or at a limit.

        gives_up  whether the watchdog ends the run or only this step
        patience  seconds that the worker may seem to wait for input; `_readers` are then the
                  threads that wait
        """
        wait, idle, in_all, before = _FIRST_WAIT, 0.0, 0.0, time.monotonic()
        self._readers = ()
        while not is_done():
            has_moved = self._move(wait)
            now = time.monotonic()
            passed, before = min(now - before, _COUNTED), now
            idle, in_all = idle + passed, in_all + passed
            self._give_up(in_all)
            if has_moved:
                wait, idle, self._readers = _FIRST_WAIT, 0.0, ()
                continue
            wait = min(2 * wait, _LONGEST_WAIT)
            if idle < _BEFORE_LOOKS:
                continue
            self._look_at_family()
            if self._pipes.is_quiet(quiet.is_still if self._pipes.paused else quiet.proof):
                self._readers = ()
                self._look_at_family()  # the worker may have stopped its parent
                return is_done()  # bytes may have moved before the proof
            if self._seconds_of_reading(idle) > patience:
                return is_done()
            if idle > self._timeout:
                if not gives_up:
                    return False
                raise _EndedError("watchdog")
        return True

    def _give_up(self, seconds: float) -> None:
        """End a run that was stopped, floods, or does not end."""
        if self._is_stopped():
            raise _EndedError("stopped")
        if self._floods:
            raise _EndedError("floods")
        if seconds > ENDLESS * self._timeout:
            raise _EndedError("endless")

    def _look_at_family(self) -> None:
        """End a run whose supervisor is stopped, or whose stdout only a child holds open."""
        if not self._pipes.is_supervised or proc.is_stopped(self._process.supervisor_pid):
            raise _EndedError("unsupervised")
        if self._process.exit_status is not None and self._is_stdout_open():
            raise _EndedError("held")

    def _seconds_of_reading(self, idle: float) -> float:
        """Return for how many seconds the worker has seemed to wait for input."""
        has_input = self._pipes.queue or self._process.n_unread()
        readers = () if has_input else quiet.readers(self._pipes.threads)
        if not readers or readers != self._readers:
            self._readers, self._reading_since = readers, idle
        return idle - self._reading_since

    def _move(self, milliseconds: float) -> bool:
        """Move bytes once; return whether any moved."""
        has_moved = self._pipes.move(milliseconds)
        if self._process.start_errno is not None:
            what, advice = why_not_started(self._process.start_errno, self._process.first_line)
            raise WorkerNotStarted(what, argv=[self._path], advice=advice)
        return has_moved

    def _take(self, fd: int, data: bytes) -> None:
        if fd == self._process.stderr:
            self._trace.n_stderr += len(data)
            self._stderr += data[: STDERR_BYTES - len(self._stderr)]
            return
        lists = self._lists
        self._floods |= len(lists.data) > STDOUT_BYTES or lists.n_records > STDOUT_LISTS
        if not self._floods:
            lists.feed(data)

    def _is_stdout_open(self) -> bool:
        """Whether a process that the worker started holds its stdout open (LIFECYCLE-5)."""
        if self._is_stdout_ended():
            return False
        return any(quiet.has_open(thread.pid, self._stdout_inode) for thread in self._pipes.look())
