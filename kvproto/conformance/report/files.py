"""Files for reports: whether one can be written, asked before a long run, and writing it.

Promises: a file has the old report or the whole new one; a pipe or a device is written to as it is.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

__all__ = ["check_writable", "write"]


def check_writable(path: str) -> None:
    """Raise the OSError, with the path in it, that `write` would end in. What is there stays as it is."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not _is_replaced(path):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return
    aside = _aside(path)
    _write(aside, b"", path)
    os.unlink(aside)


def write(path: str, text: str) -> None:
    """Write a report. Raises OSError, with the path in it."""
    data = text.encode("utf-8", "backslashreplace")
    if not _is_replaced(path):
        _write(path, data, path)
        return
    aside = _aside(path)
    try:
        _write(aside, data, path)
        os.replace(aside, os.path.realpath(path))
    except OSError:
        with suppress(OSError):
            os.unlink(aside)
        raise


def _is_replaced(path: str) -> bool:
    return os.path.isfile(path) or not os.path.exists(path)


def _aside(path: str) -> str:
    return f"{os.path.realpath(path)}.{os.getpid()}.part"


def _write(path: str, data: bytes, name: str) -> None:
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as e:
        raise OSError(e.errno, e.strerror, name) from None
