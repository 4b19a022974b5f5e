"""Where the bytes of jobs live: a small interface, for files of this machine and for objects.

The path says which it is: a URL such as `s3://bucket/name` is an object. Everything that is written
appears when it is complete, and never changes; two attempts never write one name. Files are read in
ranges.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Protocol, Self

from kvproto.driver.supervisor import remove_tree
from kvproto.errors import JobError
from kvproto.storage.atomic import AtomicFile, open_raw, open_regular
from kvproto.storage.objects import SCHEMES, ObjectStatus, ObjectStore

__all__ = [
    "FileStatus",
    "LocalFiles",
    "Store",
    "Writer",
    "full_path",
    "is_object",
    "is_shared_place",
    "store_address",
    "store_of",
]

FileStatus = ObjectStatus


class Writer(Protocol):
    """A file that is being written. Its context discards it unless it is published.

    What it does raises DataError or JobError.
    """

    path: str

    def write(self, data: bytes | memoryview, /) -> object:
        """Append bytes."""

    def publish(self, *, on_disk: bool = False) -> None:
        """Make the file appear at its path; with `on_disk`, flush it to the disk first."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


class Store(Protocol):
    """A place for files, each identified by its path or URL.

    All methods but `create` raise OSError, with the path and a text that says what to do.

    Attributes
    ----------
    max_open : int
        How many files a task may write at a time.
    request_bytes : int
        How many bytes more could be read in the time that opening a range takes.
    """

    max_open: int
    request_bytes: int

    def create(self, path: str) -> Writer:
        """Start a file that replaces any file at the path when it is published."""

    def open_range(self, path: str, start: int = 0, n_bytes: int | None = None) -> io.RawIOBase:
        """Open a file at the byte `start`.

        The caller reads at most n_bytes, or to the end if that is None.
        """

    def open_ranges(self, ranges: Iterable[tuple[str, int, int]]) -> Iterator[io.RawIOBase]:
        """Open ranges, (path, start, n_bytes), one after the other, each as `open_range` does.

        They are read in this order, so that the next ones may be requested ahead.
        """

    def put(self, path: str, data: bytes) -> None:
        """Write a small file, which replaces any file at the path."""

    def put_new(self, path: str, data: bytes) -> bool:
        """Write a small file unless there is one with other content; return whether it did."""

    def get(self, path: str) -> bytes:
        """Return the content of a small file."""

    def status(self, path: str) -> FileStatus:
        """Return the size and the version of a file."""

    def names(self, directory: str) -> list[str]:
        """List the names of the files in a directory, in any order."""

    def remove(self, path: str) -> None:
        """Remove a file."""

    def remove_tree(self, directory: str) -> None:
        """Remove a directory and all that is below it; nothing if it does not exist."""


class LocalFiles:
    """Local files, private to their user."""

    max_open = 64
    request_bytes = 1 << 14  # 2 KiB of what is in memory, 50 KiB and more of what is on a disk

    def create(self, path: str) -> AtomicFile:
        return AtomicFile(path)

    def open_range(self, path: str, start: int = 0, n_bytes: int | None = None) -> io.FileIO:
        file = open_raw(path)
        try:
            file.seek(start)
        except OSError:  # an offset that no file can have
            file.close()
            raise
        return file

    def open_ranges(self, ranges: Iterable[tuple[str, int, int]]) -> Iterator[io.FileIO]:
        return (self.open_range(*each) for each in ranges)

    def put(self, path: str, data: bytes) -> None:
        with AtomicFile(path, errors=_unchanged) as file:
            file.write(data)
            file.publish(on_disk=True)

    def put_new(self, path: str, data: bytes) -> bool:
        with AtomicFile(path, errors=_unchanged) as file:
            file.write(data)
            try:
                file.publish(on_disk=True, replace=False)
            except FileExistsError:
                return self.get(path) == data
        return True

    def get(self, path: str) -> bytes:
        with open_regular(path) as file:
            return file.read()

    def status(self, path: str) -> FileStatus:
        status = os.stat(path)
        return FileStatus(status.st_size, f"{status.st_mtime_ns} {status.st_ino}")

    def names(self, directory: str) -> list[str]:
        return os.listdir(directory)

    def remove(self, path: str) -> None:
        os.unlink(path)

    def remove_tree(self, directory: str) -> None:
        remove_tree(directory)


def _unchanged(path: str) -> AbstractContextManager[None]:
    return nullcontext()


_LOCAL = LocalFiles()
_OBJECTS = ObjectStore()


def is_object(path: str) -> bool:
    """Whether it is the URL of an object; JobError for any other URL."""
    scheme, separator, _ = path.partition("://")
    return bool(separator) and scheme in SCHEMES


def store_of(path: str) -> Store:
    """Return the store of a file or a directory: objects for a URL, else local files."""
    return _OBJECTS if is_object(path) else _LOCAL


def is_shared_place(directory: str) -> bool:
    """Whether it is the shared place of a job. OSError if the store cannot say it."""
    names = ("job",) if is_object(directory) else ("events.jsonl", "job")
    for name in names:
        path = os.path.join(directory, name)
        with suppress(FileNotFoundError, NotADirectoryError):
            store_of(path).status(path)
            return True
    return False


def full_path(path: str) -> str:
    """Return the absolute path, or the URL as it is."""
    return path if is_object(path) else os.path.abspath(path)


def store_address(store: str | os.PathLike[str]) -> str:
    """Return the address of a store for jobs: the absolute path of a directory, or a URL.

    The directory is made if its parent exists.

    Raises
    ------
    JobError
        It is neither, it cannot be reached or made, or other users may change what is in it.
    """
    scheme, separator, rest = os.fspath(store).partition("://")
    if separator:
        if scheme.lower() not in SCHEMES:
            known = ", ".join(f"{known}://" for known in SCHEMES)
            raise JobError(f"store {store}: use a directory, or a URL with one of {known}")
        address = f"{scheme.lower()}://{rest}".rstrip("/")
        try:
            ObjectStore().check(address)
        except OSError as e:
            raise JobError(f"store {address}: {e.strerror}") from e
        return address
    address = os.path.abspath(store)
    try:
        if not os.path.isdir(address):
            os.mkdir(address, 0o700)
        status = os.stat(address)
    except OSError as e:
        raise JobError(f"store {address}: {e.strerror}; give a directory that exists") from e
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if status.st_uid not in (0, os.geteuid()) or (others and not status.st_mode & stat.S_ISVTX):
        raise JobError(
            f"store {address}: other users may replace what is in it; choose a directory of your "
            "own, or with the sticky bit (chmod +t)"
        )
    return address
