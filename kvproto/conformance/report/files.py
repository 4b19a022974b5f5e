"""Files for reports: whether one can be written, asked before a long run, and writing it.

Promises: a file has the old report or the whole new one; a pipe or a device is written to as it is.
"""

from __future__ import annotations

import errno
import os
import stat

from kvproto._atomic import OutputFile

__all__ = ["check_writable", "write"]


def check_writable(path: str) -> None:
    """Raise the OSError, with the path in it, that `write` would end in. What is there stays as it is."""
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode) and not os.path.isdir(path):
        if not os.access(path, os.W_OK):  # opening a pipe would wait for its reader
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return
    OutputFile(path).discard()


def write(path: str, text: str) -> None:
    """Write a report. Raises OSError, with the path in it."""
    with OutputFile(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))
