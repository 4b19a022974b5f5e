"""The engine for this machine: a pool of task processes, each with one task at a time.

If a process is killed, only its current task is lost, and another process tries that again. Leaving
the pool ends all its processes, and all processes that the tasks have started.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from socket import gethostname
from typing import Any

from kvproto._stdio import ready_fds
from kvproto.engine.stage import Attempt, Stage, portable
from kvproto.engine.task_process import TaskProcess
from kvproto.errors import Cancelled

__all__ = ["LocalPool", "n_cores"]


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalPool:
    """Runs stages on processes; a context manager.

    A process starts when there is a task for it.

    Parameters
    ----------
    n_processes : int
        The largest number of processes at a time.
    log_directory : str
        The directory of the logs: `process-N.txt` has the stdout and stderr of one process.
    tmp_directory : str
        The directory in which each process has its TMPDIR, which is removed with the process.
    files_directory : str or None
        The working directory of the processes, where they look first for modules and shared
        libraries. None: that of this process.
    prepare : callable or None
        A module's function, called in each process before anything of a job is unpickled there.
    stop_fd : int or None
        A file descriptor. When it is readable, the current stage and each later one raise
        Cancelled.
    """

    address = ""

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

    def __exit__(self, *exc_info: object) -> None:
        while self._processes:
            self._processes.pop().kill()

    def leave(self) -> None:
        """Close this fork's copies of the connections.

        The task processes end with the original process, even if the fork lives on.
        """
        for process in self._processes:
            process.leave()

    def run_stage(self, stage: Stage, fn: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
        """Run a function on each call of a stage.

        Parameters
        ----------
        stage : Stage
            Its `on_event` gets the events of the tasks.
        fn : callable
            fn(call) -> result. cloudpickle sends it to the processes.

        Yields
        ------
        tuple of (int, object)
            The index of a call and its result, in the order in which the calls end.

        Raises
        ------
        TaskError
            If a call fails for good; the message has the whole error. All other calls are stopped.
        Cancelled
            If stop_fd is readable.
        """
        data = pickle.dumps(("stage", stage.name, self._prepare, portable(fn)))
        busy: dict[TaskProcess, Attempt] = {}
        try:
            while stage.n_left:
                self._assign(stage, busy, data)
                yield from self._collect(stage, busy)
        finally:
            for process in busy:
                self._processes.remove(process)
                process.kill()
            for process, attempt in busy.items():
                stage.cancelled(attempt, gethostname(), process.pid)

    def _assign(self, stage: Stage, busy: dict[TaskProcess, Attempt], data: bytes) -> None:
        while len(busy) < self._n_processes and (attempt := stage.take()):
            idle = (process for process in self._processes if process not in busy)
            process = next(idle, None) or self._start()
            try:
                process.send(data, stage, *attempt, stage.call(attempt.task))
                busy[process] = attempt
            except OSError:  # it died while it was idle: no task is at fault
                self._processes.remove(process)
                report = process.reap()
                if process.n_calls == 0:
                    stage.died(attempt, report, gethostname(), process.pid)
                else:
                    stage.give_back(attempt)

    def _collect(
        self, stage: Stage, busy: dict[TaskProcess, Attempt]
    ) -> Iterator[tuple[int, object]]:
        sources = {fd: p for p in busy for fd in (p.connection.fileno(), p.status_fd)}
        ready = ready_fds([*sources, *self._stop])
        if ready.intersection(self._stop):
            raise Cancelled(f"the {stage.name} stage was stopped by a kill or Ctrl-C")
        for process in dict.fromkeys(sources[fd] for fd in sources if fd in ready):
            try:
                message = process.receive()
            except (EOFError, OSError):
                self._processes.remove(process)
                report = process.reap()
                stage.died(busy.pop(process), report, gethostname(), process.pid)
                continue
            if message is None:
                continue
            kind, *details = message
            if kind == "event":
                stage.on_event(details[0])
                continue
            attempt = busy.pop(process)
            stage.on_event(details[2])
            if kind == "error":
                stage.failed(attempt, details[1])
            elif stage.succeeded(attempt):
                yield attempt.task, details[1]

    def _start(self) -> TaskProcess:
        log = os.path.join(self._log_directory, f"process-{self._n_started}.txt")
        self._n_started += 1
        process = TaskProcess(log, self._tmp_directory, self._files_directory)
        self._processes.append(process)
        return process
