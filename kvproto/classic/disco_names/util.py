"""The old `disco.util`: small helpers that jobs and their tests used, besides `kvgroup`."""

from __future__ import annotations

import hashlib
import importlib
import os
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple, NoReturn

from kvproto.classic.core import Disco
from kvproto.classic.disco_names.compat import DiscoSettings
from kvproto.driver.files import external
from kvproto.errors import DataError, JobError
from kvproto.inputs.schemes import find_inputs

__all__ = [
    "chainify",
    "data_err",
    "err",
    "external",
    "flatten",
    "format_size",
    "hexhash",
    "identity",
    "ilen",
    "isiterable",
    "iskv",
    "ispartitioned",
    "iterify",
    "jobname",
    "key",
    "kvify",
    "listify",
    "load_oob",
    "msg",
    "netloc",
    "parse_dir",
    "partition",
    "read_index",
    "reify",
    "schemesplit",
    "shuffled",
    "urljoin",
    "urlsplit",
]


# --- iterables and pairs -----------------------------------------------------------------------


def isiterable(object: Any) -> bool:
    """Return whether an object is iterable; str and bytes do not count."""
    return hasattr(object, "__iter__") and not isinstance(object, (str, bytes))


def iterify(object: Any) -> Iterable[Any]:
    """Return an iterable itself, or an iterator over any other object alone."""
    return object if isiterable(object) else iter((object,))


def listify(object: Any) -> list[Any]:
    """Return a list of the items of an iterable, or of any other object alone."""
    return list(iterify(object))


def chainify(iterable: Iterable[Iterable[Any]]) -> list[Any]:
    """Return a list of the items of all iterables."""
    return list(chain.from_iterable(iterable))


def flatten(iterable: Iterable[Any]) -> Iterator[Any]:
    """Yield the items of nested iterables, at any depth."""
    for item in iterable:
        if isiterable(item):
            yield from flatten(item)
        else:
            yield item


def ilen(iterable: Iterable[Any]) -> int:
    """Count the items, and consume them."""
    return sum(1 for _ in iterable)


def shuffled(object: Any) -> list[Any]:
    """Return a list of the items in random order."""
    items = listify(object)
    random.shuffle(items)
    return items


def partition(iterable: Iterable[Any], fn: Callable[[Any], object]) -> tuple[list[Any], list[Any]]:
    """Return the items for which fn is true, and the others."""
    yes: list[Any] = []
    no: list[Any] = []
    for item in iterable:
        (yes if fn(item) else no).append(item)
    return yes, no


def iskv(object: Any) -> bool:
    """Return whether an object is a tuple of two."""
    return isinstance(object, tuple) and len(object) == 2


def kvify(entry: Any) -> tuple[Any, Any]:
    """Return a pair itself, and any other entry as (entry, None)."""
    pair: tuple[Any, Any] = entry if iskv(entry) else (entry, None)
    return pair


def key(pair: tuple[Any, Any]) -> Any:
    """Return the key of a pair."""
    return pair[0]


# --- urls --------------------------------------------------------------------------------------


class netloc(NamedTuple):
    """The host and the port of a url, both str; "" if missing."""

    host: str
    port: str

    @classmethod
    def parse(cls, netlocstr: str) -> netloc:
        host, _, port = netlocstr.rpartition("@")[2].partition(":")
        return cls(host, port)

    def __bool__(self) -> bool:
        return bool(self.host)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


def schemesplit(url: str) -> tuple[str, str]:
    """Split a url at its ://; the scheme is "" if there is none."""
    scheme, separator, rest = url.partition("://")
    return (scheme, rest) if separator else ("", url)


def urlsplit(
    url: str,
    localhost: str | bool | None = None,
    disco_port: str | None = None,
    ddfs_data: str = "",
    disco_data: str = "",
) -> tuple[str, netloc, str]:
    """Split a url into (scheme, (host, port), path without the first slash).

    disco:// becomes http:// with the port DISCO_PORT, or disco_port. The data of `localhost` (of
    any host, if that is True) is on this machine: a path that begins with ddfs/ becomes a file
    below ddfs_data, any other a file below disco_data.
    """
    scheme, rest = schemesplit(url)
    location, slash, path = rest.partition("/")
    if scheme == "tag" and not slash:
        return scheme, netloc("", ""), location
    where, port = netloc.parse(location), disco_port or str(DiscoSettings()["DISCO_PORT"])
    is_disco = scheme == "disco" or where.port == port
    if is_disco and (localhost is True or location == localhost):
        kind, _, name = path.partition("/")
        return (
            "file",
            netloc("", ""),
            os.path.join(ddfs_data if kind == "ddfs" else disco_data, name),
        )
    return ("http", netloc(where.host, port), path) if scheme == "disco" else (scheme, where, path)


def urljoin(scheme_netloc_path: tuple[str, netloc | str, str]) -> str:
    """Join what `urlsplit` returned."""
    scheme, location, path = scheme_netloc_path
    return (f"{scheme}://" if scheme else "") + (f"{location}/" if location else "") + path


def jobname(url: str) -> str:
    """Return the name of the job of a result, from its path or url."""
    directories = schemesplit(url)[1].rstrip("/").split("/")[:-1]
    if directories[-1:] == ["results"]:
        directories.pop()
    if not directories:
        raise JobError(f"{url} is not a result of a job: it does not contain the name of a job")
    return directories[-1]


def ispartitioned(input: Any) -> bool:
    """Return whether all inputs are indices, dir://."""
    urls = list(flatten(iterify(input)))
    return bool(urls) and all(url.startswith("dir://") for url in urls)


def read_index(dir: str) -> Iterator[tuple[str, str]]:
    """Yield (label, url) for each input in the index that a dir:// url names."""
    for input_ in find_inputs([dir]):
        yield str(input_.label), input_.url


def parse_dir(dir: str, partition: object = None) -> list[str]:
    """List the urls in an index, dir://, by label; with `partition` only those with that label."""
    wanted = None if partition is None else str(partition)
    rows = sorted(read_index(dir), key=lambda row: int(row[0]))
    return [url for label, url in rows if wanted in (None, label)]


# --- the rest ----------------------------------------------------------------------------------


def identity(object: Any) -> Any:
    """Return the object itself."""
    return object


def hexhash(string: bytes) -> str:
    """Return the first two hexadecimal digits of the md5."""
    return hashlib.md5(string).hexdigest()[:2]


def reify(dotted_name: str) -> Any:
    """Import the object with a dotted name, module.name."""
    module, _, name = dotted_name.rpartition(".")
    return getattr(importlib.import_module(module), name)


def load_oob(host: object, name: str, key: str) -> bytes | str:
    """Return an out-of-band value of the job called `name`; host has no effect."""
    return Disco(host).oob_get(name, key)


def format_size(num: float) -> str:
    """Format a number of bytes for a person: 2048 -> "2.0KB"."""
    for unit in (" bytes", "KB", "MB", "GB"):
        if num < 1024:
            return f"{num:3.1f}{unit}"
        num /= 1024
    return f"{num:3.1f}TB"


def msg(message: object) -> None:
    """Send a message from a task, whose printed lines are its messages."""
    print(message)


def err(message: object) -> NoReturn:
    """Fail the job."""
    raise JobError(str(message))


def data_err(message: object, url: str) -> NoReturn:
    """Fail the task, so that it is tried again."""
    raise DataError(str(message), url)
