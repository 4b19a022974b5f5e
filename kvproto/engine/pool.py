"""The engine of this machine: a small pool of processes, each with one known task.

A process that is killed costs only the task that it had, which is tried again in a fresh one. Leaving the pool
leaves no process of it behind, and nothing that a task has started.
"""

from __future__ import annotations

import collections
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait

import cloudpickle

from kvproto.engine.task_process import TaskProcess
from kvproto.errors import Cancelled, JobError, TaskError

__all__ = ["Cancelled", "LocalPool", "n_cores"]


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalPool:
    """Runs stages on n_processes processes. Context manager; processes start when there is a task for them.

    log_directory    where each process has its log: `process-N.txt`, its stdout and stderr
    tmp_directory    where each process has its TMPDIR: what it leaves there is removed with it
    files_directory  where the processes work, and look first for modules and shared libraries; None: where this one does
    prepare          called in each process before anything of a job is unpickled there; found by its name
    stop_fd          a file descriptor: when it is readable, the stage that runs, and each later one, raises Cancelled
    """

    def __init__(
        self,
        n_processes: int,
        *,
        log_directory: str,
        tmp_directory: str,
        files_directory: str | None = None,
        prepare: Callable[[], object] | None = None,
        stop_fd: int | None = None,
    ) -> None:
        self._n_processes = n_processes
        self._log_directory = log_directory
        self._tmp_directory = tmp_directory
        self._files_directory = files_directory
        self._prepare = None if prepare is None else pickle.dumps(prepare)
        self._stop = [] if stop_fd is None else [stop_fd]
        self._processes: list[TaskProcess] = []
        self._n_started = 0

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *exc_info) -> None:
        while self._processes:
            self._processes.pop().kill()

    def leave(self) -> None:
        """Let go of the processes, in a fork of this one: they are to end with this one, though the fork lives on."""
        for process in self._processes:
            process.leave()

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
        data = pickle.dumps(("stage", name, self._prepare, _portable(fn)))
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
                process.send(data, stage, index, stage.call(index))
            except OSError:  # it died with nothing to do: no task is charged with that
                self._processes.remove(process)
                obituary = process.bury()
                if process.n_calls == 0:
                    stage.died(stage.waiting.popleft(), obituary)
                continue
            stage.waiting.popleft()

    def _collect(self, stage: _Stage) -> Iterator[tuple[int, object]]:
        busy = [p for p in self._processes if p.index is not None]
        sources = {source: p for p in busy for source in (p.connection, p.status_fd)}
        ready = wait([*sources, *self._stop])
        if any(fd in ready for fd in self._stop):
            raise Cancelled(f"{stage.name}: stopped before its end, by a kill or Ctrl-C")
        for process in dict.fromkeys(sources[source] for source in ready):
            try:
                message = process.receive()
            except (EOFError, OSError):
                self._processes.remove(process)
                stage.died(process.index, process.bury())
                continue
            if message is None:
                continue
            kind, *details = message
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

    def _start(self) -> TaskProcess:
        log = os.path.join(self._log_directory, f"process-{self._n_started}.txt")
        self._n_started += 1
        process = TaskProcess(log, self._tmp_directory, self._files_directory)
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

    def __init__(
        self, name: str, calls: Sequence, retries: int, on_event: Callable[[dict], None]
    ) -> None:
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
        self.failed(
            index,
            "\n".join(filter(None, (obituary, getattr(self._calls[index], "label", None)))),
            None,
            True,
        )

    def failed(self, index: int, report: str, error: BaseException | None, again: bool) -> None:
        """Try a call again, or raise TaskError."""
        self._n_failed[index] += 1
        attempt = self._n_failed[index]
        if again and attempt <= self._retries:
            self.on_event(
                {
                    "event": "retry",
                    "stage": self.name,
                    "task": index,
                    "attempt": attempt,
                    "text": report,
                }
            )
            self.waiting.appendleft(index)
            return
        tried = f" after {attempt} attempts; the last one's error" if attempt > 1 else ""
        raise TaskError(f"task {self.name}:{index} failed{tried}:\n{report}") from error
