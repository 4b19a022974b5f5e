"""Reading without waiting for anybody, and writing through to the disk."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader

from kvproto.storage.atomic import sync

__all__ = ["open_regular", "sync"]


def open_regular(path: str) -> BufferedReader:
    """Open a file for reading. OSError for what is no regular file: opening a FIFO would wait for its writer."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return open(fd, "rb")
