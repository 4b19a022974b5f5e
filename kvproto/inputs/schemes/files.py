"""Local data: plain paths and `file://`, and `raw://`, which the data itself follows, as UTF-8.

A directory stands for its files, a pattern for those that it matches; see `folders`. The size of a
file is only a hint: it is 0 in /proc and too large in /sys, and files grow. `raw://` inputs have no
size, so that each becomes a separate task: a few bytes may mean much work.
"""

from __future__ import annotations

import builtins
import glob
import io
import os
import stat
import urllib.parse
from collections.abc import Iterator
from io import BufferedReader
from typing import TYPE_CHECKING

from kvproto.errors import DataError
from kvproto.inputs.lines import line_too_long
from kvproto.inputs.schemes import Input, Tell
from kvproto.inputs.schemes.folders import Search
from kvproto.protocol.frames import MAX_ITEM
from kvproto.storage.manifest import check_directory, checked

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["find", "local_path", "open"]

_RAW = "raw://"


def local_path(url: str) -> str:
    """The path in a file:// URL, or the path itself; DataError for a file of another machine."""
    if not url.startswith("file://"):
        return url
    host, _, path = url.removeprefix("file://").partition("/")
    if host not in ("", "localhost"):
        where = "cannot be read here; write file:///path for a file of this machine"
        raise DataError(f"{url}: a file of host {host!r} {where}")
    return urllib.parse.unquote("/" + path, errors="surrogateescape")


def find(url: str, tell: Tell) -> Iterator[Input]:
    """Yield the file, the files of a directory, or those that match a pattern.

    Each is opened once, to check that it can be read.
    """
    if url.startswith(_RAW):
        yield Input(url, None, False)
        return
    if not url:  # abspath would return the working directory
        raise DataError("an input is an empty str: give it a path or a url")
    path = os.path.abspath(local_path(url))
    if "\0" in path:
        raise DataError(f"input {url!r}: a path cannot contain a zero byte")
    search = Search()
    if os.path.isdir(path):
        check_directory(path)
        paths = list(search.files_of(path))
        nothing = f"there are no files in {path}"
    elif not os.path.exists(path) and glob.has_magic(path):
        paths = search.matching(path)
        nothing = "no file matches this pattern"
    else:
        paths = [path]
    if passed_over := search.passed_over():
        tell(f"input {url}: skipped {passed_over}")
    if not paths:
        raise DataError(f"input {url}: {nothing}" + f"; skipped {passed_over}" * bool(passed_over))
    for path in paths:
        try:
            status = os.stat(path)
            if not stat.S_ISREG(status.st_mode):  # a task may read it twice
                raise DataError(f"input {path}: not a regular file; copy its data to a file first")
            builtins.open(path, "rb", buffering=0).close()
        except OSError as e:
            raise DataError(f"input {path}: {e.strerror}") from None
        yield Input(path, status.st_size, True, stamp=str(status.st_mtime_ns))


def open(url: str, start: int, end: int | None) -> tuple[BufferedReader, int]:
    """Open the file, or the lines that begin in its range.

    The result of a job is checked against its manifest.
    """
    if url.startswith(_RAW):
        data = url.removeprefix(_RAW).encode("utf-8", "surrogateescape")
        return BufferedReader(io.BytesIO(data)), len(data)
    path = local_path(url)
    is_whole = start == 0 and end is None
    try:
        raw = _Whole(path, url) if is_whole else io.FileIO(path)
        try:
            return _opened(raw, path) if is_whole else _range(raw, path, url, start, end)
        except BaseException:  # Ctrl-C too
            raw.close()
            raise
    except OSError as e:
        raise DataError(f"input {url}: {e.strerror or e}") from e
    except ValueError as e:
        raise DataError(f"input {url!r}: {e}", is_final=True) from e


def _opened(raw: io.FileIO, path: str) -> tuple[BufferedReader, int]:
    status = os.fstat(raw.fileno())
    file: BufferedReader = BufferedReader(raw, 1 << 18)
    return (checked(file, path) if stat.S_ISREG(status.st_mode) else file), status.st_size


def _range(
    raw: io.FileIO, path: str, url: str, start: int, end: int | None
) -> tuple[BufferedReader, int]:
    size = os.fstat(raw.fileno()).st_size
    n_planned = max(start, end or 0)
    if size < n_planned:
        raise DataError(
            f"input {url}: was cut short after the job began: it has {size} bytes, "
            f"and had {n_planned} or more"
        )
    file = checked(BufferedReader(raw, 1 << 16), path)
    first = _line_start(file, start, url)
    last = size if end is None else _line_start(file, end, url)
    file.seek(first)
    return BufferedReader(_Range(file, last - first, path), 1 << 16), last - first


class _Whole(io.FileIO):
    """A file up to its end, even if it grows. Shrinking is an error."""

    def __init__(self, path: str, url: str) -> None:
        super().__init__(path, "rb")
        self._url = url
        self._size = os.fstat(self.fileno()).st_size

    def read(self, n_bytes: int | None = -1, /) -> bytes:
        return io.RawIOBase.read(self, -1 if n_bytes is None else n_bytes) or b""

    def readall(self) -> bytes:
        return io.RawIOBase.readall(self) or b""

    def readinto(self, buffer: WriteableBuffer) -> int:
        try:
            n_read = super().readinto(buffer)
            is_end = not n_read and memoryview(buffer).nbytes > 0
            if is_end and self._size > os.fstat(self.fileno()).st_size:
                n_missing = self._size - self.tell()
                if n_missing > 0:
                    what = f"was cut short while it was read: {n_missing} bytes are missing"
                    raise DataError(f"input {self._url}: {what}")
        except OSError as e:
            raise DataError(f"input {self._url}: {e.strerror}") from e
        return n_read


def _line_start(file: BufferedReader, at: int, url: str) -> int:
    """The offset of the first line that begins at `at` or later; DataError for a long line."""
    if at == 0:
        return 0
    file.seek(at - 1)
    while True:
        piece = file.readline(1 << 20)
        if not piece or piece.endswith(b"\n"):
            return file.tell()
        if file.tell() - at > MAX_ITEM:
            raise line_too_long(url, MAX_ITEM)


class _Range(io.RawIOBase):
    """Exactly the next n_bytes of a file; fewer are an error."""

    def __init__(self, file: BufferedReader, n_bytes: int, name: str) -> None:
        self._file = file
        self._left = n_bytes
        self.name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)[: self._left]
        n_read = self._file.readinto(view)
        if view and not n_read:
            raise DataError(
                f"input {self.name}: was cut short while it was read: "
                f"{self._left} bytes are missing"
            )
        self._left -= n_read
        return n_read

    def close(self) -> None:
        self._file.close()
        super().close()
