"""What the engine is told about a job: resolved functions and values, nothing left to look up.

Travels to the task processes as cloudpickle bytes, once for each stage and process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["External", "JobSpec", "function_name"]


@dataclass(frozen=True)
class External:
    """An external program where a function may stand: `files` as `kvproto.external` gives them, `params` for its stdin."""

    files: dict[str, bytes]
    params: Any = None


@dataclass(frozen=True)
class JobSpec:
    """A job, ready to run.

    name          str, for messages
    map           map(entry, params) -> iterable of pairs, or External
    reduce        reduce(iter, params) -> iterable of pairs, reduce(iter, out, params), External, or None: map only
    combiner      combiner(key, value, buffer, done, params) -> iterable of pairs or None; or None
    partition     partition(key, n_partitions, params) -> int; None is the default one, crc32 of the key
    n_partitions  int, at least 1: result files of the reduce
    map_reader    map_reader(fd, size, url, params) -> iterable of entries; None gives the lines
    params        any object, handed to each of the functions
    """

    name: str
    map: Callable | External
    reduce: Callable | External | None = None
    combiner: Callable | None = None
    partition: Callable | None = None
    n_partitions: int = 1
    map_reader: Callable | None = None
    params: Any = None


def function_name(function: Callable | External) -> str:
    """Name a job function for a person: "wordcount.WordCount.map", or "the external program"."""
    if isinstance(function, External):
        return "the external program"
    function = getattr(function, "func", function)  # what a functools.partial calls
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None) or repr(function)
    return f"{module}.{name}" if module and module != "__main__" else name
