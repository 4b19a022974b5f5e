"""The old `disco.util`: small helpers that jobs and their tests used, besides `kvgroup`."""

from __future__ import annotations

import hashlib
import importlib
import os
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple, NoReturn

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


def isiterable(object) -> bool:
    """Whether it has items; a str or bytes counts as one thing."""
    return hasattr(object, "__iter__") and not isinstance(object, (str, bytes))


def iterify(object) -> Iterable:
    """The iterable itself, or an iterator over the one thing that it is."""
    return object if isiterable(object) else iter((object,))


def listify(object) -> list:
    """The items, or the one thing, in a list."""
    return list(iterify(object))


def chainify(iterable: Iterable[Iterable]) -> list:
    """The items of the items, in a list."""
    return list(chain.from_iterable(iterable))


def flatten(iterable: Iterable) -> Iterator:
    """The items, and theirs, however deep."""
    for item in iterable:
        if isiterable(item):
            yield from flatten(item)
        else:
            yield item


def ilen(iterable: Iterable) -> int:
    """How many items there are; uses them up."""
    return sum(1 for _ in iterable)


def shuffled(object) -> list:
    """The items in random order."""
    items = listify(object)
    random.shuffle(items)
    return items


def partition(iterable: Iterable, fn: Callable) -> tuple[list, list]:
    """The items for which fn is true, and the others."""
    yes: list = []
    no: list = []
    for item in iterable:
        (yes if fn(item) else no).append(item)
    return yes, no


def iskv(object) -> bool:
    """Whether it is a tuple of two."""
    return isinstance(object, tuple) and len(object) == 2


def kvify(entry) -> tuple:
    """The pair itself, or (entry, None)."""
    return entry if iskv(entry) else (entry, None)


def key(pair: tuple):
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
    """(scheme, what is behind ://); scheme is "" where there is none."""
    scheme, separator, rest = url.partition("://")
    return (scheme, rest) if separator else ("", url)


def urlsplit(
    url: str,
    localhost: str | bool | None = None,
    disco_port: str | None = None,
    ddfs_data: str = "",
    disco_data: str = "",
) -> tuple[str, netloc, str]:
    """(scheme, (host, port), path without the slash before it); disco:// becomes http:// with the port of DISCO_PORT.

    localhost             the host whose data is here, True for any: a url of it becomes a file below these directories
    disco_port            what stands in the place of DISCO_PORT
    ddfs_data, disco_data the directories of paths that begin with ddfs/, and of all others
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


def urljoin(scheme_netloc_path: tuple) -> str:
    """The inverse of `urlsplit`."""
    scheme, location, path = scheme_netloc_path
    return (f"{scheme}://" if scheme else "") + (f"{location}/" if location else "") + path


def jobname(url: str) -> str:
    """The name of the job that a result belongs to, by its path or url."""
    directories = schemesplit(url)[1].rstrip("/").split("/")[:-1]
    if directories[-1:] == ["results"]:
        directories.pop()
    if not directories:
        raise JobError(f"{url} is not a result of a job: no name of a job is in it")
    return directories[-1]


def ispartitioned(input) -> bool:
    """Whether inputs are indices, dir://, all of them."""
    urls = list(flatten(iterify(input)))
    return bool(urls) and all(url.startswith("dir://") for url in urls)


def read_index(dir: str) -> Iterator[tuple[str, str]]:
    """(label, url) of each input in the index that a dir:// url names."""
    for found in find_inputs([dir]):
        yield str(found.label), found.url


def parse_dir(dir: str, partition=None) -> list[str]:
    """The urls in the index that a dir:// url names, by label; with `partition` those of that label alone."""
    wanted = None if partition is None else str(partition)
    rows = sorted(read_index(dir), key=lambda row: int(row[0]))
    return [url for label, url in rows if wanted in (None, label)]


# --- the rest ----------------------------------------------------------------------------------


def identity(object):
    """The thing itself."""
    return object


def hexhash(string: bytes) -> str:
    """The first two hexadecimal digits of the md5."""
    return hashlib.md5(string).hexdigest()[:2]


def reify(dotted_name: str):
    """What a dotted name, module.name, stands for."""
    module, _, name = dotted_name.rpartition(".")
    return getattr(importlib.import_module(module), name)


def load_oob(host, name: str, key: str) -> bytes | str:
    """The out-of-band value of the job called `name`; host means nothing here."""
    return Disco(host).oob_get(name, key)


def format_size(num: float) -> str:
    """A number of bytes for people: 2048 -> "2.0KB"."""
    for unit in (" bytes", "KB", "MB", "GB"):
        if num < 1024:
            return f"{num:3.1f}{unit}"
        num /= 1024
    return f"{num:3.1f}TB"


def msg(message) -> None:
    """Send a message from a task: what it prints becomes one."""
    print(message)


def err(message) -> NoReturn:
    """End the job."""
    raise JobError(str(message))


def data_err(message, url: str) -> NoReturn:
    """Fail the task, so that it is tried again."""
    raise DataError(message, url)
