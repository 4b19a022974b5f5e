"""Write files atomically: a file appears when it is complete, or not at all.

The content is written to a new file with a random name next to the target. When it is complete, it
is renamed to the target. A failure before that does not change the target.

Errors of the file system name the target. Their class depends on the kind of file: see `writing`,
`kvproto.storage.home.in_home` and `OutputFile`.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from io import BufferedReader, FileIO
from typing import Self

from kvproto.errors import DataError
from kvproto.storage.home import in_home

__all__ = [
    "BLOCK",
    "AtomicFile",
    "OutputFile",
    "is_full",
    "naming",
    "open_raw",
    "open_regular",
    "private",
    "sync",
    "sync_all",
    "write_file",
    "writing",
]

BLOCK = 1 << 20
"""Bytes that are read or copied at a time: 1 MiB."""

_SYNCS = 8  # threads that flush files, with that of the caller
_BUFFER = 1 << 17  # what is larger is written at once, without a copy

ErrorsOf = Callable[[str], AbstractContextManager[object]]
"""Takes a path; the context turns an OSError of its body into the error for that path."""


def is_full(error: OSError) -> bool:
    """Whether the file system is full, or the user's quota of it."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def naming(path: str, doing: str) -> Iterator[None]:
    """Turn an OSError of the body into a DataError, "{doing} {path}: Input/output error".

    A full disk becomes a JobError, as in `in_home`: another attempt would not help.
    """
    try:
        yield
    except OSError as e:
        if is_full(e):
            with in_home(path):
                raise
        raise DataError(f"{doing} {path}: {e.strerror or e}") from e


def writing(path: str) -> AbstractContextManager[None]:
    """Turn an OSError of the body, which writes data of a job, into a DataError."""
    return naming(path, "writing")


def private(path: str, flags: int) -> int:
    """An `opener` for `open`: a file that it creates has mode 0600, whatever the umask."""
    fd = os.open(path, flags, 0o600)
    if flags & os.O_CREAT:
        with _closed_on_error(fd):
            os.fchmod(fd, 0o600)
    return fd


@contextmanager
def _closed_on_error(fd: int) -> Iterator[None]:
    try:
        yield
    except BaseException:  # Ctrl-C too
        os.close(fd)
        raise


def open_regular(path: str) -> BufferedReader:
    """Open a regular file for reading.

    Raises OSError for anything else, such as a FIFO, without waiting for its writer.
    """
    return BufferedReader(open_raw(path))


def open_raw(path: str) -> FileIO:
    """Open a regular file as `open_regular` does, without a buffer."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return FileIO(fd)


def sync(path: str) -> None:
    """Flush the content of a file, or the entries of a directory, to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_all(paths: Sequence[str]) -> None:
    """Flush the contents of files to the disk.

    Several at a time: the file system then makes them durable together. A thousand files that wait
    for each other took 20 times as long. OSError for one of them that could not be flushed.
    """
    waiting, errors = deque(paths), []

    def work() -> None:
        while waiting:
            with suppress(IndexError):  # another thread was faster
                path = waiting.popleft()
                try:
                    sync(path)
                except OSError as e:
                    errors.append(e)

    threads = [threading.Thread(target=work) for _ in range(min(_SYNCS, len(paths)) - 1)]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


class AtomicFile:
    """A binary file that appears at `path` with `publish()`. Its context discards it otherwise.

    Parameters
    ----------
    path : str
    errors : callable
        Converts an OSError; see `ErrorsOf`.
    """

    def __init__(self, path: str, *, errors: ErrorsOf = writing) -> None:
        self.path = path
        self._target = path
        self._temporary = ""
        self._errors = errors
        try:
            fd = self._open()
            with _closed_on_error(fd):
                self._set_mode(fd)
            self._file = os.fdopen(fd, "wb", buffering=_BUFFER)
        except OSError:
            self._remove()
            with errors(path):
                raise

    def _open(self) -> int:
        """Open what is written to: a private file next to the target."""
        return self._create(0o600)

    def _create(self, mode: int) -> int:
        """Open a new file next to the target, under a name that no other attempt uses."""
        temporary = f"{self._target}.{os.urandom(4).hex()}.part"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        self._temporary = temporary
        return fd

    def _set_mode(self, fd: int) -> None:
        os.fchmod(fd, 0o600)  # whatever the umask

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes."""
        try:
            self._file.write(data)
        except OSError:
            with self._errors(self.path):
                raise

    def publish(self, *, on_disk: bool = False, replace: bool = True) -> None:
        """Give the file its name.

        Parameters
        ----------
        on_disk : bool
            Whether to flush the file to the disk, so that it survives a crash of the machine.
        replace : bool
            Whether it may replace an existing file. If not, FileExistsError when there is one.
        """
        with self._errors(self.path):
            self._file.flush()
            if on_disk:
                os.fsync(self._file.fileno())
            self._file.close()
            if replace:
                self._rename()
            else:
                os.link(self._temporary, self._target)
                self._remove()
            if on_disk:
                sync(os.path.dirname(self._target) or ".")

    def _rename(self) -> None:
        os.rename(self._temporary, self._target)
        self._temporary = ""

    def _remove(self) -> None:
        if self._temporary:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary)
            self._temporary = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with suppress(OSError):  # this file is discarded: only the first error counts
            self._file.close()
        self._remove()


def write_file(path: str, data: bytes, *, errors: ErrorsOf = writing) -> None:
    """Write a private file and flush it to the disk."""
    with AtomicFile(path, errors=errors) as file:
        file.write(data)
        file.publish(on_disk=True)


class OutputFile(AtomicFile):
    """An output file that the user names. It keeps the owner and the mode of the file it replaces.

    Pipes and devices are written directly. A mount point cannot be replaced, and is overwritten at
    the end. Every error is an OSError that names `path`.
    """

    def __init__(self, path: str) -> None:
        self._replaced: os.stat_result | None = None
        super().__init__(path, errors=_with_path)

    def _open(self) -> int:
        try:
            replaced = os.stat(self.path)
        except FileNotFoundError:
            self._target = os.path.realpath(self.path)
            return self._create(0o666)
        if stat.S_ISDIR(replaced.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(replaced.st_mode):
            return os.open(self.path, os.O_WRONLY)
        self._target = os.path.realpath(self.path)
        self._replaced = replaced
        return self._create(0o600)  # its readers must wait until it has its owner

    def _set_mode(self, fd: int) -> None:
        replaced = self._replaced
        if replaced is not None:
            with suppress(OSError):  # not permitted: the user becomes the owner
                os.fchown(fd, replaced.st_uid, replaced.st_gid)
            os.fchmod(fd, stat.S_IMODE(replaced.st_mode))

    def publish(self, *, on_disk: bool = True, replace: bool = True) -> None:
        """Replace the content of the file, and flush it to the disk."""
        if self._temporary:
            super().publish(on_disk=on_disk, replace=replace)
            return
        with self._errors(self.path):  # a pipe or a device
            self._file.close()

    def _rename(self) -> None:
        try:
            super()._rename()
        except OSError as e:
            if e.errno != errno.EBUSY:
                raise
            with (
                open(self._temporary, "rb") as new,
                open(self._target, "wb") as old,
            ):  # a mount point
                shutil.copyfileobj(new, old, BLOCK)
                old.flush()
                os.fsync(old.fileno())
            self._remove()


@contextmanager
def _with_path(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise OSError(e.errno, e.strerror, path) from None
