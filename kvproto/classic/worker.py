"""The parameters of a classic job: which there are, their defaults, and how each is found.

`PARAMETERS` is the table: a new parameter is a row. `Worker.spec` turns what it found into the engine's JobSpec.
"""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Mapping
from typing import Any

from kvproto.classic.func import default_partition
from kvproto.engine.spec import External, JobSpec
from kvproto.errors import FilesError, JobError
from kvproto.netstring import encode_params

__all__ = ["PARAMETERS", "Worker", "getitem"]

PARAMETERS: dict[str, Any] = {
    "name": None,  # str: what the job's directory and messages begin with; the class's name unless given
    "input": None,  # list of urls, or one
    "map": None,  # map(entry, params) -> iterable of pairs, or an external program
    "map_reader": None,  # map_reader(fd, size, url, params) -> iterable of entries; None: the lines
    "combiner": None,  # combiner(key, value, buffer, done, params) -> iterable of pairs or None
    "partition": default_partition,  # partition(key, nr_partitions, params) -> int
    "partitions": 1,  # int, or None: result files of the reduce
    "reduce": None,  # reduce(iter, params) -> iterable of pairs, reduce(iter, out, params), or an external program
    "params": None,  # any object, handed to each of these functions
    "ext_params": {},  # dict, str, bytes or None: what external programs get on stdin first
}


def getitem(key: str, job, jobargs: Mapping, defaults: Mapping, default=None):
    """Find a parameter: in jobargs, as attribute of the job, in the worker's defaults, else `default`, in this order.

    A function in the job's class is taken as it is, as a static one, unless its first argument is called `self`.
    """
    if key in jobargs:
        return jobargs[key]
    raw = inspect.getattr_static(job, key, _MISSING)
    if raw is not _MISSING:
        if inspect.isfunction(raw) and not _is_method(raw):
            return raw
        return getattr(job, key)
    return defaults.get(key, default)


_MISSING = object()


def _is_method(function) -> bool:
    return next(iter(inspect.signature(function).parameters), None) == "self"


class Worker(dict):
    """The defaults of the parameters: `PARAMETERS`, with what is given here instead. TypeError for an unknown name."""

    def __init__(self, **parameters) -> None:
        check_names(parameters)
        super().__init__({**PARAMETERS, **parameters})

    def spec(self, job, jobargs: Mapping) -> JobSpec:
        """Resolve the parameters of a job. JobError or TypeError for what cannot be run."""

        def item(key: str):
            return getitem(key, job, jobargs, self)

        if item("map") is None:
            raise JobError(f"job {job.name} has no map: give it one, nop_map passes entries on as they are")
        _check_ext_params(item("ext_params"))
        return JobSpec(
            name=item("name") or type(job).__name__,
            map=_function("map", item("map"), item("ext_params")),
            map_reader=_function("map_reader", item("map_reader")),
            combiner=_function("combiner", item("combiner")),
            partition=_function("partition", item("partition") or default_partition),
            n_partitions=_n_partitions(item("partitions")),
            reduce=_function("reduce", item("reduce"), item("ext_params")),
            params=item("params"),
        )

    def inputs(self, job, jobargs: Mapping) -> list[str]:
        """The job's urls as given, a single one as a list of one."""
        urls = getitem("input", job, jobargs, self)
        if urls is None:
            raise JobError(f"job {job.name} has no input: give it urls or paths")
        if isinstance(urls, (str, os.PathLike)):
            urls = [urls]
        return [os.fspath(url) for url in urls]


def check_names(parameters: Mapping) -> None:
    """Raise TypeError for a parameter that there is not, with the nearest one that there is."""
    for name in parameters:
        if name not in PARAMETERS:
            near = difflib.get_close_matches(name, PARAMETERS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(PARAMETERS)}"
            raise TypeError(f"a job has no parameter {name!r}; {hint}")


def _function(name: str, value, ext_params=None):
    if value is None or callable(value):
        return value
    if isinstance(value, dict) and name in ("map", "reduce"):
        if "op" not in value:
            raise FilesError(f"{name} is a dictionary without 'op', the program itself; kvproto.external([...]) makes one")
        return External(value, ext_params)
    raise TypeError(f"{name} must be a function{' or an external program' * (name in ('map', 'reduce'))}, not {value!r}")


def _check_ext_params(ext_params) -> None:
    try:
        encode_params(ext_params)
    except (TypeError, ValueError) as e:
        raise type(e)(f"ext_params: {e}") from None


def _n_partitions(partitions) -> int:
    if partitions is None:
        return 1
    if not isinstance(partitions, int) or isinstance(partitions, bool) or partitions < 1:
        raise ValueError(f"partitions is a number from 1 on, or None, not {partitions!r}")
    return partitions
