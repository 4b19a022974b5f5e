"""Where inputs come from: a url's scheme says how it is listed and opened.

A scheme is a row of SCHEMES and a module of this package with

    find(url, tell) -> iterable of Input     what it stands for, looked up before the job starts; tell(text) says what
                                             of it is passed over
    open(url, start, end) -> (file, size)    in the task; see `open_input`; not there where an address stands for others

Modules get urls as `known_form` gives them. What cannot be found or read is a DataError that names the url.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from io import BufferedReader
from types import ModuleType
from typing import NamedTuple

from kvproto._stdio import say
from kvproto._text import printable, without_passwords
from kvproto.errors import DataError, JobError
from kvproto.inputs.replicas import find_replicas

__all__ = ["SCHEMES", "Input", "Tell", "find_inputs", "known_form", "open_input", "tell"]

SCHEMES = {
    "": "files",
    "file": "files",
    "raw": "files",
    "http": "web",
    "https": "web",
    "tag": "lists",
    "dir": "lists",
    "disco": "nodes",
}
"""Scheme -> module of this package, imported when a url needs it; "" is a plain path."""


Tell = Callable[[str], object]

_MAX_DEPTH = 16
_depth: ContextVar[int] = ContextVar("depth", default=0)


def tell(text: str) -> None:
    """Say something on stderr to whoever runs this process."""
    say(printable(without_passwords(f"kvproto: {text}")))


class Input(NamedTuple):
    """One input of a job.

    url        str
    n_bytes    int, or None where the scheme cannot tell before it is read
    seekable   bool: `open_input` can give a range of it, and of each replica
    replicas   tuple of str: other urls of the same data, in the order in which to try them
    label      int or None: the partition that it belongs to, where an index says so
    """

    url: str
    n_bytes: int | None
    seekable: bool
    replicas: tuple[str, ...] = ()
    label: int | None = None


def find_inputs(urls: Iterable[str | os.PathLike | Sequence], tell: Tell = tell) -> list[Input]:
    """List the inputs that urls stand for, in order.

    urls  urls and paths, or lists of them, each list the replicas of one input: those that cannot be found are left out
    tell  is called with a text for what is passed over, such as the hidden files of a directory
    Raises DataError that names the url where there is nothing; for replicas, why each of them could not be found.
    """
    inputs: list[Input] = []
    for url in urls:
        replicas = [url] if isinstance(url, (str, os.PathLike)) else url
        paths = [os.fspath(replica) for replica in replicas]
        if len(paths) == 1:
            inputs += _find(paths[0], tell)
        else:
            inputs.append(find_replicas(paths, lambda path: _find(path, tell)))
    return inputs


def _find(url: str, tell: Tell) -> list[Input]:
    url = known_form(url)
    depth = _depth.get()
    if depth == _MAX_DEPTH:
        raise DataError(
            f"input {url}: stands at the end of {depth} addresses that each name the next: is it a circle?"
        )
    token = _depth.set(depth + 1)
    try:
        module = _scheme("lists") if _is_tag_on_the_web(url) else _module(url)
        return list(module.find(url, tell))
    finally:
        _depth.reset(token)


def open_input(
    url: str, start: int = 0, end: int | None = None
) -> tuple[BufferedReader, int | None]:
    """Open an input for reading: (binary file, its size in bytes or None).

    The size is what is known beforehand: the file may have more by the time it is read, and then more is read.
    With start and end (offsets, seekable inputs alone) the file is the lines that begin in that range.
    """
    url = known_form(url)
    module = _module(url)
    if not hasattr(module, "open"):
        raise JobError(
            f"input {url}: stands for other inputs and has no data of its own; `find_inputs` lists them"
        )
    return module.open(url, start, end)


def known_form(url: str) -> str:
    """The url with its scheme in small letters. DataError for what no address can be: characters that have no bytes."""
    try:
        os.fsencode(url)
    except UnicodeEncodeError as e:
        raise DataError(f"input {url!r}: is no address: {e.reason}", is_final=True) from e
    scheme, separator, rest = url.partition("://")
    return f"{scheme.lower()}://{rest}" if separator and scheme.lower() in SCHEMES else url


def _module(url: str) -> ModuleType:
    name, separator, _ = url.partition("://")
    if not separator:
        name = ""
    if name not in SCHEMES:
        known = ", ".join(f"{known}://" for known in SCHEMES if known)
        raise DataError(
            f"{url}: there is no scheme {name}://; a plain path or one of {known} is", is_final=True
        )
    return _scheme(SCHEMES[name])


def _scheme(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def _is_tag_on_the_web(url: str) -> bool:
    return re.match("https?://[^/]*/ddfs/tag/", url) is not None
