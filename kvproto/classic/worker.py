"""The parameters of a classic job: which there are, their defaults, and how each is found.

`PARAMETERS` is the table: a new parameter is a row. `Worker.spec` turns what it found into the engine's JobSpec.
"""

from __future__ import annotations

import getpass
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from kvproto.classic import disco_names as alias
from kvproto.classic.disco_names.modutil import guess_modules
from kvproto.classic.func import default_partition
from kvproto.classic.old_parameters import SYNONYMS, check_names
from kvproto.classic.params import Params
from kvproto.classic.putting import save_results
from kvproto.classic.task import (
    NAMES,
    get,
    put,
    this_host,
    this_inputs,
    this_master,
    this_name,
    this_partition,
)
from kvproto.classic.task_io import chain_reader, task_input_stream, task_output_stream
from kvproto.driver.contents import as_bytes
from kvproto.engine.sort import check_buffer_size
from kvproto.engine.spec import External, InputChain, JobSpec, function_name
from kvproto.errors import DataError, FilesError, JobError
from kvproto.inputs.schemes import Input, Tell, find_inputs, tell
from kvproto.protocol.params import encode_params
from kvproto.storage.manifest import partition_of

__all__ = [
    "PARAMETERS",
    "Params",
    "Worker",
    "get",
    "getitem",
    "put",
    "this_host",
    "this_inputs",
    "this_master",
    "this_name",
    "this_partition",
]

MAX_PARTITIONS = 100_000

PARAMETERS: dict[str, Any] = {
    "name": None,  # str: what the job's directory and messages begin with; the class's name unless given
    "input": None,  # list of urls, or of lists of them: replicas; or one url
    "map": None,  # map(entry, params) -> iterable of pairs, or an external program
    "map_init": None,  # map_init(input_iter, params), once in each map task
    "map_input_stream": (
        task_input_stream,
    ),  # functions (stream, size, url, params) -> stream or (stream, size, url)
    "map_reader": None,  # map_reader(fd, size, url, params) -> iterable of entries, the last of map_input_stream
    "text": True,  # whether entries are str, and readers get text files; else bytes, and binary files
    "map_output_stream": (
        task_output_stream,
    ),  # functions (stream, partition, url, params) -> stream or (stream, url)
    "combiner": None,  # combiner(key, value, buffer, done, params) -> iterable of pairs or None
    "partition": default_partition,  # partition(key, nr_partitions, params) -> int
    "partitions": 1,  # int, or None: result files of the reduce
    "merge_partitions": False,  # whether one reduce task reads all partitions
    "sort": False,  # whether the reduce gets its pairs in the order of their keys
    "sort_buffer_size": "10%",  # str, as for `sort -S`
    "reduce": None,  # reduce(iter, params) -> iterable of pairs, reduce(iter, out, params), or an external program
    "reduce_init": None,  # reduce_init(input_iter, params), once in each reduce task
    "reduce_input_stream": (task_input_stream,),
    "reduce_reader": chain_reader,  # the last of reduce_input_stream
    "reduce_output_stream": (task_output_stream,),
    "params": Params(),  # any object, handed to each of these functions
    "ext_params": {},  # dict, str, bytes or None: what external programs get on stdin first
    "ext_limits": {},  # dict: seconds that an external program may take: start, idle, total, grace, as ExternalProgram has them
    "status_interval": 100_000,  # int: entries from one status message to the next; 0: none
    "required_files": (),  # paths, or {name: contents}: in the working directory of the tasks
    "required_modules": None,  # names of modules, or (name, path): found by the functions without an import
    "scheduler": {},  # dict; {"max_cores": int} is how many tasks run at a time at most
    "attempts": 3,  # int: how often a task is tried in all, where another try may mend its error
    "trust": False,  # whether to unpickle inputs also where they are another user's or come from the network
    "keep_map": False,  # whether what the maps give is kept too, where there is a reduce
    "save": False,  # whether the results are kept as the tag disco:results:JOB
    "profile": False,  # whether each task is profiled
}

ARGUMENTS = {
    "map": ["entry, params"],
    "map_init": ["input_iter, params"],
    "combiner": ["key, value, buffer, done, params"],
    "partition": ["key, nr_partitions, params"],
    "reduce": ["iter, params", "iter, out, params"],
    "reduce_init": ["input_iter, params"],
}
"""What a function is called with."""


def getitem(key: str, job, jobargs: Mapping, defaults: Mapping, default=None):
    """Find a parameter: in jobargs, as attribute of the job, in the worker's defaults, else `default`, in this order.

    A function in the job's class is taken as it is, as a static one, unless its first argument is called `self`.
    """
    names = [key, *(name for name, meant in SYNONYMS.items() if meant == key)]
    for name in names:
        if name in jobargs:
            return jobargs[name]
    for name in names:
        raw = inspect.getattr_static(job, name, _MISSING)
        if raw is not _MISSING:
            return raw if inspect.isfunction(raw) and not _is_method(raw) else getattr(job, name)
    return defaults.get(key, default)


_MISSING = object()

_SCHEDULER = (
    "max_cores",
    "force_local",
    "force_remote",
)  # the last two are about nodes, and mean nothing here

_LIMITS = ("start", "idle", "total", "grace")


def _is_method(function) -> bool:
    return next(iter(inspect.signature(function).parameters), None) == "self"


class Worker(dict):
    """The defaults of the parameters: those of `defaults()`, with what is given here instead. TypeError for an unknown name."""

    def __init__(self, **parameters) -> None:
        super().__init__(self.defaults())
        check_names(parameters, self)
        self.update({SYNONYMS.get(name, name): value for name, value in parameters.items()})

    def defaults(self) -> dict[str, Any]:
        """The parameters and their defaults, for a class of one's own to change or add to: `PARAMETERS`."""
        return dict(PARAMETERS)

    def getitem(self, key: str, job, jobargs: Mapping, default=None):
        """Find a parameter of a job, in the order that the function `getitem` tells."""
        return getitem(key, job, jobargs, self, default)

    def jobdict(self, job, **jobargs) -> dict[str, Any]:
        """What a master would be told of the job: input, scheduler, which stages it has and how many reduces.

        Keys: prefix (str), input (list), scheduler (dict), map? and reduce? (bool), nr_reduces (int), save_results and
        profile? (bool), owner (user@host).
        """
        item = self._finder(job, jobargs)
        return {
            "prefix": item("name") or type(job).__name__,
            "input": self.urls(job, jobargs),
            "scheduler": _scheduler(item("scheduler")),
            "map?": bool(item("map")),
            "reduce?": bool(item("reduce")),
            "nr_reduces": 1 if item("merge_partitions") else _n_partitions(item("partitions")) or 1,
            "save_results": bool(item("save")),
            "profile?": bool(item("profile")),
            "owner": f"{getpass.getuser()}@{os.uname().nodename}",
        }

    def spec(self, job, jobargs: Mapping) -> JobSpec:
        """Resolve the parameters of a job. JobError, TypeError or ValueError for what cannot be run."""
        item = self._finder(job, jobargs)
        if item("map") is None and item("reduce") is None:
            raise JobError(
                f"job {job.name} has neither map nor reduce: give it one; func.nop_map passes entries on as they are"
            )
        _check_ext_params(item("ext_params"))
        external = {"params": item("ext_params"), "limits": _limits(item("ext_limits"))}
        check_buffer_size(item("sort_buffer_size"))
        spec = JobSpec(
            name=item("name") or type(job).__name__,
            map=_program_or_function("map", item("map"), external),
            reduce=_program_or_function("reduce", item("reduce"), external),
            n_partitions=1
            if item("merge_partitions") and item("reduce")
            else _n_partitions(item("partitions")),
            partition=_function("partition", item("partition") or default_partition),
            map_input=_input_chain("map", item),
            reduce_input=_input_chain("reduce", item),
            map_output_stream=_output_stream("map", item),
            reduce_output_stream=_output_stream("reduce", item),
            text=bool(item("text")),
            sort=bool(item("sort")),
            sort_buffer_size=item("sort_buffer_size"),
            status_interval=_interval(item("status_interval")),
            required_modules=tuple(
                m if isinstance(m, str) else m[0] for m in _required_modules(item)
            ),
            attempts=_attempts(item("attempts")),
            keep_map=bool(item("keep_map")),
            trust=bool(item("trust")),
            save=save_results if item("save") else None,
            free_names=_free_names,
            profile=bool(item("profile")),
            params=item("params"),
            **{
                name: _function(name, item(name))
                for name in ("map_init", "combiner", "reduce_init")
            },
        )
        if (
            item("required_modules") is None and alias.is_installed()
        ):  # the original guessed, and its programs rely on it
            return replace(spec, required_modules=guess_modules(spec.functions()))
        return spec

    def urls(self, job, jobargs: Mapping) -> list[str | list[str]]:
        """The job's inputs as given, urls or lists of replicas; a single one as a list of one."""
        urls = self.getitem("input", job, jobargs)
        if urls is None:
            raise JobError(f"job {job.name} has no input: give it urls or paths")
        if isinstance(urls, (str, os.PathLike)):
            urls = [urls]
        try:
            return [
                os.fspath(url)
                if isinstance(url, (str, os.PathLike))
                else [os.fspath(u) for u in url]
                for url in urls
            ]
        except TypeError as e:
            raise TypeError(
                f"input is a list of urls and paths, or of lists of them, the replicas of one, not {urls!r}"
            ) from e

    def inputs(self, job, jobargs: Mapping, spec: JobSpec, tell: Tell = tell) -> list[Input]:
        """The job's inputs, found; where its own input stream opens them, as they are. `tell` gets what is passed over.

        For a reduce alone with as many partitions as its inputs have labels, a result of a job has its partition as label.
        """
        urls = self.urls(job, jobargs)
        if (spec.reduce_input if spec.map is None else spec.map_input).opens:
            found = find_inputs(urls, tell)
            if spec.map is None and spec.n_partitions is None:
                return [
                    one if one.label is not None else one._replace(label=partition_of(one.url))
                    for one in found
                ]
            return found
        replicas = [[url] if isinstance(url, str) else url for url in urls]
        return [Input(first, None, False, tuple(others)) for first, *others in replicas]

    def required_files(self, job, jobargs: Mapping) -> dict[str, str | bytes]:
        """The files that the tasks find in their working directory: name -> path, or contents as bytes."""
        item = self._finder(job, jobargs)
        files = item("required_files") or ()
        if isinstance(files, Mapping):
            for name in files:
                if not name or "\0" in name or not all(part.strip(".") for part in name.split("/")):
                    raise FilesError(
                        f"required_files: {name!r} names no file below the working directory of the tasks"
                    )
            found = {
                name: as_bytes(data, f"required_files: {name}") for name, data in files.items()
            }
        else:
            found = _by_base_name(
                "required_files", [files] if isinstance(files, (str, os.PathLike)) else files
            )
        paths = [module[1] for module in _required_modules(item) if not isinstance(module, str)]
        found.update(_by_base_name("required_modules", paths))
        return found

    def max_processes(self, job, jobargs: Mapping) -> int | None:
        """How many tasks may run at a time by the job's scheduler; None: as many as there are cores."""
        return _scheduler(self.getitem("scheduler", job, jobargs)).get("max_cores")

    def _finder(self, job, jobargs: Mapping) -> Callable[[str], Any]:
        return lambda key: self.getitem(key, job, jobargs)


def _free_names() -> dict[str, Any]:
    """What a job function finds without an import, in a task."""
    if not alias.is_installed():
        return NAMES
    from kvproto.classic.disco_names.worker import free_names  # slow: it imports http.server

    return {**NAMES, **free_names()}


def _program_or_function(name: str, value, external: dict):
    if isinstance(value, dict):
        if "op" not in value:
            raise FilesError(
                f"{name} is a dictionary without 'op', the program itself; kvproto.external([...]) makes one"
            )
        return External(
            {file: as_bytes(data, f"{name}: the file {file!r}") for file, data in value.items()},
            **external,
        )
    if value is None or callable(value):
        return _function(name, value)
    raise TypeError(
        f"{name} must be a function or an external program, not {value!r}; external([path]) makes one"
    )


def _function(name: str, value):
    if callable(value):
        _check_arguments(name, value)
        return value
    if value is None:
        return value
    raise TypeError(f"{name} must be a function, not {value!r}")


def _check_arguments(name: str, function: Callable) -> None:
    """Raise TypeError for a function that cannot be called with what it will get; not every one in C says what it takes."""
    forms = ARGUMENTS.get(name, [])
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    for form in forms:
        with suppress(TypeError):
            signature.bind(*form.split(", "))
            return
    if forms:
        calls = " or ".join(f"{name}({form})" for form in forms)
        raise TypeError(
            f"{name} is called as {calls}, and {function_name(function)} takes {signature}"
        )


def _functions(name: str, value) -> tuple[Callable, ...]:
    functions = (value,) if callable(value) else tuple(value or ())
    for function in functions:
        if not callable(function):
            raise TypeError(f"{name} must be a sequence of functions; {function!r} is none")
    return functions


def _input_chain(stage: str, item) -> InputChain:
    functions = _functions(f"{stage}_input_stream", item(f"{stage}_input_stream"))
    opens = not functions or functions[0] is task_input_stream
    functions = functions[1:] if functions and opens else functions
    reader = _function(f"{stage}_reader", item(f"{stage}_reader"))
    functions += (reader,) if reader else ()
    if (
        stage == "reduce"
        and item("map") is not None
        and not _output_stream("map", item)
        and functions == (chain_reader,)
    ):
        functions = ()  # as the map's pairs were kept: no reader is needed between
    return InputChain(functions, opens)


def _output_stream(stage: str, item) -> tuple[Callable, ...]:
    functions = _functions(f"{stage}_output_stream", item(f"{stage}_output_stream"))
    return functions[1:] if functions and functions[0] is task_output_stream else functions


def _check_ext_params(ext_params) -> None:
    try:
        encode_params(ext_params)
    except (TypeError, ValueError) as e:
        raise type(e)(f"ext_params: {e}") from None


def _limits(limits) -> dict[str, float | None]:
    if not isinstance(limits, Mapping) or not set(limits) <= set(_LIMITS):
        raise TypeError(
            f"ext_limits is a dict with seconds for {', '.join(_LIMITS)}, not {limits!r}"
        )
    for name, seconds in limits.items():
        if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
            raise ValueError(
                f"ext_limits: {name} is a number of seconds above 0, or None: no limit; not {seconds!r}"
            )
    return dict(limits)


def _n_partitions(partitions) -> int | None:
    if partitions is None:
        return None
    if not isinstance(partitions, int) or isinstance(partitions, bool) or partitions < 1:
        raise ValueError(f"partitions is a number from 1 on, or None, not {partitions!r}")
    if partitions > MAX_PARTITIONS:
        raise ValueError(
            f"partitions is at most {MAX_PARTITIONS}, not {partitions}: each is a task and a file"
        )
    return partitions


def _attempts(attempts) -> int:
    if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
        raise ValueError(f"attempts is a number from 1 on, not {attempts!r}")
    return attempts


def _interval(interval) -> int:
    if not isinstance(interval, int) or interval < 0:
        raise ValueError(
            f"status_interval is a number of entries, 0 for no status messages, not {interval!r}"
        )
    return interval


def _scheduler(scheduler) -> dict:
    if not isinstance(scheduler, Mapping):
        raise TypeError(f"scheduler is a dict, not {scheduler!r}")
    for name in scheduler:
        if name not in _SCHEDULER:
            raise TypeError(
                f"scheduler is a dict with {', '.join(_SCHEDULER)}; there is no {name!r}"
            )
    cores = scheduler.get("max_cores", 1)
    if isinstance(cores, str) and cores.isdecimal():
        cores = int(cores)
    if not isinstance(cores, int) or isinstance(cores, bool) or cores < 1:
        raise ValueError(f"scheduler: max_cores is a number from 1 on, not {cores!r}")
    return {**scheduler, "max_cores": cores} if "max_cores" in scheduler else dict(scheduler)


def _required_modules(item) -> list[str | tuple[str, str]]:
    """The required modules: names, and (name, path)."""
    modules = item("required_modules") or ()
    modules = [modules] if isinstance(modules, str) else list(modules)
    for module in modules:
        if not isinstance(module, str) and not (
            isinstance(module, (tuple, list)) and len(module) == 2
        ):
            raise TypeError(
                f"required_modules must be names of modules, or (name, path); {module!r} is neither"
            )
    return modules


def _by_base_name(parameter: str, paths: Sequence) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in map(os.fspath, paths):
        name = os.path.basename(path)
        if name in found:
            raise FilesError(
                f"{parameter}: {found[name]} and {path} would have the same name, {name}, where the tasks run"
            )
        if not os.path.isfile(path):
            raise DataError(f"{parameter}: {path} is no file")
        found[name] = os.path.abspath(path)
    return found
