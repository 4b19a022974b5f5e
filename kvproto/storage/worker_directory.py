"""The directory in which a worker process of an engine keeps a job; none outlives its process long.

A worker process that was killed cannot remove its directories. The next one on the same machine
does. It knows them by their locks, which the kernel releases when a process ends.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import suppress

from kvproto.driver.supervisor import remove_tree

__all__ = ["WorkerDirectory", "sweep"]

_PREFIX = "kvproto-worker-"
_LOCK = "lock"


class WorkerDirectory:
    """A new directory of this process.

    Attributes
    ----------
    path : str
    """

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix=_PREFIX)
        new, lock = (os.path.join(self.path, name) for name in (f"{_LOCK}.new", _LOCK))
        self._fd = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        os.rename(new, lock)  # `sweep` never sees a lock that nobody holds yet

    def leave(self) -> None:
        """In a fork: close this fork's copy of the lock."""
        os.close(self._fd)

    def remove(self) -> None:
        """Remove it; what cannot be removed stays."""
        with suppress(OSError):
            remove_tree(self.path)
        os.close(self._fd)


def sweep() -> None:
    """Remove the directories of this user's processes that have ended."""
    with os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            with suppress(OSError):  # it is gone, or another process removes it
                if entry.name.startswith(_PREFIX) and _is_ours(entry):
                    _remove_unlocked(entry.path)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    is_directory = entry.is_dir(follow_symlinks=False)
    return is_directory and entry.stat(follow_symlinks=False).st_uid == os.geteuid()


def _remove_unlocked(path: str) -> None:
    """Remove a directory. OSError if its process lives, or something cannot be removed."""
    lock = os.path.join(path, _LOCK)
    fd = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_tree(path)
    finally:
        os.close(fd)
