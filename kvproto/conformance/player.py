"""Plays a schedule to a worker, and tells what the worker did.

Promises: one poll loop, no second try, and an end, whatever the worker does. A wait is over when
what is waited for has come, or when `quiet` proves that it cannot come. The clock decides only
where nothing can be proved, and the trace says so: when no byte has moved for the watchdog's time,
when bytes move without end, or when answers are due and the worker has done nothing for a second
but wait for input. stderr is always read. Nothing of the worker is left behind.
"""

from __future__ import annotations

import math
import os
import select
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kvproto.conformance import confinement, quiet
from kvproto.conformance.answers import Stream
from kvproto.conformance.confinement import readable
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
from kvproto.driver.process import SupervisedProcess
from kvproto.driver.verdict import why_not_started
from kvproto.errors import KitFault, KVProtoError, WorkerNotStarted

__all__ = ["VARIABLES", "KitFault", "Program", "play"]

VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR")
"""The environment variables that every worker gets, as they are here. Others may change what it does: with
PYTHONUNBUFFERED a worker that forgets to flush conforms."""

STDOUT_BYTES, STDOUT_LISTS = 256 << 20, 8 << 20
"""A worker that writes more bytes, or more result lists, to stdout is given up."""

KEPT_OF_FLOOD = 1 << 20
"""Bytes that are kept of the stdout of a worker that was given up for that."""

STDERR_BYTES = 1 << 20
"""What is kept of stderr; the rest is read and counted."""

_WITHOUT_STDOUT = ("/bin/sh", "-c", 'exec "$@" >&-', "sh")
_PIECE = 1 << 16
_FIRST_WAIT, _LONGEST_WAIT = (
    1,
    50,
)  # milliseconds without a move until a proof is tried, again and again
_BETWEEN_LOOKS = 3
_COUNTED = 0.5  # seconds that a round of waiting counts for at most: a machine that stood still says nothing of the worker
_HELD_BACK = 1.0  # seconds that a worker seems to wait for input, with answers due, until that is taken for a fault
_HELD_BACK_AGAIN = 0.1  # the same, once it has been
_LAST_PIECES = 32


@dataclass(frozen=True)
class Program:
    """A worker as a user names it.

    path        str, the program, for reports and repro.sh
    files       name -> bytes: `op`, and the supporting files
    arguments   the program's own, before the mode
    handed_on   names of the environment variables that it gets besides VARIABLES
    """

    path: str
    files: dict[str, bytes]
    arguments: tuple[str, ...] = field(default=())
    handed_on: tuple[str, ...] = field(default=())

    def environment(self) -> dict[str, str]:
        """What it is started with."""
        return {
            name: os.environ[name] for name in (*VARIABLES, *self.handed_on) if name in os.environ
        }


class _GivenUp(Exception):
    """The rest of a schedule cannot be played; the argument is the ending."""


def play(
    schedule: Schedule, program: Program, timeout: float, is_stopped: Callable[[], bool] = bool
) -> Trace:
    """Play a schedule to a worker that is started for it.

    timeout      seconds without a byte moving, for the watchdog
    is_stopped   asked again and again; once it is true, nobody wants the trace any more, which ends as "stopped"

    Raises KitFault for a schedule that is not what it says, WorkerNotStarted, OSError where the worker's directory
    cannot be written.
    """
    if flaw := schedule.flaw():
        raise KitFault(f"the schedule is wrong: {flaw}")
    if not schedule.witness:
        through = _WITHOUT_STDOUT if schedule.stdout == "closed" else ()
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
    """The trace, and the directory in which the worker ran."""
    with quiet.STARTING:
        process = SupervisedProcess(
            {**program.files, **dict(schedule.files)},
            [*program.arguments, *schedule.between, schedule.argument],
            output="/dev/full" if schedule.stdout == "full" else None,
            environment={} if schedule.environment == "empty" else program.environment(),
            through=through,
        )
    try:
        return _Player(
            schedule, process, program.path, timeout, is_stopped
        ).play(), process.directory
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
        self._queue = memoryview(b"")
        self._lists = Stream("lists")
        self._stderr = bytearray()
        self._stdin_inode, self._stdout_inode = (
            os.fstat(fd).st_ino for fd in (process.stdin, process.stdout)
        )
        self._reads_stdout = True
        self._open = {
            process.stdout,
            process.stderr,
        }  # of the worker's, that are not at end of file
        self._threads: tuple[quiet.Thread, ...] = ()  # the last look
        self._readers: tuple[quiet.Thread, ...] = ()  # that seem to wait for input
        self._reading_since = 0.0
        self._floods = False
        self._is_supervised = True

    def play(self) -> Trace:
        trace, process = self._trace, self._process
        began = time.monotonic()
        try:
            for trace.step in trace.schedule.steps:
                self._do(trace.step)
        except _GivenUp as ending:
            trace.ending = str(ending)
            trace.waits = tuple(map(str, self._threads))
        for _ in range(_LAST_PIECES):  # of stderr, which a process that is left may hold open
            if not self._move(0):
                break
        trace.seconds = time.monotonic() - began
        if self._floods:
            trace.ending, self._lists = "floods", Stream("lists", self._lists.data[:KEPT_OF_FLOOD])
        trace.stdout, trace.stderr, trace.lists = (
            bytes(self._lists.data),
            bytes(self._stderr),
            self._lists,
        )
        trace.is_stdout_ended = process.stdout not in self._open
        trace.exit_status = process.exit_status
        trace.n_unread = process.n_unread()
        trace.left = process.descendants() if process.exit_status is not None else []
        return trace

    def _do(self, step: Step) -> None:
        match step:
            case Send(data, times):
                self._queue = memoryview(bytes(self._queue) + data * times)
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
                self._reads_stdout = False
            case Resume():
                self._reads_stdout = True
            case CloseOutput():
                self._open.discard(self._process.stdout)
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
        patience = _HELD_BACK if all(one.is_proved for one in owed) else _HELD_BACK_AGAIN
        if not self._until(is_done, patience=patience):
            owed.append(
                Owed(n, self._lists.n_records, tuple(map(str, self._threads)), not self._readers)
            )

    def _write_all(self) -> None:
        self._go_on_when(lambda: not self._queue or self._process.exit_status is not None)

    def _go_on_when(self, is_done: Callable[[], bool]) -> None:
        if not self._until(is_done) and self._reads_stdout:
            raise _GivenUp("stuck")

    def _can_answer(self) -> bool:
        alive = self._process.exit_status is None or self._process.stdout in self._open
        return alive and not self._lists.fault(at_end=False)

    def _is_over(self) -> bool:
        return self._process.exit_status is not None and self._process.stdout not in self._open

    def _rests(self) -> bool:
        """Whether the worker has read all that was sent, and does nothing just now."""
        return not self._queue and not self._process.n_unread() and self._is_quiet(quiet.is_still)

    def _until(
        self, is_done: Callable[[], bool], gives_up: bool = True, patience: float = math.inf
    ) -> bool:
        """Let bytes move until `is_done`. False: it is proved that this does not come, or one of these limits is reached.

        gives_up   whether the run is over when the watchdog's time is up; else it goes on with the next step
        patience   seconds for which a worker may seem to wait for input; `_readers` then says which threads do
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
            self._look_at_family()
            if self._is_quiet(quiet.proof if self._reads_stdout else quiet.is_still):
                self._readers = ()
                self._look_at_family()  # the last that it did may have been to stop its parent
                return is_done()  # it may have come since it was asked for
            if self._seconds_of_reading(idle) > patience:
                return is_done()
            if idle > self._timeout:
                if not gives_up:
                    return False
                raise _GivenUp("watchdog")
            wait = min(2 * wait, _LONGEST_WAIT)
        return True

    def _give_up(self, seconds: float) -> None:
        """End the run where nothing that may still come would change what is said of it."""
        if self._is_stopped():
            raise _GivenUp("stopped")
        if self._floods:
            raise _GivenUp("floods")
        if seconds > ENDLESS * self._timeout:
            raise _GivenUp("endless")

    def _look_at_family(self) -> None:
        """End the run where the worker's parent, or a child that it has left, keeps it from its end."""
        if not self._is_supervised or quiet.is_stopped(self._process.supervisor_pid):
            raise _GivenUp("unsupervised")
        if self._process.exit_status is not None and self._is_held():
            raise _GivenUp("held")

    def _seconds_of_reading(self, idle: float) -> float:
        """For how long the worker has seemed to wait for input that is not there."""
        readers = () if self._queue or self._process.n_unread() else quiet.readers(self._threads)
        if not readers or readers != self._readers:
            self._readers, self._reading_since = readers, idle
        return idle - self._reading_since

    def _move(self, milliseconds: float) -> bool:
        """Wait so long for something to move, move it; whether there was something."""
        process = self._process
        poll = select.poll()
        for fd in self._open - (set() if self._reads_stdout else {process.stdout}):
            poll.register(fd, select.POLLIN)
        if self._queue and process.exit_status is None:
            poll.register(process.stdin, select.POLLOUT)
        if process.exit_status is None and self._is_supervised:
            poll.register(process.status_fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(milliseconds)]
        for fd in ready:
            if fd == process.stdin:
                self._write()
            elif fd == process.status_fd:
                self._read_status()
            else:
                self._read(fd)
        return bool(ready)

    def _write(self) -> None:
        # In one write, so that the worker can read all that fits into the pipe at once.
        n = os.write(self._process.stdin, self._queue)
        self._trace.n_sent += n
        self._queue = self._queue[n:]

    def _read_status(self) -> None:
        try:
            self._process.read_status()
        except (KVProtoError, ValueError):  # gone, or somebody else wrote there
            self._is_supervised = False
            return
        if self._process.start_errno is not None:
            what, advice = why_not_started(self._process.start_errno, self._process.first_line)
            raise WorkerNotStarted(what, argv=[self._path], advice=advice)

    def _read(self, fd: int) -> None:
        data = os.read(fd, _PIECE)
        if not data:
            self._open.discard(fd)
        elif fd == self._process.stderr:
            self._trace.n_stderr += len(data)
            self._stderr += data[: STDERR_BYTES - len(self._stderr)]
        else:
            self._floods |= (
                len(self._lists.data) > STDOUT_BYTES or self._lists.n_records > STDOUT_LISTS
            )
            if not self._floods:
                self._lists.feed(data)

    def _is_quiet(self, holds: Callable[[tuple, tuple], bool]) -> bool:
        """Whether it is proved that the worker does nothing more unless we do something.

        While its stdout is not read, a weaker sign will do, since no verdict hangs on it: it does nothing just now.
        """
        process = self._process
        if process.pid is None:
            return False
        with quiet.STARTING:
            before = quiet.look(process.supervisor_pid, self._stdin_inode)
            self._threads = before
            if not self._has_all(before) or not holds(before, before) or self._move(_BETWEEN_LOOKS):
                return False
            self._threads = quiet.look(process.supervisor_pid, self._stdin_inode)
            return holds(before, self._threads) and not self._move(0)

    def _has_all(self, threads: tuple[quiet.Thread, ...]) -> bool:
        """Whether the worker itself is among the threads: when it has just exited, its status is under way to us."""
        return self._process.exit_status is not None or any(
            thread.pid == self._process.pid for thread in threads
        )

    def _is_held(self) -> bool:
        """Whether the worker has exited and a process that it started has its stdout open (LIFECYCLE-5)."""
        if self._process.stdout not in self._open:
            return False
        self._threads = quiet.look(self._process.supervisor_pid, self._stdin_inode)
        return any(quiet.has_open(thread.pid, self._stdout_inode) for thread in self._threads)
