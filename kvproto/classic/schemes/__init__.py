"""Where inputs come from: a url's scheme says how it is listed and opened.

A scheme is a row of SCHEMES and a module of this package with

    find(url) -> iterable of Input           what it stands for, looked up before the job starts
    open(url, start, end) -> (file, size)    in the task; see `open_input`

What cannot be found or read is a DataError that names the url.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from types import ModuleType
from typing import BinaryIO, NamedTuple

from kvproto.errors import DataError

__all__ = ["SCHEMES", "Input", "find_inputs", "open_input"]

SCHEMES = {"": "files", "file": "files", "http": "web", "https": "web", "raw": "raw"}
"""Scheme -> module of this package, imported when a url needs it; "" is a plain path."""


class Input(NamedTuple):
    """One input of a job.

    url        str
    n_bytes    int, or None where the scheme cannot tell before it is read
    seekable   bool: `open_input` can give a range of it
    """

    url: str
    n_bytes: int | None
    seekable: bool


def find_inputs(urls: Iterable[str | os.PathLike]) -> list[Input]:
    """List the inputs that urls stand for, in order. DataError names a url where there is nothing."""
    return [found for url in map(os.fspath, urls) for found in _module(url).find(url)]


def open_input(url: str, start: int = 0, end: int | None = None) -> tuple[BinaryIO, int | None]:
    """Open an input for reading: (binary file, its size in bytes or None).

    With start and end (offsets, seekable inputs alone) the file is the lines that begin in that range.
    """
    return _module(url).open(url, start, end)


def _module(url: str) -> ModuleType:
    name, separator, _ = url.partition("://")
    if not separator:
        name = ""
    if name not in SCHEMES:
        known = ", ".join(f"{known}://" for known in SCHEMES if known)
        raise DataError(f"{url}: there is no scheme {name}://; a plain path or one of {known} is")
    return importlib.import_module(f"{__name__}.{SCHEMES[name]}")
