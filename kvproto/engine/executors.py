"""Run stages on another engine: on a `concurrent.futures.Executor`.

The executor runs one small function for each call (`kvproto.engine.remote.run_call`). All else
that driver and workers have to say goes through the exchange in the job's shared place.
"""

from __future__ import annotations

import itertools
import os
import pickle
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from concurrent.futures import Future
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from kvproto._stdio import ready_fds
from kvproto.engine.engines import Cluster, cannot_call
from kvproto.engine.events import Event, Note
from kvproto.engine.exchange import Exchange, Run, State, attempt_name
from kvproto.engine.remote import Answer, Call, Origin, probe, run_call, versions
from kvproto.engine.stage import Attempt, Stage, portable
from kvproto.errors import Cancelled, JobError, KVProtoError, TaskError
from kvproto.storage.files import publish_files
from kvproto.storage.home import home
from kvproto.storage.job_directory import JobDirectory

__all__ = ["ExecutorEngine"]

_BEAT_SECONDS = 5.0
_PATIENCE = 60.0  # seconds without a beat after which workers take the driver for dead
_POLL_SECONDS = 0.5  # between looks for events
_MAX_PROBLEMS = 3  # of workers, in an error
_END_SECONDS = 10.0  # for which cancelled calls may take to end


class ExecutorEngine:
    """Runs stages on a cluster; a context manager, which closes the cluster.

    Parameters
    ----------
    cluster : Cluster
    max_slots : int
        The largest number of calls at a time.
    directory : JobDirectory
        The directory of the job, which the workers must see.
    path : sequence of str
        Directories where the tasks look for modules first, as far as they exist there.
    modules : mapping of str to str
        Modules that come before those of `path`: name of a file -> its path here.
    prepare : callable or None
        A module's function, called in each task process before anything of a job is unpickled.
    speculate : bool
        Whether slow tasks at the end of a stage get a second attempt.
    """

    def __init__(
        self,
        cluster: Cluster,
        max_slots: int,
        directory: JobDirectory,
        *,
        path: Sequence[str] = (),
        modules: Mapping[str, str] = MappingProxyType({}),
        prepare: Callable[[], object] | None = None,
        speculate: bool = True,
    ) -> None:
        self.address = cluster.address
        self._cluster = cluster
        self._max_slots = max_slots
        self._n_slots = 1
        self._speculate = speculate
        self._job = directory.job
        self._stop_fd = directory.stop_fd
        self._modules = modules
        self._prepare = None if prepare is None else pickle.dumps(prepare)
        self._exchange = Exchange(os.path.join(directory.exchange, os.urandom(4).hex()))
        self._origin = Origin(
            self._exchange.address,
            versions(),
            home(),
            tuple(path),
            directory.logs,
            directory.shared,
            directory.files if os.listdir(directory.files) else None,
        )
        self._beat = _Beat(self._exchange)
        self._mailbox = _Mailbox()
        self._running: dict[Future[bytes], tuple[_StageRun, Attempt]] = {}
        self._n_stages = 0
        self._next_look = 0.0

    def __enter__(self) -> ExecutorEngine:
        self._exchange.make()
        if self._modules:
            publish_files(self._modules, self._exchange.address)
        self._beat.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._end_calls()
        finally:
            self._beat.stop()
            with suppress(OSError):
                self._exchange.remove()
            self._cluster.close()
            self._mailbox.close()

    def leave(self) -> None:
        """In a fork of the driver: close this fork's copies of descriptors."""
        self._mailbox.close()

    # --- a stage ---------------------------------------------------------------------------------

    def run_stage(self, stage: Stage, fn: Callable[[Any], Any]) -> Iterator[tuple[int, Any]]:
        """Run a function on each call of a stage, as `LocalPool.run_stage` does.

        Raises
        ------
        JobError
            Also if a worker cannot run calls of the job, or if the cluster gives a call up.
        """
        run = _StageRun(f"{stage.name}-{self._n_stages}", stage)
        data = pickle.dumps(("stage", stage.name, self._prepare, portable(fn)))
        self._exchange.write_stage(run.name, data)
        try:
            if not self._n_stages:
                self._ask()
            self._n_stages += 1
            while run.stage.n_left:
                if time.monotonic() >= self._next_look:
                    self._next_look = time.monotonic() + _POLL_SECONDS
                    self._count_slots(run)
                    self._take_events(run)
                self._submit(run)
                self._wait(f"the {stage.name} stage")
                yield from self._take_answers(run)
            self._take_events(run)
        finally:
            self._cancel(run)

    def _ask(self) -> None:
        """Ask the workers, before the first call, whether they can run calls of the job."""
        try:
            future = self._cluster.ask(probe, self._origin.address, self._origin.versions)
            future.add_done_callback(self._mailbox.put)
            while not future.done():
                self._wait("the job")
            problems = future.result()
        except Cancelled:
            raise
        except self._cluster.lost:  # that worker process has ended, for whatever reason
            return
        except Exception as e:  # whatever the cluster raises
            raise JobError(cannot_call(self._cluster.name, e), cause=e) from e
        if problems:
            n_more = len(problems) - _MAX_PROBLEMS
            more = [f"and {n_more} more of this kind"] if n_more > 0 else []
            raise JobError("\n".join([*problems[:_MAX_PROBLEMS], *more]))

    def _count_slots(self, run: _StageRun) -> None:
        """Count how many calls may run at a time: workers join and leave."""
        before = self._n_slots
        with suppress(Exception):  # whatever the cluster raises; the calls raise it too
            n_slots = self._cluster.n_slots or self._cluster.slots()
            self._n_slots = min(n_slots, self._max_slots)
        if before and not self._n_slots:
            run.send([Note(f"{self._cluster.name} has no workers now: the job waits for some")])

    def _submit(self, run: _StageRun) -> None:
        # No more than can run: a call should not wait for one that happens to be slow. But one at
        # least, which fails if the cluster does.
        while len(self._running) < max(1, self._n_slots):
            attempt = run.stage.take() or (run.stage.take_slow() if self._speculate else None)
            if attempt is None:
                return
            self._submit_attempt(run, attempt)

    def _submit_attempt(self, run: _StageRun, attempt: Attempt) -> None:
        key = f"{self._job}-{attempt_name(run.name, attempt)}"
        data = run.stage.call(attempt.task)
        try:
            call = Call(key, self._origin, run.name, attempt, data)
            future = self._cluster.submit(run_call, call)
        except Exception as e:  # whatever the cluster raises
            raise _engine_error(self._cluster, f"does not take the task {key}", e) from e
        self._running[future] = run, attempt
        future.add_done_callback(self._mailbox.put)

    def _wait(self, what: str) -> None:
        """Wait for answers, or until it is time to look for events."""
        fds = [self._mailbox.fd, self._stop_fd]
        if self._stop_fd in ready_fds(fds, seconds=_POLL_SECONDS):
            raise Cancelled(f"{what} was stopped by a kill or Ctrl-C")

    def _take_answers(self, run: _StageRun) -> Iterator[tuple[int, Any]]:
        for future in self._mailbox.take():
            if future not in self._running:  # the workers' answers to `_ask`
                continue
            of, attempt = self._running.pop(future)
            if of is not run:  # of a second attempt in an earlier stage
                continue
            answer = self._answer(run, attempt, future)
            if answer is not None and run.stage.succeeded(attempt, answer.seconds):
                for other in run.stage.others(attempt):
                    self._beat.cancel([attempt_name(run.name, other)])
                yield attempt.task, answer.value

    def _answer(self, run: _StageRun, attempt: Attempt, future: Future[bytes]) -> Answer | None:
        """Return the answer of an attempt that succeeded; else None, after telling the stage."""
        try:
            answer: Answer = pickle.loads(future.result())
        except self._cluster.lost as e:
            run.stage.died(attempt, f"{self._cluster.name}: {e}")
            return None
        except (Exception, futures.CancelledError) as e:  # whatever the cluster raises
            self._take_events(run)  # its last runs, and what they said
            task = f"task {run.stage.name}:{attempt.task}"
            error = _engine_error(self._cluster, f"gave up {task}", e)
            error.task = run.stage.name, attempt.task
            raise error from e
        if answer.kind == "refused":
            raise JobError(answer.value)
        run.began(answer.run)
        run.send(self._exchange.take_all_events(answer.run, answer.n_batches))
        run.send(answer.events)
        if answer.kind == "result":
            return answer
        if answer.kind == "error":
            run.stage.failed(attempt, answer.value)
        elif answer.kind == "died":
            run.stage.died(attempt, answer.value, run.host(attempt))
        elif answer.kind == "cancelled":
            run.stage.cancelled(attempt, run.host(attempt))
        return None

    def _take_events(self, run: _StageRun) -> None:
        """Pass on the events of running tasks."""
        try:
            runs, batches = self._exchange.look()
            for one in runs:
                run.began(one)
            for name, one in batches.items():
                events = self._exchange.take_events(name)
                if one.stage == run.name:
                    run.send(events)
        except OSError:
            return  # later

    # --- the end ---------------------------------------------------------------------------------

    def _cancel(self, run: _StageRun) -> None:
        """Cancel what still runs of a stage."""
        left = [attempt for of, attempt in self._running.values() if of is run]
        if left:
            self._beat.cancel([attempt_name(run.name, attempt) for attempt in left])
        for attempt in left:
            run.stage.cancelled(attempt, run.host(attempt))

    def _end_calls(self) -> None:
        """Wait until the cancelled calls have ended; cancel those that have not begun."""
        _, left = futures.wait(self._running, _END_SECONDS)
        for future in left:
            future.cancel()
        self._running.clear()


def _engine_error(cluster: Cluster, what: str, error: BaseException) -> TaskError:
    return TaskError(f"{cluster.name} {what}: {type(error).__name__}: {error}", cause=error)


class _StageRun:
    """A stage on the cluster: its name in the exchange, and the runs of its attempts."""

    def __init__(self, name: str, stage: Stage) -> None:
        self.name = name
        self.stage = stage
        self._runs: dict[Attempt, list[Run]] = {}

    def began(self, run: Run) -> None:
        """Note a run of an attempt. A second one means that the engine has lost the first."""
        runs = self._runs.setdefault(run.attempt, [])
        if run.stage != self.name or run in runs:
            return
        runs.append(run)
        if len(runs) == 1:
            self.stage.began(run.attempt)
            return
        runs.sort(key=lambda run: run.began)  # an answer may come before what was lost is seen
        lost, now = (run.worker.rpartition(":")[0] for run in runs[-2:])
        self.stage.lost(
            run.attempt,
            f"the worker process {lost} ended, or lost its connection, with the task or its "
            f"answer; the engine runs it again on {now}",
        )

    def host(self, attempt: Attempt) -> str:
        """The host of the last run of an attempt; "" if none has begun."""
        runs = self._runs.get(attempt)
        return runs[-1].worker.partition(":")[0] if runs else ""

    def send(self, events: Iterable[Event]) -> None:
        """Pass on events of a task."""
        for event in events:
            self.stage.on_event(event)


class _Mailbox:
    """The futures that are done; `fd` is readable when there are any."""

    def __init__(self) -> None:
        self._done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self.fd = self._reader.fileno()

    def put(self, future: Future[Any]) -> None:
        """Add a future; from any thread."""
        self._done.put(future)
        with suppress(OSError):  # full of earlier ones, or closed
            self._writer.send(b".")

    def take(self) -> Iterator[Future[Any]]:
        """Yield the futures that have been added."""
        with suppress(BlockingIOError):
            self._reader.recv(1 << 16)
        while not self._done.empty():
            yield self._done.get()

    def close(self) -> None:
        """Close the sockets."""
        self._reader.close()
        self._writer.close()


class _Beat:
    """The thread that writes the state of the driver, so that workers know that it lives."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._cancelled: frozenset[str] = frozenset()
        self._has_news = threading.Event()
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="kvproto beat")

    def start(self) -> None:
        """Write the first state, and start the thread."""
        self._exchange.write_state(State(0, _PATIENCE))
        self._thread.start()

    def cancel(self, names: Iterable[str]) -> None:
        """Let the workers end attempts."""
        self._cancelled = self._cancelled.union(names)
        self._has_news.set()

    def stop(self) -> None:
        """End the thread."""
        self._has_ended = True
        self._has_news.set()
        self._thread.join()

    def _run(self) -> None:
        for beat in itertools.count(1):
            self._has_news.wait(_BEAT_SECONDS)
            self._has_news.clear()
            if self._has_ended:
                return
            with suppress(OSError, KVProtoError):  # the next one may succeed
                self._exchange.write_state(State(beat, _PATIENCE, self._cancelled))
