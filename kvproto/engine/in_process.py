"""The engine that runs tasks in this process, one after the other, in the thread of its caller.

A debugger, coverage and print work in job functions there. The functions are the objects that the
job was given, not copies, so that breakpoints hit; only `params` are new for each task. A task has
the working directory, environment and TMPDIR that it has in a task process; after it, those of the
driver are restored. What it prints goes to stdout as it is, and is not an event.
"""

from __future__ import annotations

import collections
import os
import pickle
import socket
import sys
import tempfile
import threading
from bdb import BdbQuit
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from types import FunctionType, ModuleType
from typing import Any, TextIO

import cloudpickle

from kvproto._stdio import ready_fds
from kvproto.engine.events import Event, OnEvent
from kvproto.engine.stage import Attempt, Stage
from kvproto.engine.task_events import begin_task, end_task, is_in_task, set_sink
from kvproto.engine.task_main import Surroundings, failure_of
from kvproto.engine.usage import Watch
from kvproto.errors import Cancelled, JobError
from kvproto.storage.atomic import private
from kvproto.storage.home import in_home

__all__ = ["INTERRUPTS", "InProcess"]

INTERRUPTS = (KeyboardInterrupt, BdbQuit)
"""What stops a job in the middle of a task: Ctrl-C or a signal, and the `q` of pdb."""


class InProcess:
    """Runs stages in this process; a context manager.

    Ctrl-C in a task, or the `q` of pdb, stops the stage: it raises Cancelled from that. Otherwise
    the error of a task has as its cause the exception itself, with its traceback.

    Parameters
    ----------
    log : str
        The file for the messages of the tasks.
    tmp_directory : str
        The directory for their TMPDIR.
    files_directory : str or None
        The working directory of the tasks, where they look first for modules. None: that of this
        process.
    stop_fd : int or None
        A file descriptor. When it is readable, no further task begins: the current stage and each
        later one raise Cancelled.
    """

    address = ""

    def __init__(
        self,
        *,
        log: str,
        tmp_directory: str,
        files_directory: str | None = None,
        stop_fd: int | None = None,
    ) -> None:
        self._log_path = log
        self._tmp_directory = tmp_directory
        self._files_directory = files_directory
        self._stop = [] if stop_fd is None else [stop_fd]

    def __enter__(self) -> InProcess:
        if is_in_task():
            raise JobError(
                "processes=0: this process runs a task already, and can run one at a time; give "
                "the inner job processes=1"
            )
        with in_home(self._log_path):
            self._log: TextIO = open(
                self._log_path, "a", encoding="utf-8", errors="backslashreplace", opener=private
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(OSError):  # the disk is full
            self._log.close()

    def leave(self) -> None:
        """Nothing: a fork has no processes of this engine."""

    def run_stage(self, stage: Stage, fn: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
        """Run a function on each call of a stage; see `kvproto.engine.pool.LocalPool.run_stage`.

        Nothing is pickled but the params in fn.
        """
        while attempt := stage.take():
            if ready_fds(self._stop, seconds=0):
                raise Cancelled(f"the {stage.name} stage was stopped by a kill")
            yield from self._run(stage, attempt, fn, stage.calls[attempt.task])

    def _run(
        self, stage: Stage, attempt: Attempt, fn: Callable[[Any], Any], call: Any
    ) -> Iterator[tuple[int, Any]]:
        """Run one attempt; yield its index and result unless another one is to follow."""
        events, watch, pid = _Events(stage.on_event), Watch(), os.getpid()
        error: BaseException | None = None
        result = None
        try:
            with self._as_in_task_process(), _sending(events, self._log):
                begin_task(stage.name, attempt.task, self._log_path)
                try:
                    result = _with_own_params(fn)(call)
                except BaseException as e:  # the task has failed, whatever it is: SystemExit too
                    error = e
                if os.getpid() != pid:
                    os._exit(1)  # a fork that returned from the job function
                ended = end_task(attempt.number, "failed" if error else "done", watch.usage())
        except KeyboardInterrupt as e:
            error = e
        if events.error is not None:
            raise events.error
        if isinstance(error, INTERRUPTS):
            stage.cancelled(attempt, socket.gethostname(), pid)
            raise Cancelled(_why_stopped(stage.name, error)) from error
        stage.on_event(ended)
        if error is not None:
            stage.failed(attempt, failure_of(error, self._log)._replace(error=error))
        elif stage.succeeded(attempt):
            yield attempt.task, result

    @contextmanager
    def _as_in_task_process(self) -> Iterator[None]:
        """Give the body the surroundings of a task, then restore those of the driver."""
        driver, before = Surroundings(), (tempfile.tempdir, sys.path[:])
        try:
            os.environ["TMPDIR"] = tempfile.tempdir = self._tmp_directory
            if self._files_directory is not None:
                os.chdir(self._files_directory)
                sys.path.insert(0, self._files_directory)
            yield
        finally:
            driver.restore()
            tempfile.tempdir, sys.path[:] = before


def _why_stopped(stage: str, error: BaseException) -> str:
    by = "Ctrl-C or a signal" if isinstance(error, KeyboardInterrupt) else "the debugger"
    return f"the {stage} stage was stopped by {by}"


class _Events:
    """Delivers the events of a task in the thread that made this object.

    A task has another thread that counts what it reads. While a person looks at a prompt of pdb,
    that thread must not print progress there.
    """

    def __init__(self, on_event: OnEvent) -> None:
        self.error: BaseException | None = None  # that on_event raised
        self._on_event = on_event
        self._thread = threading.get_ident()
        self._waiting: collections.deque[Event] = collections.deque()

    def __call__(self, event: Event) -> None:
        self._waiting.append(event)
        while self._waiting and threading.get_ident() == self._thread:
            try:
                self._on_event(self._waiting.popleft())
            except BaseException as e:
                self.error = e
                raise


@contextmanager
def _sending(events: _Events, log: TextIO) -> Iterator[None]:
    set_sink(events, log.fileno())
    try:
        yield
    finally:
        set_sink(None)


# --- params --------------------------------------------------------------------------------------


def _with_own_params(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Copy what fn consists of, as pickling for a task process does, but no function or class."""
    file = BytesIO()
    pickler = _Pickler(file)
    try:
        pickler.dump(fn)
    except Exception as e:  # anything that the objects in it raise
        raise JobError(
            f"the job's params cannot be copied for a task: {e}; "
            "create open files, locks and connections in the task"
        ) from e
    file.seek(0)
    copy: Callable[[Any], Any] = _Unpickler(file, pickler.kept).load()
    return copy


_KEPT = (FunctionType, type, ModuleType)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    def __init__(self, file: BytesIO) -> None:
        super().__init__(file)
        self.kept: list[object] = []

    def persistent_id(self, obj: object) -> int | None:
        if not isinstance(obj, _KEPT):
            return None
        self.kept.append(obj)
        return len(self.kept) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BytesIO, kept: list[object]) -> None:
        super().__init__(file)
        self._kept = kept

    def persistent_load(self, pid: int) -> object:
        return self._kept[pid]
