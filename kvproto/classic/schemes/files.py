"""Files of this machine: `file://` and plain paths. A directory is its files, recursively; a glob what it matches.

A glob passes over directories that may not be listed, as a shell does; a directory given as an input does not.
"""

from __future__ import annotations

import builtins
import glob
import io
import os
import stat
import urllib.parse
from collections.abc import Iterator
from typing import BinaryIO

from kvproto.classic.schemes import Input
from kvproto.engine.manifest import check_directory, checked
from kvproto.errors import DataError

__all__ = ["Range", "find", "open"]


def _path(url: str) -> str:
    if not url.startswith("file://"):
        return url
    host, _, path = url.removeprefix("file://").partition("/")
    if host not in ("", "localhost"):
        raise DataError(f"{url}: a file of host {host!r} cannot be read here; write file:///path for a file of this one")
    return urllib.parse.unquote("/" + path)


def find(url: str) -> Iterator[Input]:
    """The file itself, the files of a directory, or those that a glob matches; each is opened once to see that it can be."""
    if not url:  # which abspath takes for the working directory, with all that is in it
        raise DataError("an input is an empty str: give it a path or a url")
    path = os.path.abspath(_path(url))
    if os.path.isdir(path):
        check_directory(path)
        paths = list(_walk(path))
        if not paths:
            raise DataError(f"input {url}: there are no files in {path}")
    elif not os.path.exists(path) and glob.has_magic(path):
        paths = sorted(filter(_is_file, glob.glob(path, recursive=True)))
        if not paths:
            raise DataError(f"input {url}: no file matches this pattern")
    else:
        paths = [path]
    for path in paths:
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):  # what cannot be read twice cannot be tried again
                raise DataError(f"input {path}: not a regular file; write its data to one first")
            builtins.open(path, "rb", buffering=0).close()
        except OSError as e:
            raise DataError(f"input {path}: {e.strerror}") from None
        yield Input(path, status.st_size, True)


def _walk(top: str) -> Iterator[str]:
    """The regular files below top; links to files count, links to directories are not followed."""

    def refuse(error: OSError):
        raise DataError(f"input {error.filename}: {error.strerror}")

    for folder, folders, names in os.walk(top, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            if _is_file(path):
                yield path


def _is_file(path: str) -> bool:
    """Whether a directory or a glob means it; a link to what is not there is data that is missing."""
    if not os.path.exists(path):
        raise DataError(f"input {path}: a link to what is not there: {os.path.realpath(path)}")
    return os.path.isfile(path)


def open(url: str, start: int, end: int | None) -> tuple[BinaryIO, int]:
    """The file, or the lines that begin in its range. A result of a job is checked against what was written of it."""
    path = _path(url)
    try:
        file = builtins.open(path, "rb", buffering=1 << 16)
        size = os.fstat(file.fileno()).st_size
        if size < max(start, end or 0):
            raise DataError(f"input {url}: was cut short after the job began: {size} bytes, it had {max(start, end or 0)} or more")
        whole = checked(file, path)
        if start == 0 and end is None:
            return whole, size
        first, last = _line_start(file, start), size if end is None else _line_start(file, end)
    except OSError as e:
        raise DataError(f"input {url}: {e.strerror}") from e
    file.seek(first)
    return io.BufferedReader(Range(file, last - first, path), 1 << 16), last - first


def _line_start(file: BinaryIO, at: int) -> int:
    """The offset of the first line that begins at `at` or behind it."""
    if at == 0:
        return 0
    file.seek(at - 1)
    while True:
        piece = file.readline(1 << 20)
        if not piece or piece.endswith(b"\n"):
            return file.tell()


class Range(io.RawIOBase):
    """The next n_bytes of a file, and not one more; fewer are an error."""

    def __init__(self, file: BinaryIO, n_bytes: int, name: str) -> None:
        self._file = file
        self._left = n_bytes
        self.name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        view = memoryview(buffer)[: self._left]
        n_read = self._file.readinto(view)
        if view and not n_read:
            raise DataError(f"input {self.name}: was cut short while it was read, {self._left} bytes are missing")
        self._left -= n_read
        return n_read

    def close(self) -> None:
        self._file.close()
        super().close()
