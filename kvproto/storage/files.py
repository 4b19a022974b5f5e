"""Output files that appear whole or not at all: written aside, then renamed.

An error of the file system is a DataError that names the file; a full disk, which no other try mends, a JobError.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kvproto.errors import DataError
from kvproto.storage.home import in_home
from kvproto.storage.private import private
from kvproto.storage.regular import sync

__all__ = ["BLOCK", "is_full", "naming", "published"]

BLOCK = 1 << 20
"""Bytes that are read or copied at a time: 1 MiB."""


def is_full(error: OSError) -> bool:
    """Whether it is one of a file system, or of the user's share of it, that has no room."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def naming(path: str, doing: str) -> Iterator[None]:
    """Turn an OSError of the body into a DataError: "{doing} {path}: Input/output error"; a full disk as `in_home` does."""
    try:
        yield
    except OSError as e:
        if is_full(e):
            with in_home(path):
                raise
        raise DataError(f"{doing} {path}: {e.strerror or e}") from e


class published:
    """A binary file under a name of its own that becomes `path` by `publish()`; without that it is removed.

    Context manager. `write` takes any bytes-like object.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._aside = f"{path}.{uuid.uuid4().hex[:8]}.part"  # of this attempt alone: a killed one may have left its own
        with naming(path, "writing"):
            self._file = open(self._aside, "xb", buffering=BLOCK, opener=private)

    def write(self, data) -> None:
        with naming(self.path, "writing"):
            self._file.write(data)

    def publish(self, *, on_disk: bool = False) -> None:
        """Give it its name. With `on_disk` it outlives a crash of the machine when this returns."""
        with naming(self.path, "writing"):
            self._file.flush()
            if on_disk:
                os.fsync(self._file.fileno())
            self._file.close()
            os.rename(self._aside, self.path)
            if on_disk:
                sync(os.path.dirname(self.path))

    def __enter__(self) -> published:
        return self

    def __exit__(self, *exc_info) -> None:
        if os.path.exists(self._aside):
            self._discard()

    def _discard(self) -> None:
        try:
            self._file.close()
        except OSError:
            pass  # its bytes are not wanted: the error that led here is the one to tell
        with suppress(FileNotFoundError):
            os.unlink(self._aside)
