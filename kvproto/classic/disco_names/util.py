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
from kvproto.driver.program import external
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
    """Whether it has items; a str or bytes counts as one thing."""
    return hasattr(object, "__iter__") and not isinstance(object, (str, bytes))


def iterify(object: Any) -> Iterable[Any]:
    """The iterable itself, or an iterator over the one thing that it is."""
    return object if isiterable(object) else iter((object,))


def listify(object: Any) -> list[Any]:
    """The items, or the one thing, in a list."""
    return list(iterify(object))


def chainify(iterable: Iterable[Iterable[Any]]) -> list[Any]:
    """The items of the items, in a list."""
    return list(chain.from_iterable(iterable))


def flatten(iterable: Iterable[Any]) -> Iterator[Any]:
    """The items, and theirs, however deep."""
    for item in iterable:
        if isiterable(item):
            yield from flatten(item)
        else:
            yield item


def ilen(iterable: Iterable[Any]) -> int:
    """How many items there are; uses them up."""
    return sum(1 for _ in iterable)


def shuffled(object: Any) -> list[Any]:
    """The items in random order."""
    items = listify(object)
    random.shuffle(items)
    return items


def partition(iterable: Iterable[Any], fn: Callable[[Any], object]) -> tuple[list[Any], list[Any]]:
    """The items for which fn is true, and the others."""
    yes: list[Any] = []
    no: list[Any] = []
    for item in iterable:
        (yes if fn(item) else no).append(item)
    return yes, no


def iskv(object: Any) -> bool:
    """Whether it is a tuple of two."""
    return isinstance(object, tuple) and len(object) == 2


def kvify(entry: Any) -> tuple[Any, Any]:
    """The pair itself, or (entry, None)."""
    pair: tuple[Any, Any] = entry if iskv(entry) else (entry, None)
    return pair


def key(pair: tuple[Any, Any]) -> Any:
    """The key of a pair."""
    return pair[0]


# --- urls --------------------------------------------------------------------------------------


class netloc(NamedTuple):
    """Host and port of a url, both str; "" for none."""

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

    disco:// becomes http:// with the port DISCO_PORT, or disco_port. The data of localhost, True
    for any host, is here: its urls become files below ddfs_data, if they begin with ddfs/, or
    disco_data.
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
    """The inverse of `urlsplit`."""
    scheme, location, path = scheme_netloc_path
    return (f"{scheme}://" if scheme else "") + (f"{location}/" if location else "") + path


def jobname(url: str) -> str:
    """The name of the job that a result belongs to, by its path or url."""
    directories = schemesplit(url)[1].rstrip("/").split("/")[:-1]
    if directories[-1:] == ["results"]:
        directories.pop()
    if not directories:
        raise JobError(f"{url} is not a result of a job: it does not contain the name of a job")
    return directories[-1]


def ispartitioned(input: Any) -> bool:
    """Whether inputs are indices, dir://, all of them."""
    urls = list(flatten(iterify(input)))
    return bool(urls) and all(url.startswith("dir://") for url in urls)


def read_index(dir: str) -> Iterator[tuple[str, str]]:
    """(label, url) of each input in the index that a dir:// url names."""
    for input_ in find_inputs([dir]):
        yield str(input_.label), input_.url


def parse_dir(dir: str, partition: object = None) -> list[str]:
    """List the urls in an index, dir://, by label; with `partition` only those with that label."""
    wanted = None if partition is None else str(partition)
    rows = sorted(read_index(dir), key=lambda row: int(row[0]))
    return [url for label, url in rows if wanted in (None, label)]


# --- the rest ----------------------------------------------------------------------------------


def identity(object: Any) -> Any:
    """The thing itself."""
    return object


def hexhash(string: bytes) -> str:
    """The first two hexadecimal digits of the md5."""
    return hashlib.md5(string).hexdigest()[:2]


def reify(dotted_name: str) -> Any:
    """What a dotted name, module.name, stands for."""
    module, _, name = dotted_name.rpartition(".")
    return getattr(importlib.import_module(module), name)


def load_oob(host: object, name: str, key: str) -> bytes | str:
    """The out-of-band value of the job called `name`; host means nothing here."""
    return Disco(host).oob_get(name, key)


def format_size(num: float) -> str:
    """A number of bytes for people: 2048 -> "2.0KB"."""
    for unit in (" bytes", "KB", "MB", "GB"):
        if num < 1024:
            return f"{num:3.1f}{unit}"
        num /= 1024
    return f"{num:3.1f}TB"


def msg(message: object) -> None:
    """Send a message from a task: what it prints becomes one."""
    print(message)


def err(message: object) -> NoReturn:
    """End the job."""
    raise JobError(str(message))


def data_err(message: object, url: str) -> NoReturn:
    """Fail the task, so that it is tried again."""
    raise DataError(str(message), url)
