"""Jobs that run in this process: a thread for each, and what becomes of them when the process is to end.

Ctrl-C in a wait stops the job that is waited for. When the main thread ends by an error, or Ctrl-C, all jobs that still run
are stopped; when it just ends, they are let run to their end, and what fails then is told on stderr. SIGTERM and SIGHUP
are handled as Ctrl-C is while jobs run, and then end the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from kvproto._stdio import say
from kvproto.classic import disco_names as alias
from kvproto.driver.signals import NUMBERS, Ended, end_by

__all__ = ["Run", "stop", "stopping"]

_running: set[Run] = set()


class Run(threading.Thread):
    """The thread that carries out a job: `results` or `error` when it has `ended`.

    An event and not join(), which takes a thread for ended when Ctrl-C interrupts it (CPython 3.11).
    """

    def __init__(
        self, spec, inputs: Sequence, directory, n_processes: int, on_event, notes: Sequence[str]
    ) -> None:
        from kvproto.engine.pool import LocalPool  # noqa: PLC0415 (it loads multiprocessing)

        super().__init__(name=f"kvproto {directory.job}")
        self.directory = directory
        self.results: list[str] = []
        self.error: BaseException | None = None
        self.ended = threading.Event()
        self.pool = LocalPool(
            n_processes,
            log_directory=directory.logs,
            tmp_directory=directory.tmp,
            files_directory=directory.files if os.listdir(directory.files) else None,
            prepare=alias.install if alias.is_installed() else None,
            stop_fd=directory.stop_fd,
        )
        self._arguments = (spec, inputs, directory, self.pool, n_processes, on_event, notes)

    def start(self) -> None:
        _running.add(self)
        _take_signals()
        try:
            super().start()
        except RuntimeError:  # there can be no more threads
            _running.discard(self)
            self.directory.discard()
            raise

    def run(self) -> None:
        try:
            from kvproto.engine.job import run_job  # here, so that an error of it too ends the job

            with self.pool:
                self.results = run_job(*self._arguments)
        except BaseException as e:
            self.error = e
        finally:
            self.directory.close()  # the last thing: whoever waits for that finds nothing of the job running
            _running.discard(self)
            self.ended.set()


def stop(runs: Sequence[Run]) -> None:
    """Stop those that still run, all at once, and say where their logs are; returns when nothing of them runs any more."""
    runs = [run for run in runs if not run.ended.is_set()]
    for run in runs:
        run.directory.stop()
    for run in runs:
        run.ended.wait()
        say(f"kvproto: job {run.directory.job} was stopped; its logs are in {run.directory.path}")


@contextmanager
def stopping(runs: Callable[[], Sequence[Run]]) -> Iterator[None]:
    """Stop what runs then when Ctrl-C, SIGTERM or SIGHUP interrupts the body; then the signal has its effect."""
    try:
        yield
    except KeyboardInterrupt as e:
        stop(runs())
        _end_if_asked(e)
        raise


def _end_if_asked(error: BaseException | None) -> None:
    """End by the signal that the error stands for, if it is one that this module has made an error of."""
    if isinstance(error, Ended) and error.number in _ours:
        stop(list(_running))
        end_by(error.number)


_ours: set[int] = set()  # signals that are handled here


def _take_signals() -> None:
    """While jobs run, have SIGTERM and SIGHUP interrupt the main thread as Ctrl-C does, where nobody else handles them."""
    if threading.current_thread() is threading.main_thread():
        for number in NUMBERS:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _interrupt)
                _ours.add(number)


def _interrupt(number: int, frame: object) -> None:
    for each in _ours:
        signal.signal(each, signal.SIG_IGN)  # a second one must not interrupt the clearing up
    if not _running:
        end_by(number)
    raise Ended(number)


def _at_exit() -> None:
    """The main thread has ended: stop the jobs that still run, if it ended by an error, or wait for them."""
    runs = list(_running)
    has_failed = (hasattr(sys, "last_exc") or hasattr(sys, "last_type")) and not hasattr(sys, "ps1")
    if has_failed:  # at a prompt it would be the error of some earlier line
        stop(runs)
        _end_if_asked(getattr(sys, "last_value", None))
        return
    with suppress(KeyboardInterrupt), stopping(lambda: runs):
        for run in runs:
            run.ended.wait()
            if run.error is not None:
                say(f"kvproto: {run.error}")


def _after_fork() -> None:
    """In a fork of this process: the jobs are its parent's, whose death must show though this one lives on."""
    for run in _running:
        run.directory.leave()
        run.pool.leave()
    _running.clear()


os.register_at_fork(after_in_child=_after_fork)
threading._register_atexit(
    _at_exit
)  # before the interpreter waits for threads, as concurrent.futures does it
