"""Writing to stdout and stderr so that all of it arrives, or an error says that it does not.

Python's own `sys.stdout` may be missing (`>&-`), and with PYTHONUNBUFFERED its `buffer` is a raw file, whose `write` may
take only a part. Everything that kvproto prints goes through `write_all` instead.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress

from kvproto._text import printable

__all__ = ["StandardFile", "say", "stderr", "stdout", "write_all"]

_NAMES = {1: "stdout", 2: "stderr"}


def write_all(fd: int, data) -> None:
    """Write all of data, bytes or the like, to descriptor 1 or 2, and wait where a non-blocking one has no room.

    Raises OSError that names the descriptor "stdout" or "stderr".
    """
    left = memoryview(data).cast("B")
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            _wait_for_room(fd)
        except OSError as e:
            why = "it is closed" if e.errno == errno.EBADF else e.strerror
            raise OSError(e.errno, why, _NAMES.get(fd, fd)) from None


def _wait_for_room(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()


class StandardFile(io.RawIOBase):
    """Descriptor 1 or 2 as a file whose `write` always takes everything; to be wrapped in a buffer."""

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

    def write(self, data) -> int:
        write_all(self._fd, data)
        return len(data)


class _BestEffort(StandardFile):
    """Stderr for progress and messages: a stderr that is full or closed must not fail the work itself."""

    def write(self, data) -> int:
        if (
            sys.__stderr__ is None
        ):  # it was closed when Python started: descriptor 2 is another file by now
            return len(data)
        try:
            return super().write(data)
        except BrokenPipeError:
            raise  # whoever read it is gone: end, as other programs do
        except OSError:
            return len(data)


def stdout() -> io.TextIOWrapper:
    """A text file on descriptor 1, in the encoding of `sys.stdout`, for code that prints. Close it to learn whether all arrived."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(StandardFile(1)), encoding=encoding, write_through=True
    )


def stderr() -> io.TextIOWrapper:
    """A text file on descriptor 2, in the encoding of `sys.stderr`. What cannot be written to it is dropped."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(_BestEffort(2)),
        encoding=encoding,
        errors="backslashreplace",
        write_through=True,
    )


def say(text: str) -> None:
    """Write a line to stderr, if there is one; control characters in it are shown as escapes."""
    _BestEffort(2).write(f"{printable(text)}\n".encode("utf-8", "backslashreplace"))
