"""Who drives a job: a FIFO that its driver holds open, and a lock for those who take a job over.

However the driver ends, the kernel closes its end of the FIFO: a process that then opens it for
writing finds no reader. Writing to it stops the job, as soon as the driver polls it.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from kvproto._stdio import ready_fds
from kvproto.storage.atomic import open_regular

__all__ = ["DriverEnd", "has_driver", "locked", "tell_to_stop", "wait_for_end"]


class DriverEnd:
    """The driver's end of a new FIFO, `path`; `fd` becomes readable after `stop()`.

    `stop` may be called from any thread, and does nothing after `close`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        os.mkfifo(path, 0o600)
        os.chmod(path, 0o600)  # whatever the umask
        # A writer too: a mere reader would become readable, at end of file, when the last writer
        # closes it.
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._is_open = True
        # `stop` must not write to a closed descriptor, whose number may be reused.
        self._using = threading.Lock()

    def stop(self) -> None:
        """Ask this driver to stop."""
        with self._using:
            if self._is_open:
                _write(self.fd)

    def moved(self, path: str) -> None:
        """Note the new path of the FIFO."""
        self._path = path

    def leave(self) -> None:
        """Close this fork's copy."""
        os.close(self.fd)

    def close(self) -> None:
        """Remove the FIFO: the job then has no driver."""
        with self._using:
            self._is_open = False
            os.close(self.fd)
        with suppress(OSError):
            os.unlink(self._path)


def has_driver(path: str) -> bool:
    """Whether a process holds the driver's end open."""
    fd = _open(path)
    if fd is None:
        return False
    os.close(fd)
    return True


def wait_for_end(paths: Iterable[str], seconds: float) -> bool:
    """Wait until no process holds one of the drivers' ends open; False when time is up."""
    with ExitStack() as opened:
        fds = []
        for path in paths:
            fd = _open(path)
            if fd is None:
                return True
            opened.callback(os.close, fd)
            fds.append(fd)
        return bool(ready_fds(left=fds, seconds=None if seconds == math.inf else seconds))


def tell_to_stop(path: str) -> bool:
    """Ask the driver to stop; False when there is none."""
    fd = _open(path)
    if fd is None:
        return False
    try:
        _write(fd)
    except BrokenPipeError:
        return False
    finally:
        os.close(fd)
    return True


def _open(path: str) -> int | None:
    """Open the FIFO for writing; None when nobody reads it, or it is no FIFO."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as e:
        if e.errno in (errno.ENXIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP):
            return None
        raise
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def _write(fd: int) -> None:
    with suppress(BlockingIOError):  # full of earlier requests
        os.write(fd, b"stop\n")


@contextmanager
def locked(events: str, *, wait: bool = True) -> Iterator[bool]:
    """Let only one process at a time take over, tidy or remove a job.

    Yields whether this process may: not if there is no file `events` to lock, or if it is locked
    and `wait` is false.
    """
    try:
        file = open_regular(events)
    except OSError:
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
