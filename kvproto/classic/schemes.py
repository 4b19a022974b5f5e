"""Where inputs come from: a url's scheme says how it is listed and opened.

A scheme is a row of SCHEMES: `find(url)` -> the inputs it stands for, before the job starts; `open(url, start,
end)` -> (binary file, size in bytes or None), in the task. What cannot be found or read is a DataError that
names the url. A path is a file, a directory (its files, recursively) or a glob.
"""

from __future__ import annotations

import glob
import http.client
import io
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from kvproto.errors import DataError

__all__ = ["SCHEMES", "Input", "find_inputs", "open_input"]

_HTTP_TIMEOUT = 60.0
"""Seconds without a byte from a web server."""


class Input(NamedTuple):
    """One input of a job.

    url        str
    n_bytes    int, or None where the scheme cannot tell before it is read
    seekable   bool: `open_input` can give a range of it
    """

    url: str
    n_bytes: int | None
    seekable: bool


class Scheme(NamedTuple):
    """How one scheme is listed and opened; see the module's text."""

    find: Callable[[str], Iterator[Input]]
    open: Callable[[str, int, int | None], tuple[BinaryIO, int | None]]


def find_inputs(urls) -> list[Input]:
    """List the inputs that urls stand for, in order. DataError names a url where there is nothing."""
    return [found for url in urls for found in _scheme(os.fspath(url)).find(os.fspath(url))]


def open_input(url: str, start: int = 0, end: int | None = None) -> tuple[BinaryIO, int | None]:
    """Open an input for reading: (binary file, its size in bytes or None).

    With start and end (offsets, seekable inputs alone) the file is the lines that begin in that range.
    """
    return _scheme(url).open(url, start, end)


def _scheme(url: str) -> Scheme:
    name, separator, _ = url.partition("://")
    if not separator:
        name = ""
    if name not in SCHEMES:
        known = ", ".join(f"{known}://" for known in SCHEMES if known)
        raise DataError(f"{url}: there is no scheme {name}://; a plain path or one of {known} is")
    return SCHEMES[name]


# --- files --------------------------------------------------------------------------------------


def _path(url: str) -> str:
    if not url.startswith("file://"):
        return url
    host, _, path = url.removeprefix("file://").partition("/")
    if host not in ("", "localhost"):
        raise DataError(f"{url}: a file of host {host!r} cannot be read here; write file:///path for a file of this one")
    return urllib.parse.unquote("/" + path)


def _find_files(url: str) -> Iterator[Input]:
    path = os.path.abspath(_path(url))
    if os.path.isdir(path):
        paths = _walk(path)
    elif not os.path.exists(path) and glob.has_magic(path):
        paths = sorted(p for p in glob.glob(path, recursive=True) if os.path.isfile(p))
        if not paths:
            raise DataError(f"input {url}: no file matches this pattern")
    else:
        paths = [path]
    for path in paths:
        try:
            with open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
        except OSError as e:
            raise DataError(f"input {path}: {e.strerror}") from None
        yield Input(path, status.st_size, True)


def _walk(top: str) -> Iterator[str]:
    def refuse(error: OSError):
        raise DataError(f"input {error.filename}: {error.strerror}")

    for folder, folders, names in os.walk(top, onerror=refuse):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                yield path


def _open_file(url: str, start: int, end: int | None) -> tuple[BinaryIO, int | None]:
    path = _path(url)
    try:
        file = open(path, "rb", buffering=1 << 16)
        size = os.fstat(file.fileno()).st_size
        if start == 0 and end is None:
            return file, size
        first, last = _line_start(file, start), size if end is None else _line_start(file, end)
    except OSError as e:
        raise DataError(f"input {url}: {e.strerror}") from e
    file.seek(first)
    return io.BufferedReader(_Range(file, last - first, path), 1 << 16), last - first


def _line_start(file: BinaryIO, at: int) -> int:
    """The offset of the first line that begins at `at` or behind it."""
    if at == 0:
        return 0
    file.seek(at - 1)
    while True:
        piece = file.readline(1 << 20)
        if not piece or piece.endswith(b"\n"):
            return file.tell()


class _Range(io.RawIOBase):
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


# --- the web, and the address itself --------------------------------------------------------------


def _find_one(url: str) -> Iterator[Input]:
    yield Input(url, None, False)


def _open_http(url: str, start: int, end: int | None) -> tuple[BinaryIO, int | None]:
    try:
        response = urllib.request.urlopen(url, timeout=_HTTP_TIMEOUT)
    except (OSError, http.client.HTTPException, ValueError) as e:
        raise DataError(f"input {url}: {e}") from e
    return io.BufferedReader(_Response(response, url), 1 << 16), response.length


class _Response(io.RawIOBase):
    """The body of a response, where a connection that ends before its announced length is an error."""

    def __init__(self, response: http.client.HTTPResponse, url: str) -> None:
        self._response = response
        self.name = url

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        try:
            n_read = self._response.readinto(buffer)
        except (OSError, http.client.HTTPException) as e:
            raise DataError(f"input {self.name}: {e!r}") from e
        if not n_read and len(buffer) and self._response.length:
            raise DataError(f"input {self.name}: the connection ended {self._response.length} bytes too early")
        return n_read

    def close(self) -> None:
        self._response.close()
        super().close()


def _find_raw(url: str) -> Iterator[Input]:
    yield Input(url, len(_raw(url)), False)


def _raw(url: str) -> bytes:
    return url.removeprefix("raw://").encode("utf-8", "surrogateescape")


def _open_raw(url: str, start: int, end: int | None) -> tuple[BinaryIO, int | None]:
    data = _raw(url)
    return io.BytesIO(data), len(data)


SCHEMES: dict[str, Scheme] = {
    "": Scheme(_find_files, _open_file),
    "file": Scheme(_find_files, _open_file),
    "http": Scheme(_find_one, _open_http),
    "https": Scheme(_find_one, _open_http),
    "raw": Scheme(_find_raw, _open_raw),
}
