"""The threads that run the jobs of this process, and what happens to the jobs when it ends.

A job whose tasks run in this process itself runs in the thread that starts it.

Ctrl-C in a wait stops the job. If the main thread ends with an error or by Ctrl-C, all jobs stop.
If it ends without an error, the jobs run to their end, and errors go to stderr. While jobs run,
SIGTERM and SIGHUP do what Ctrl-C does, and then end the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from kvproto._stdio import say
from kvproto.classic import disco_names as alias
from kvproto.classic.importing import own_modules, own_path
from kvproto.driver.signals import NUMBERS, Ended, Latch, deferred, end_by
from kvproto.engine.commands import how_to_resume
from kvproto.storage.job_directory import JobDirectory

if TYPE_CHECKING:
    from kvproto.engine.engines import Cluster
    from kvproto.engine.executors import ExecutorEngine
    from kvproto.engine.in_process import InProcess
    from kvproto.engine.journal import Journal, Planned
    from kvproto.engine.pool import LocalPool

__all__ = ["JobThread", "stop", "stopping"]

_threads: set[JobThread] = set()
_untold: set[JobThread] = set()  # that have ended with an error which nobody has asked for


class JobThread(threading.Thread):
    """The thread that runs a job. When `ended` is set, it has `results` or an `error`.

    `first_event` is where its events begin in their file.

    `ended` exists because an interrupted join() marks a thread as ended (CPython 3.11).
    """

    def __init__(
        self,
        planned: Planned,
        directory: JobDirectory,
        journal: Journal,
        n_processes: int,
        cluster: Cluster | None,
        on_event: Callable[[dict[str, Any]], object] | None,
        notes: Sequence[str],
    ) -> None:
        super().__init__(name=f"kvproto {directory.job}")
        self.directory = directory
        self.results: list[str] = []
        self.error: BaseException | None = None
        self.ended = Latch()
        self.first_event = os.path.getsize(directory.events) if journal.is_resumed else 0
        self._is_here = n_processes == 0
        prepare = alias.install if alias.is_installed() else None
        self.pool: ExecutorEngine | InProcess | LocalPool = (
            _on_cluster(cluster, planned, directory, prepare)
            if cluster is not None
            else _in_process(directory)
            if self._is_here
            else _local_pool(directory, n_processes, prepare)
        )
        self._arguments = (
            *(planned.spec, planned.inputs, directory, self.pool, planned.n_processes),
            *(on_event, notes, journal),
        )

    def begin(self, undo: ExitStack) -> None:
        """Start the thread, which cleans up by itself: then there is nothing to undo.

        A job whose tasks run in this process begins with `run_in_process`.
        """
        _take_signals()
        if self._is_here:
            undo.pop_all()
            return
        try:
            with deferred():
                _threads.add(self)
                self.start()
                undo.pop_all()
        except RuntimeError:  # the process cannot start another thread
            _threads.discard(self)
            raise

    def run_in_process(self) -> None:
        """Run the job in this thread. Raises the KeyboardInterrupt or BdbQuit that stopped it."""
        from kvproto.engine.in_process import INTERRUPTS  # noqa: PLC0415 (not for all jobs)

        self.run()
        if self.error is None:
            return
        for error in (self.error, self.error.__cause__):
            if isinstance(error, INTERRUPTS):
                _say_stopped(self.directory)
                _end_by_signal(error)
                raise error
        _untold.add(self)

    def outcome(self) -> list[str]:
        """Return the results of the job, or raise its error, when it has ended."""
        _untold.discard(self)
        if self.error is not None:
            raise self.error
        return self.results

    def run(self) -> None:
        try:
            _threads.add(self)
            # here, so that an error in the import ends the job too
            from kvproto.engine.job import run_job  # noqa: PLC0415 (it loads subprocess and cloudpickle)

            with self.pool:
                self.results = run_job(*self._arguments)
        except BaseException as e:
            self.error = e
        finally:
            self.directory.close()  # comes last, because it says that all processes have ended
            _threads.discard(self)
            self.ended.set()


def _in_process(directory: JobDirectory) -> InProcess:
    from kvproto.engine.in_process import InProcess  # noqa: PLC0415 (not for all jobs)

    return InProcess(
        log=os.path.join(directory.logs, "in-process.txt"),
        tmp_directory=directory.tmp,
        files_directory=_files_directory(directory),
        stop_fd=directory.stop_fd,
    )


def _files_directory(directory: JobDirectory) -> str | None:
    return directory.files if os.listdir(directory.files) else None


def _local_pool(
    directory: JobDirectory, n_processes: int, prepare: Callable[[], object] | None
) -> LocalPool:
    from kvproto.engine.pool import LocalPool  # noqa: PLC0415 (it loads subprocess and cloudpickle)

    return LocalPool(
        n_processes,
        log_directory=directory.logs,
        tmp_directory=directory.tmp,
        files_directory=_files_directory(directory),
        prepare=prepare,
        stop_fd=directory.stop_fd,
    )


def _on_cluster(
    cluster: Cluster,
    planned: Planned,
    directory: JobDirectory,
    prepare: Callable[[], object] | None,
) -> ExecutorEngine:
    from kvproto.engine.executors import ExecutorEngine  # noqa: PLC0415 (not for all jobs)

    return ExecutorEngine(
        cluster,
        planned.n_allowed,
        directory,
        path=own_path(),
        modules=own_modules(planned.spec.functions()),
        prepare=prepare,
        speculate=planned.speculate,
    )


def stop(threads: Sequence[JobThread]) -> None:
    """Stop the jobs that have not ended, wait for their end, and print where their logs are."""
    threads = [thread for thread in threads if not thread.ended.is_set()]
    for thread in threads:
        thread.directory.stop()
    for thread in threads:
        thread.ended.wait()
        _say_stopped(thread.directory)


def _say_stopped(job: JobDirectory) -> None:
    say(f"kvproto: job {job.job} was stopped; its logs are in {job.path}{how_to_resume(job)}")


@contextmanager
def stopping(threads: Callable[[], Sequence[JobThread]]) -> Iterator[None]:
    """Stop jobs if Ctrl-C, SIGTERM or SIGHUP interrupts the body; then let it take effect."""
    try:
        yield
    except KeyboardInterrupt as e:
        stop(threads())
        _end_by_signal(e)
        raise


def _end_by_signal(error: BaseException | None) -> None:
    """End the process by the signal that raised this error, if this module handles the signal."""
    if isinstance(error, Ended) and error.number in _handled:
        stop(list(_threads))
        end_by(error.number)


_handled: set[int] = set()  # the signals that this module handles


def _take_signals() -> None:
    """Let SIGTERM and SIGHUP interrupt the main thread as Ctrl-C does, unless they are handled."""
    if threading.current_thread() is threading.main_thread():
        for number in NUMBERS:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _interrupt)
                _handled.add(number)


def _interrupt(number: int, frame: object) -> None:
    for each in _handled:
        signal.signal(each, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    if not _threads:
        end_by(number)
    raise Ended(number)


def _at_exit() -> None:
    """When the main thread has ended: stop the jobs if that was with an error, or wait for them."""
    threads = list(_threads)
    is_prompt = hasattr(sys, "ps1")  # there, the last error may be of an earlier line
    if (hasattr(sys, "last_exc") or hasattr(sys, "last_type")) and not is_prompt:
        stop(threads)
        _end_by_signal(getattr(sys, "last_value", None))
        return
    with suppress(KeyboardInterrupt), stopping(lambda: threads):
        for thread in threads:
            thread.ended.wait()
        for thread in (*threads, *_untold):
            if thread.error is not None:
                say(f"kvproto: {thread.error}")


def _after_fork() -> None:
    """Close this fork's copies of descriptors, so that others notice when the parent dies."""
    for thread in _threads:
        thread.directory.leave()
        thread.pool.leave()
    _threads.clear()


os.register_at_fork(after_in_child=_after_fork)
# as in concurrent.futures, because atexit functions run after the wait for all threads
threading._register_atexit(_at_exit)  # type: ignore[attr-defined]
