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
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from io import BufferedReader
from types import ModuleType
from typing import NamedTuple

from kvproto._stdio import say
from kvproto._text import printable, without_passwords
from kvproto.errors import DataError, JobError

__all__ = ["SCHEMES", "Input", "Tell", "find_inputs", "known_form", "open_input", "tell"]

SCHEMES = {
    "": "files",
    "file": "files",
    "http": "web",
    "https": "web",
    "raw": "raw",
    "tag": "tag",
    "dir": "dir",
    "disco": "disco",
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
    found: list[Input] = []
    for url in urls:
        if isinstance(url, (str, os.PathLike)):
            found += _find(os.fspath(url), tell)
        elif len(url) == 1:
            found += _find(os.fspath(url[0]), tell)
        else:
            found.append(_of_replicas([os.fspath(replica) for replica in url], tell))
    return found


def _find(url: str, tell: Tell) -> list[Input]:
    url = known_form(url)
    depth = _depth.get()
    if depth == _MAX_DEPTH:
        raise DataError(
            f"input {url}: stands at the end of {depth} addresses that each name the next: is it a circle?"
        )
    token = _depth.set(depth + 1)
    try:
        return list(_module(url).find(url, tell))
    finally:
        _depth.reset(token)


def _of_replicas(urls: list[str], tell: Tell) -> Input:
    if not urls:
        raise ValueError(
            "an empty list among the inputs: a list in them is the replicas of one input"
        )
    found: list[Input] = []
    failed: list[str] = []
    for url in urls:
        try:
            inputs = _find(url, tell)
        except DataError as e:
            failed.append(str(e))
            continue
        if len(inputs) != 1:
            raise DataError(
                f"input {url}: stands for {len(inputs)} inputs, and a replica stands for one"
            )
        found += inputs
    if not found:
        raise DataError("none of the replicas of an input can be found:\n  " + "\n  ".join(failed))
    others = [other for one in found for other in (one.url, *one.replicas)][1:]
    is_alike = len({one.n_bytes for one in found}) == 1
    return found[0]._replace(
        seekable=is_alike and all(one.seekable for one in found), replicas=tuple(others)
    )


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
    return importlib.import_module(f"{__name__}.{SCHEMES[name]}")
