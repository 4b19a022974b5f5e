"""What runs in the worker processes of an engine: one function for each call, in a task process.

The task processes of a job stay warm until the job ends, as many as the worker process runs calls
at a time. Once a second, a thread looks up the state of the driver: attempts that it has cancelled
are killed, and all task processes when the job has ended or the driver is dead.
"""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from kvproto._stdio import ready_fds
from kvproto.engine.events import Event, Read
from kvproto.engine.exchange import Exchange, Run
from kvproto.engine.stage import Attempt
from kvproto.engine.task_process import TaskProcess
from kvproto.errors import DataError, JobError, KVProtoError
from kvproto.storage.files import fetch_files
from kvproto.storage.store import is_object
from kvproto.storage.worker_directory import WorkerDirectory, sweep

__all__ = ["Answer", "Call", "Origin", "probe", "run_call", "versions"]

_SECONDS = 1.0  # between looks at the state of the driver, and between batches of events
_RUN_SECONDS = 10.0  # after the end of a run, for which the driver can see that it began
_CANCEL_SECONDS = 0.5  # between a task's looks at what the thread has read


class Origin(NamedTuple):
    """A job, as its calls name it.

    Attributes
    ----------
    address : str
        The directory of its exchange.
    versions : tuple of str
        What `versions` returned in the driver.
    home : str
        The driver's home, which tasks use if it exists where they run.
    path : tuple of str
        The directories where tasks look for modules, as far as they exist where tasks run, after
        those that the driver has published in the exchange.
    logs : str
        The directory for the logs of task processes, if it exists where they run.
    shared : str
        Its shared place, which has an archive of its required files.
    files : str or None
        The directory of its required files, if it has any; fetched from the shared place where it
        does not exist.
    """

    address: str
    versions: tuple[str, str]
    home: str
    path: tuple[str, ...]
    logs: str
    shared: str
    files: str | None


class Call(NamedTuple):
    """A call on its way to a worker.

    Attributes
    ----------
    key : str
        Unique in a cluster; it begins with the name of the job.
    origin : Origin
    stage : str
        The name of the stage's data in the exchange.
    attempt : Attempt
    data : bytes
        The pickled call.
    """

    key: str
    origin: Origin
    stage: str
    attempt: Attempt
    data: bytes


class Answer(NamedTuple):
    """How a call ended.

    Attributes
    ----------
    run : Run
    n_batches : int
        How many batches of events the exchange has got.
    seconds : float
        How long the call took.
    events : list of Event
        What came after the last batch.
    kind : str
        "result", "error" (the value is a Failure), "died" (a report), "cancelled", or "refused":
        the text says why no call of the job can run there.
    """

    run: Run
    n_batches: int
    seconds: float
    events: list[Event]
    kind: str
    value: Any


def versions() -> tuple[str, str]:
    """The versions of Python and kvproto, which driver and workers must share."""
    from kvproto import __version__  # noqa: PLC0415 (the package is complete only now)

    return "{}.{}".format(*sys.version_info), __version__


def probe(address: str, driver: tuple[str, str]) -> list[str]:
    """Return the reasons why this worker process cannot run calls of a job."""
    ours = versions()
    if ours != driver:
        return [
            f"the worker process {_worker()} has Python {ours[0]} and kvproto {ours[1]}, but the "
            f"driver has Python {driver[0]} and kvproto {driver[1]}: install the same versions"
        ]
    try:
        Exchange(address).read_state()
    except (OSError, KVProtoError) as e:
        advice = (
            "all machines need access to the store of the job"
            if is_object(address)
            else "all machines must see the directory of the job at the same path"
        )
        return [
            f"the worker process {_worker()} cannot read what the driver wrote in {address} "
            f"({e}): {advice}"
        ]
    return []


def run_call(call: Call) -> bytes:
    """Run a call in a task process of this machine; return a pickled Answer."""
    try:
        with _using(call.origin) as job:
            answer = job.run(call)
    except KVProtoError as e:  # engines would show it with their own frames
        answer = Answer(Run(call.stage, call.attempt, _worker()), 0, 0.0, [], "refused", str(e))
    return pickle.dumps(answer)


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


_jobs: dict[str, _Job] = {}
_opening = threading.Lock()


@contextmanager
def _using(origin: Origin) -> Iterator[_Job]:
    """The job of a call, which does not end meanwhile."""
    with _opening:
        job = _jobs.get(origin.address)
        if job is None:
            for problem in probe(origin.address, origin.versions):
                raise JobError(problem)
            sweep()
            directory = WorkerDirectory()
            try:
                job = _jobs[origin.address] = _Job(origin, directory)
            except BaseException:
                directory.remove()
                raise
        job.n_running += 1
        job.is_unused.clear()
    try:
        yield job
    finally:
        with _opening:
            job.n_running -= 1
            if not job.n_running:
                job.is_unused.set()


def _after_fork() -> None:
    """The task processes belong to the process that started them."""
    for job in _jobs.values():
        job.leave()
    _jobs.clear()


os.register_at_fork(
    before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_opening.release
)
os.register_at_fork(after_in_child=_after_fork)


class _Job:
    """A job in this worker process, with its warm task processes."""

    def __init__(self, origin: Origin, directory: WorkerDirectory) -> None:
        self.n_running = 0
        self.is_unused = threading.Event()
        self.has_ended = False
        self._exchange = Exchange(origin.address)
        self._origin = origin
        self._directory = directory
        self._logs = origin.logs if os.path.isdir(origin.logs) else self._directory.path
        self._environment = {"KVPROTO_HOME": origin.home} if os.path.isdir(origin.home) else {}
        modules = os.path.join(self._directory.path, "modules")
        fetch_files(origin.address, modules)
        self._path = [path for path in (modules, *origin.path) if os.path.exists(path)]
        self._lock = threading.Lock()
        self._idle: list[TaskProcess] = []
        self._n_started = 0
        self._stages: dict[str, bytes] = {}
        self._old_runs: deque[tuple[float, Run]] = deque()
        self._files = self._fetched()
        self._state = self._exchange.read_state()
        threading.Thread(target=self._watch, daemon=True, name="kvproto watch").start()

    def _fetched(self) -> str | None:
        """The directory of the required files, which are fetched unless they can be seen here."""
        files = self._origin.files
        if files is None or os.path.isdir(files):
            return files
        directory = os.path.join(self._directory.path, "files")
        if not fetch_files(self._origin.shared, directory):
            raise DataError(f"neither {files} nor {self._origin.shared} has the required files")
        return directory

    def leave(self) -> None:
        """In a fork: close this fork's copies of descriptors."""
        self._directory.leave()
        for process in self._idle:
            process.leave()

    # --- a call ----------------------------------------------------------------------------------

    def run(self, call: Call) -> Answer:
        """Run a call in an idle task process, or in a new one."""
        began = time.monotonic()
        outbox = _Outbox(
            self._exchange, Run(call.stage, call.attempt, f"{_worker()}:{time.time_ns()}")
        )
        kind, value = self._run(call, outbox)
        seconds = time.monotonic() - began
        self._old_runs.append((time.monotonic(), outbox.run))
        return Answer(outbox.run, outbox.n_batches, seconds, outbox.events, kind, value)

    def _run(self, call: Call, outbox: _Outbox) -> tuple[str, Any]:
        try:
            data = self._stage(call.stage)
            outbox.begin()
        except (OSError, DataError) as e:
            return "died", (
                f"the worker process {_worker()} cannot use {self._origin.address}, "
                f"the exchange of the job: {e}"
            )
        while True:
            process = self._take()
            try:
                process.send(data, data, *call.attempt, call.data)
                break
            except OSError:  # it died while it was idle
                n_calls, report = process.n_calls, process.reap()
                if n_calls == 0:
                    return "died", report
        try:
            return self._follow(process, call, outbox)
        except BaseException:
            process.kill()
            raise

    def _follow(self, process: TaskProcess, call: Call, outbox: _Outbox) -> tuple[str, Any]:
        """Read the messages of a task until it has ended or is cancelled."""
        while not self.has_ended and outbox.run.name not in self._state.cancelled:
            seconds = outbox.seconds_left(_CANCEL_SECONDS)
            ready_fds([process.connection.fileno(), process.status_fd], seconds=seconds)
            try:
                while (message := process.receive()) is not None:
                    kind, *details = message
                    if kind != "event":
                        self._give_back(process)
                        outbox.add(details[2])
                        return kind, details[1]
                    outbox.add(details[0])
            except (EOFError, OSError):
                return "died", process.reap()
            outbox.send()
        process.kill()
        return "cancelled", None

    def _stage(self, name: str) -> bytes:
        with self._lock:
            if name not in self._stages:
                self._stages[name] = self._exchange.read_stage(name)
            return self._stages[name]

    # --- task processes --------------------------------------------------------------------------

    def _take(self) -> TaskProcess:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            log = f"process-{_worker().replace(':', '-')}-{self._n_started}.txt"
            self._n_started += 1
        return TaskProcess(
            os.path.join(self._logs, log),
            self._directory.path,
            self._files,
            environment=self._environment,
            path=self._path,
        )

    def _give_back(self, process: TaskProcess) -> None:
        with self._lock:
            self._idle.append(process)

    # --- the driver ------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Follow the state of the driver until the job has ended, and then end all processes."""
        heard = time.monotonic()
        while time.monotonic() - heard < self._state.patience:
            time.sleep(_SECONDS)
            try:
                state = self._exchange.read_state()
            except FileNotFoundError:  # the job has ended
                break
            except (OSError, KVProtoError):  # perhaps only for now
                continue
            if state.beat != self._state.beat:
                heard = time.monotonic()
            self._state = state
            self._forget_runs()
        self.has_ended = True
        self._close()

    def _forget_runs(self) -> None:
        """Remove what says that runs began, once the driver has seen it."""
        while self._old_runs and time.monotonic() - self._old_runs[0][0] > _RUN_SECONDS:
            with suppress(OSError, KVProtoError):  # the driver removes it at the end
                self._exchange.forget_run(self._old_runs.popleft()[1])

    def _close(self) -> None:
        """When no call runs any more: forget the job, and end its processes."""
        while _jobs.get(self._origin.address) is self:
            self.is_unused.wait()
            with _opening:
                if not self.n_running:
                    del _jobs[self._origin.address]
        for process in self._idle:
            process.kill()
        self._directory.remove()


class _Outbox:
    """The events of a running task, on their way to the driver."""

    def __init__(self, exchange: Exchange, run: Run) -> None:
        self.run = run
        self.n_batches = 0
        self.events: list[Event] = []
        self._exchange = exchange
        self._next = 0.0

    def begin(self) -> None:
        """Tell the driver that the attempt begins."""
        self._exchange.begin_run(self.run)
        self._next = time.monotonic() + _SECONDS

    def add(self, event: Event) -> None:
        """Add an event, except one that only says that time passes: a batch takes a request."""
        if not (isinstance(event, Read) and event.bytes == event.records == 0):
            self.events.append(event)

    def seconds_left(self, most: float) -> float:
        """How long to wait for more events, at most."""
        return min(most, max(0.0, self._next - time.monotonic())) if self.events else most

    def send(self) -> None:
        """Send a batch, at most once a second."""
        if self.events and time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS
            with suppress(OSError, KVProtoError):  # later, or with the answer
                self._exchange.write_events(self.run, self.n_batches, self.events)
                self.n_batches += 1
                self.events = []
