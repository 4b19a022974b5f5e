"""The engine of this machine: a small pool of processes, each with one known task.

A process that is killed costs only the task that it had, which is tried again in a fresh one. Leaving the pool
leaves no process of it behind, and no worker program of a task that it stopped; those of a task process that
died by itself, and all if the driver is killed, notice that and end a moment later.
"""

from __future__ import annotations

import collections
import contextlib
import glob
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe, wait

import cloudpickle

from kvproto.engine.home import home, in_home
from kvproto.errors import JobError, TaskError, signal_name

__all__ = ["HASHING", "Cancelled", "LocalPool", "n_cores"]

HASHING = {"PYTHONHASHSEED": "0"}
"""The environment of every task process: `hash(key)` is then the same in all of them, so that equal keys meet in one partition."""

_BOOT = "import sys; sys.path[:] = {path!r}; from kvproto.engine.worker import main; sys.path[:0] = {first!r}; main({fd})"
_LOG_TAIL = 2000  # bytes of its log that the report of a dead process shows
_LEAVE = 10.0  # seconds that what a killed process had started may take to end


class Cancelled(TaskError):
    """The stage was stopped from outside; nothing of it runs any more."""


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalPool:
    """Runs stages on n_processes processes. Context manager; processes start when there is a task for them.

    log_directory    where each process has its log: `process-N.txt`, its stdout and stderr
    tmp_directory    TMPDIR of the processes: what a killed one leaves is removed with it
    files_directory  where the processes work, and look first for modules and shared libraries; None: where this one does
    stop_fd          a file descriptor: when it is readable, the stage that runs, and each later one, raises Cancelled
    """

    def __init__(
        self,
        n_processes: int,
        *,
        log_directory: str,
        tmp_directory: str,
        files_directory: str | None = None,
        stop_fd: int | None = None,
    ) -> None:
        self._n_processes = n_processes
        self._log_directory = log_directory
        self._tmp_directory = tmp_directory
        self._files_directory = files_directory
        self._stop = [] if stop_fd is None else [stop_fd]
        self._processes: list[_Process] = []
        self._n_started = 0

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *exc_info) -> None:
        while self._processes:
            self._processes.pop().kill()

    def leave(self) -> None:
        """Let go of the processes, in a fork of this one: they are to end with this one, though the fork lives on."""
        for process in self._processes:
            process.connection.close()

    def run_stage(
        self,
        name: str,
        fn: Callable,
        calls: Sequence,
        retries: int,
        on_event: Callable[[dict], None],
    ) -> Iterator[tuple[int, object]]:
        """Yield (index, fn(calls[index])) for each call, in the order in which they are done.

        retries   how often a call is tried again, after an error that is worth it or the death of its process
        on_event  gets the events of the tasks, and a "retry" for each failed attempt
        Raises TaskError, which holds the error whole, when a call fails for good; the others are stopped then.
        """
        stage = _Stage(name, calls, retries, on_event)
        data = pickle.dumps(("stage", name, _portable(fn)))
        try:
            while stage.n_left:
                self._assign(stage, data)
                yield from self._collect(stage)
        finally:
            for process in [p for p in self._processes if p.index is not None]:
                self._processes.remove(process)
                process.kill()

    def _assign(self, stage: _Stage, data: bytes) -> None:
        while stage.waiting:
            process = next((p for p in self._processes if p.index is None), None)
            if process is None:
                if len(self._processes) == self._n_processes:
                    return
                process = self._start()
            index = stage.waiting[0]
            try:
                process.send(data, stage, index)
            except OSError:  # it died with nothing to do: no task is charged with that
                self._processes.remove(process)
                process.kill()
                if process.n_calls == 0:
                    stage.died(stage.waiting.popleft(), process.obituary())
                continue
            stage.waiting.popleft()

    def _collect(self, stage: _Stage) -> Iterator[tuple[int, object]]:
        busy = [p for p in self._processes if p.index is not None]
        sources = {source: p for p in busy for source in (p.connection, p.pidfd)}
        ready = wait([*sources, *self._stop])
        if any(fd in ready for fd in self._stop):
            raise Cancelled(f"{stage.name}: stopped before its end, by a kill or Ctrl-C")
        for process in dict.fromkeys(sources[source] for source in ready):
            try:
                kind, *details = process.receive()
            except (EOFError, OSError):
                self._processes.remove(process)
                process.kill()
                stage.died(process.index, process.obituary())
                continue
            if kind == "event":
                stage.on_event({"stage": stage.name, "task": process.index, **details[0]})
                continue
            process.index = None
            if kind == "error":
                index, report, error, again = details
                stage.failed(index, report, _restored(error), again)
            else:
                stage.n_left -= 1
                yield tuple(details)

    def _start(self) -> _Process:
        log = os.path.join(self._log_directory, f"process-{self._n_started}.txt")
        self._n_started += 1
        process = _Process(log, self._tmp_directory, self._files_directory)
        self._processes.append(process)
        return process


def _portable(fn: Callable) -> bytes:
    try:
        return cloudpickle.dumps(fn)
    except Exception as e:  # whatever the objects in it raise
        raise JobError(
            f"the job's functions and params cannot be sent to its task processes: {e}; "
            "open files, locks and connections have to be made in the task"
        ) from e


def _restored(error: bytes | None) -> BaseException | None:
    """A task's error; None where its class is known in the task alone, for instance by a sys.path that it extended."""
    try:
        return error and pickle.loads(error)
    except Exception:  # whatever the import of its module raises
        return None


class _Stage:
    """The calls of one stage: which wait, how often each was tried."""

    def __init__(self, name: str, calls: Sequence, retries: int, on_event: Callable[[dict], None]) -> None:
        self.name = name
        self.on_event = on_event
        self.waiting = collections.deque(range(len(calls)))
        self.n_left = len(calls)
        self._calls = calls
        self._retries = retries
        self._n_failed = [0] * len(calls)

    def call(self, index: int) -> bytes:
        return cloudpickle.dumps(self._calls[index])

    def died(self, index: int, obituary: str) -> None:
        """The process of a call is dead: as `failed`, and says what a call that has a `label`, a str, was about."""
        self.failed(index, "\n".join(filter(None, (obituary, getattr(self._calls[index], "label", None)))), None, True)

    def failed(self, index: int, report: str, error: BaseException | None, again: bool) -> None:
        """Try a call again, or raise TaskError."""
        self._n_failed[index] += 1
        attempt = self._n_failed[index]
        if again and attempt <= self._retries:
            self.on_event({"event": "retry", "stage": self.name, "task": index, "attempt": attempt, "text": report})
            self.waiting.appendleft(index)
            return
        tried = f" after {attempt} attempts; the last one's error" if attempt > 1 else ""
        raise TaskError(f"task {self.name}:{index} failed{tried}:\n{report}") from error


class _Process:
    """One task process: its connection, and the index of the call that it has, None when idle."""

    def __init__(self, log: str, tmp_directory: str, files_directory: str | None) -> None:
        self.index: int | None = None
        self.n_calls = 0
        self._stage: _Stage | None = None
        self._log = log
        with in_home(log):
            output = open(log, "ab")
        ours, theirs = Pipe()
        with theirs, output:
            self.connection: Connection = ours
            path, first, environment = sys.path, [], {**os.environ, "TMPDIR": tmp_directory, "KVPROTO_HOME": home(), **HASHING}
            if files_directory is not None:
                path, first = _from_anywhere(path), [files_directory]
                environment["LD_LIBRARY_PATH"] = ":".join(filter(None, (files_directory, os.environ.get("LD_LIBRARY_PATH"))))
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _BOOT.format(path=path, first=first, fd=theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs.fileno()],
                cwd=files_directory,
                env=environment,
                process_group=0,  # a Ctrl-C is for the driver, which then ends this
            )
        self.pidfd = os.pidfd_open(self._popen.pid)  # readable when it has ended

    def send(self, stage_data: bytes, stage: _Stage, index: int) -> None:
        call = pickle.dumps(("call", index, stage.call(index)))
        if self._has_ended():
            raise BrokenPipeError
        if self._stage is not stage:
            self.connection.send_bytes(stage_data)
            self._stage = stage
        self.connection.send_bytes(call)
        self.index = index
        self.n_calls += 1

    def receive(self) -> tuple:
        """The next message; EOFError, OSError when it has ended and all that it had sent is read.

        A process that a task forked may hold the socket open for as long as it likes: what the end of the
        task process means is said to the socket here, after which it gives what is in it and then end of file.
        """
        if self._has_ended():
            with socket.socket(fileno=os.dup(self.connection.fileno())) as ours:
                ours.shutdown(socket.SHUT_RD)
        return self.connection.recv()

    def _has_ended(self) -> bool:
        return bool(wait([self.pidfd], timeout=0))

    def kill(self) -> None:
        """End it, its process group and the worker programs of its task, and wait for them.

        A worker's supervisor has a group of its own: it ends by itself, with the worker and its directory, when its
        driver is gone. What else a task started outside the group is not waited for longer than _LEAVE.
        """
        pid, started = self._popen.pid, []
        try:
            os.killpg(pid, signal.SIGSTOP)  # it starts nothing more while one looks for what it has started
            started = _watch_children(pid)
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._popen.kill()  # it may have left its group
        self._popen.wait()
        self.connection.close()
        os.close(self.pidfd)
        deadline = time.monotonic() + _LEAVE
        for watch in started:
            wait([watch], timeout=max(0, deadline - time.monotonic()))
            os.close(watch)

    def obituary(self) -> str:
        """How it ended by itself, with the end of its log."""
        status = self._popen.returncode
        how = f"was killed by {signal_name(status)}" if status < 0 else f"ended with exit status {status}"
        if status == -signal.SIGKILL:
            how += ", as the kernel does when memory runs out"
        report = f"the task's process ({self._popen.pid}) {how}"
        try:
            with open(self._log, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_TAIL))
                tail = file.read().decode("utf-8", "backslashreplace").strip()
        except OSError as e:
            tail = f"(log {self._log}: {e.strerror})"
        return f"{report}; the last of its log ({self._log}):\n{tail}" if tail else report


def _from_anywhere(path: list[str]) -> list[str]:
    """sys.path as a process in another directory needs it; an entry that is no path, of an import hook, stays as it is."""
    return [os.path.abspath(entry) if not entry or os.path.exists(entry) else entry for entry in path]


def _watch_children(pid: int) -> list[int]:
    """A pidfd for each child of a process; none when that is dead or the kernel does not list them."""
    watches = []
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            with open(path, encoding="ascii") as file:
                children = file.read().split()
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    watches.append(os.pidfd_open(int(child)))
    return watches
