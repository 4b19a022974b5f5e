"""Where inputs come from: the scheme of a URL decides how it is listed and opened.

A scheme is a row of SCHEMES and a module of this package with

    find(url, tell) -> iterable of Input
        The inputs that the URL stands for, before the job starts. tell(text) reports what is left
        out.
    open(url, start, end) -> (file, size)
        As `open_input`, in the task. A module whose URLs stand for other URLs has no `open`.

    version(url) -> str
        In a module that adds to `versions_read`: the version now, or "" if it is not known.

Modules get URLs from `known_form`. A URL that cannot be found or read is a DataError that names it.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from io import BufferedReader
from typing import NamedTuple, Protocol, cast

from kvproto._stdio import say
from kvproto._text import printable, without_passwords
from kvproto.errors import DataError, JobError
from kvproto.inputs.replicas import find_replicas
from kvproto.storage import objects

__all__ = [
    "SCHEMES",
    "Input",
    "Tell",
    "find_inputs",
    "is_tag",
    "known_form",
    "open_input",
    "tell",
    "version",
    "versions_read",
]

SCHEMES = {
    "": "files",
    "file": "files",
    "raw": "files",
    "http": "web",
    "https": "web",
    "tag": "lists",
    "dir": "lists",
    "disco": "nodes",
    **dict.fromkeys(objects.SCHEMES, "objects"),
}
"""Scheme -> module of this package, imported when a URL needs it; "" is a plain path."""


Tell = Callable[[str], object]
"""Called with a message for the user."""

versions_read: dict[str, str] = {}
"""What this task has read so far, if only the answer to a request says it: URL -> version."""

Path = str | os.PathLike[str]


class Scheme(Protocol):
    """A module of this package."""

    def find(self, url: str, tell: Tell) -> Iterable[Input]: ...

    def open(self, url: str, start: int, end: int | None) -> tuple[BufferedReader, int | None]: ...


_MAX_DEPTH = 16
_depth: ContextVar[int] = ContextVar("depth", default=0)


def tell(text: str) -> None:
    """Write a message on stderr, without passwords."""
    say(printable(without_passwords(f"kvproto: {text}")))


class Input(NamedTuple):
    """One input of a job.

    Attributes
    ----------
    url : str
        Its URL or path.
    n_bytes : int or None
        Its size in bytes, if it is known before it is read.
    seekable : bool
        Whether `open_input` can open a range of it, and of each replica.
    replicas : tuple of str
        Other URLs of the same data, in the order in which to try them.
    label : int or None
        The partition that it belongs to, if an index assigns one.
    stamp : str
        Changes with the data, as the time of a file's last change does; "" if nothing is known.
    """

    url: str
    n_bytes: int | None
    seekable: bool
    replicas: tuple[str, ...] = ()
    label: int | None = None
    stamp: str = ""


def find_inputs(urls: Iterable[Path | Sequence[Path]], tell: Tell = tell) -> list[Input]:
    """List the inputs that URLs stand for, in order.

    Parameters
    ----------
    urls : iterable of str, path or list
        URLs and paths. A list contains the replicas of one input; missing ones are left out.
    tell : callable
        Called with a message about what is left out, such as the hidden files of a directory.

    Returns
    -------
    list of Input

    Raises
    ------
    DataError
        There is nothing at a URL, which the text names. For replicas, it has the error of each.
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
            f"input {url}: follows {depth} addresses, each of which names the next: "
            "is there a circle?"
        )
    token = _depth.set(depth + 1)
    try:
        module = _scheme("lists") if is_tag(url) else _module(url)
        return list(module.find(url, tell))
    finally:
        _depth.reset(token)


def open_input(
    url: str, start: int = 0, end: int | None = None
) -> tuple[BufferedReader, int | None]:
    """Open an input for reading.

    Parameters
    ----------
    url : str
        A URL or a path, as `Input` has it.
    start, end : int, int or None
        Offsets in bytes, for seekable inputs: the file has the lines that begin in this range.

    Returns
    -------
    file : binary file
        The data.
    size : int or None
        Its size in bytes, if that is known. A file that has grown since is read to its end.

    Raises
    ------
    DataError
        It cannot be read.
    JobError
        It cannot be read, and another attempt is useless; or the URL stands for other inputs.
    """
    url = known_form(url)
    module = _module(url)
    if not hasattr(module, "open"):
        raise JobError(
            f"input {url}: names other inputs and has no data itself; `find_inputs` lists them"
        )
    return module.open(url, start, end)


def version(url: str) -> str:
    """Return the version of an input as `versions_read` would have it; "" if it is not known."""
    module = _module(known_form(url))
    return module.version(url) if hasattr(module, "version") else ""


def known_form(url: str) -> str:
    """The URL with its scheme in lower case; DataError when it cannot be encoded as bytes."""
    try:
        os.fsencode(url)
    except UnicodeEncodeError as e:
        raise DataError(f"input {url!r}: is not an address: {e.reason}", is_final=True) from e
    scheme, separator, rest = url.partition("://")
    return f"{scheme.lower()}://{rest}" if separator and scheme.lower() in SCHEMES else url


def _module(url: str) -> Scheme:
    name, separator, _ = url.partition("://")
    if not separator:
        name = ""
    if name not in SCHEMES:
        known = ", ".join(f"{known}://" for known in SCHEMES if known)
        raise DataError(
            f"{url}: there is no scheme {name}://; use a path or one of {known}", is_final=True
        )
    return _scheme(SCHEMES[name])


def _scheme(name: str) -> Scheme:
    return cast(Scheme, importlib.import_module(f"{__name__}.{name}"))


def is_tag(url: str) -> bool:
    """Whether it is the URL of a tag, or the web address of the tag's document."""
    return re.match("tag://|https?://[^/]*/ddfs/tag/", url) is not None
