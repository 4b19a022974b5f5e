"""Whether a job's driver lives, and how it is told to stop: a FIFO in the job's directory that the driver holds open.

The kernel closes it when the driver ends, however that comes: no one who opens it for writing then finds a reader.
What is written to it stops the job, as soon as the driver's pool sees that it can be read.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from contextlib import suppress

__all__ = ["DriverEnd", "has_driver", "machine", "tell_to_stop"]


def machine() -> str:
    """What this machine calls itself since it was started. Only there can be told whether a driver lives: a FIFO is the kernel's."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return os.uname().nodename


class DriverEnd:
    """The driver's end, at `path`, where nothing must be yet. `fd` is readable from `stop()` on. OSError when it cannot be made.

    `stop` may be called from any thread, also when all is over: then it does nothing.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        os.mkfifo(path, 0o600)
        os.chmod(path, 0o600)  # whatever the umask
        # A writer of its own, too: the last other one that closes it would otherwise make it readable, for end of file.
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._is_open = True
        self._using = (
            threading.Lock()
        )  # the number of a descriptor that was closed may be another's

    def stop(self) -> None:
        """Tell this driver to stop."""
        with self._using:
            if self._is_open:
                _write(self.fd)

    def moved(self, path: str) -> None:
        """Its directory has another name now."""
        self._path = path

    def leave(self) -> None:
        """This process, a fork of the driver, is none."""
        os.close(self.fd)

    def close(self) -> None:
        """The job has no driver any more."""
        with self._using:
            self._is_open = False
            os.close(self.fd)
        with suppress(OSError):
            os.unlink(self._path)


def has_driver(path: str) -> bool:
    """Whether a process holds the driver's end."""
    fd = _open(path)
    if fd is None:
        return False
    os.close(fd)
    return True


def tell_to_stop(path: str) -> bool:
    """Tell the driver to stop; False when there is none."""
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
    """The FIFO for writing; None where nobody reads it, or something else is there."""
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
    with suppress(BlockingIOError):  # full: it was told often enough
        os.write(fd, b"stop\n")
