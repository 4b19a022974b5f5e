"""SIGTERM and SIGHUP as Ctrl-C: workers are killed, temporary files removed, and then the signal has its effect."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Ended", "as_interrupts", "end_by", "ending_cleanly"]

_NUMBERS = (signal.SIGTERM, signal.SIGHUP)


class Ended(KeyboardInterrupt):
    """A signal asks this process to end. `number`: which one."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def as_interrupts() -> Iterator[bool]:
    """Within this, the first of these signals raises Ended in the main thread. One that is ignored (nohup) stays ignored.

    Gives whether it does: signals that have handlers already, or another thread, are left alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield False
        return
    ours = [number for number in _NUMBERS if signal.getsignal(number) == signal.SIG_DFL]

    def end(number: int, frame: object) -> None:
        for each in ours:
            signal.signal(each, signal.SIG_IGN)  # a second one must not interrupt the clearing up
        raise Ended(number)

    for number in ours:
        signal.signal(number, end)
    try:
        yield bool(ours)
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Within this, such a signal raises Ended, a KeyboardInterrupt, so that the body can clear up; then it ends the process."""
    try:
        with as_interrupts() as is_ours:
            yield
    except Ended as e:
        if is_ours:
            end_by(e.number)
        raise


def end_by(number: int) -> int:
    """End as the signal ends a program that does not handle it, so that a shell sees what happened."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
