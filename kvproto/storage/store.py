"""Where the bytes of jobs live: a small interface, and its implementation on this machine.

Spool files, result files and manifests are written and read through a `Store`. A file is written
once, atomically, and never changes. It is identified by a path and read in ranges. An object store
can be another implementation, in which a path is the address of an object.
"""

from __future__ import annotations

import io
import os
from typing import Protocol, Self

from kvproto.storage.atomic import AtomicFile, open_raw

__all__ = ["LOCAL", "LocalFiles", "Store", "Writer"]


class Writer(Protocol):
    """A file that is being written. Its context discards it unless it is published."""

    path: str

    def write(self, data: bytes | memoryview, /) -> object:
        """Append bytes."""

    def publish(self, *, on_disk: bool = False) -> None:
        """Make the file appear at its path; with `on_disk`, flush it to the disk first."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


class Store(Protocol):
    """A place for files.

    `create` and what it returns raise DataError or JobError, the others OSError.
    """

    def create(self, path: str) -> Writer:
        """Start a file that replaces any file at the path when it is published."""

    def open_range(self, path: str, start: int = 0, n_bytes: int | None = None) -> io.RawIOBase:
        """Open a file at the byte `start`.

        The caller reads at most n_bytes, or to the end if that is None.
        """

    def names(self, directory: str) -> list[str]:
        """List the names of the files in a directory, in any order."""

    def remove(self, path: str) -> None:
        """Remove a file."""


class LocalFiles:
    """Local files, private to their user."""

    def create(self, path: str) -> AtomicFile:
        return AtomicFile(path)

    def open_range(self, path: str, start: int = 0, n_bytes: int | None = None) -> io.FileIO:
        file = open_raw(path)
        file.seek(start)
        return file

    def names(self, directory: str) -> list[str]:
        return os.listdir(directory)

    def remove(self, path: str) -> None:
        os.unlink(path)


LOCAL = LocalFiles()
