"""Wait for descriptors, and write to stdout and stderr completely or with an error.

`sys.stdout` may be None (`>&-`). With PYTHONUNBUFFERED its `buffer` is a raw file, whose `write`
may write only a part. So everything that kvproto prints goes through `write_all`.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from kvproto._text import printable

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["StandardFile", "ready_fds", "say", "stderr", "stdout", "write_all"]

_NAMES = {1: "stdout", 2: "stderr"}


def ready_fds(
    readable: Iterable[int] = (),
    writable: Iterable[int] = (),
    seconds: float | None = None,
    *,
    left: Iterable[int] = (),
) -> set[int]:
    """Wait until a descriptor is ready. The one place that polls.

    Parameters
    ----------
    readable, writable, left : iterable of int
        Descriptors: to read from, to write to, and to watch until no process has the other end
        open.
    seconds : float, optional
        The longest wait. Defaults to no limit.

    Returns
    -------
    set of int
        The descriptors that are ready, at end of file or in error; empty when time is up.
    """
    poll = select.poll()
    for fds, events in (readable, select.POLLIN), (writable, select.POLLOUT), (left, 0):
        for fd in fds:
            poll.register(fd, events)
    return {fd for fd, _ in poll.poll(None if seconds is None else max(0.0, seconds) * 1000)}


def write_all(fd: int, data: Buffer) -> None:
    """Write all of data to descriptor 1 or 2, which may be non-blocking.

    Raises OSError, with "stdout" or "stderr" as the file name.
    """
    left = memoryview(data).cast("B")
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            ready_fds(writable=[fd])
        except OSError as e:
            why = "it is closed" if e.errno == errno.EBADF else e.strerror
            raise OSError(e.errno, why, _NAMES.get(fd, fd)) from None


class StandardFile(io.RawIOBase):
    """Descriptor 1 or 2 as a raw file whose `write` writes everything."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        with suppress(OSError):
            return os.isatty(self._fd)
        return False

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        write_all(self._fd, data)
        return memoryview(data).nbytes


class _BestEffort(StandardFile):
    """Stderr for progress and messages. No error is raised when it is full or closed."""

    def write(self, data: Buffer) -> int:
        n_bytes = memoryview(data).nbytes
        if sys.__stderr__ is None:  # it was closed at the start: descriptor 2 is now another file
            return n_bytes
        try:
            return super().write(data)
        except BrokenPipeError:
            raise  # no reader: end, as other programs do
        except OSError:
            return n_bytes


def stdout() -> io.TextIOWrapper:
    """Open descriptor 1 as a text file in the encoding of `sys.stdout`, for code that prints.

    Closing it raises OSError unless everything was written.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(StandardFile(1)), encoding=encoding, write_through=True
    )


def stderr() -> io.TextIOWrapper:
    """Open descriptor 2 as a text file in the encoding of `sys.stderr`.

    Text that cannot be written is dropped.
    """
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(_BestEffort(2)),
        encoding=encoding,
        errors="backslashreplace",
        write_through=True,
    )


def say(text: str) -> None:
    """Write a line to stderr, if there is one, with control characters escaped."""
    _BestEffort(2).write(f"{printable(text)}\n".encode("utf-8", "backslashreplace"))
