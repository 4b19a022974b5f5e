"""SIGTERM and SIGHUP end a program as Ctrl-C does: workers are killed, temporary files removed.

Each of these signals raises an exception in the main thread, between any two steps of it. The locks
of `threading` and `concurrent.futures` are written in Python and do not survive that: one that the
exception leaves taken blocks other threads for ever. So the main thread starts threads, and uses
such locks, only inside `deferred`, and waits with `Latch` or a `queue.SimpleQueue`, whose locks
are in C.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["NUMBERS", "Ended", "Latch", "as_interrupts", "deferred", "end_by"]

NUMBERS = (signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """The signal `number` asks this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Raise Ended in the main thread at the first of these signals.

    A signal that is ignored, as under nohup, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in NUMBERS if signal.getsignal(number) == signal.SIG_DFL]
    arrived: list[int] = []

    def end(number: int, frame: object) -> None:
        for each in ours:
            signal.signal(each, signal.SIG_IGN)  # a second one must not interrupt the cleanup
        arrived.append(number)
        raise Ended(number)

    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
    if arrived:  # Python drops an exception that is raised in a destructor or weakref callback
        raise Ended(arrived[0])


@contextmanager
def deferred() -> Iterator[None]:
    """Let no signal interrupt the body: those that arrive in it are handled at its end.

    Unlike a signal mask, this does not pass on to the threads and processes that the body starts.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    handlers = {
        number: handler
        for number in (signal.SIGINT, *NUMBERS)
        if callable(handler := signal.getsignal(number))
    }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
        for number in handlers:
            signal.signal(number, lambda number, frame: arrived.append(number))
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, handlers)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for each in arrived:
            signal.raise_signal(each)  # pending until the mask is lifted
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class Latch:
    """A `threading.Event` that can only be set, and whose `wait` a signal may interrupt."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[threading.Lock] = []  # taken until set() releases them

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Let all waits return, at once and from now on. Only the first call has an effect."""
        if not self._is_set:
            self._is_set = True
            for lock in list(self._waiting):
                lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds; return whether the latch is set."""
        lock = threading.Lock()  # of this wait alone, so that an interruption leaves nothing behind
        lock.acquire()
        self._waiting.append(lock)  # before the look at _is_set, which set() changes first
        try:
            if not self._is_set:
                lock.acquire(timeout=-1 if timeout is None else timeout)
        finally:
            self._waiting.remove(lock)
        return self._is_set


def end_by(number: int) -> int:
    """End as a program that does not handle the signal, so that a shell sees what happened."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
