"""`Worker` finds the parameters of a job, and turns them into what the engine runs."""

from __future__ import annotations

import getpass
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from kvproto.classic import disco_names as alias
from kvproto.classic.checks import check_names
from kvproto.classic.func import default_partition
from kvproto.classic.parameters import PARAMETERS, SYNONYMS, TABLE
from kvproto.classic.params import Params
from kvproto.classic.putting import save_results
from kvproto.classic.task import (
    count,
    free_names,
    get,
    put,
    this_host,
    this_inputs,
    this_master,
    this_name,
    this_partition,
)
from kvproto.classic.task_io import chain_reader, task_input_stream, task_output_stream
from kvproto.engine.bad_limit import NONE_BAD
from kvproto.engine.spec import External, InputChain, JobSpec
from kvproto.errors import DataError, FilesError, JobError
from kvproto.inputs.schemes import Input, Tell, find_inputs, is_tag, tell
from kvproto.storage.manifest import partition_of

__all__ = [
    "PARAMETERS",
    "Params",
    "Worker",
    "count",
    "get",
    "getitem",
    "put",
    "this_host",
    "this_inputs",
    "this_master",
    "this_name",
    "this_partition",
]


class Described(Protocol):
    """An object with the parameters of a job as attributes, such as a Job."""

    name: str


def getitem(
    key: str,
    job: object,
    jobargs: Mapping[str, Any],
    defaults: Mapping[str, Any],
    default: Any = None,
) -> Any:
    """Find the value of a parameter.

    The first place that has it counts: the keyword arguments of `run`, the attributes of the job,
    the defaults of its worker. A function in the job's class is used as it is; it is a method only
    if its first argument is called ``self``.

    Parameters
    ----------
    key : str
        The parameter's name. Names that older programs use are found too.
    job : object
        Its attributes are looked up, inherited ones included.
    jobargs : mapping
        The keyword arguments of `run`.
    defaults : mapping
        The defaults, usually a `Worker`.
    default : object, optional
        The result if none of them has the parameter.
    """
    names = [key, *(old for old, name in SYNONYMS.items() if name == key)]
    for name in names:
        if name in jobargs:
            return jobargs[name]
    for name in names:
        raw = inspect.getattr_static(job, name, _MISSING)
        if raw is not _MISSING:
            return raw if inspect.isfunction(raw) and not _is_method(raw) else getattr(job, name)
    return defaults.get(key, default)


_MISSING = object()


def _is_method(function: Callable[..., Any]) -> bool:
    return next(iter(inspect.signature(function).parameters), None) == "self"


class Worker(dict[str, Any]):
    """The defaults of the parameters of a job.

    Derive from it, and set `Job.Worker`, to change defaults or to add parameters of your own.

    Parameters
    ----------
    **parameters
        Values that replace the defaults.

    Raises
    ------
    TypeError
        For an unknown name.
    """

    def __init__(self, **parameters: Any) -> None:
        super().__init__(self.defaults())
        check_names(parameters, [*self, *SYNONYMS])
        self.update({SYNONYMS.get(name, name): value for name, value in parameters.items()})

    def defaults(self) -> dict[str, Any]:
        """Return the parameters and their defaults: a copy of `PARAMETERS`."""
        return dict(PARAMETERS)

    def getitem(
        self, key: str, job: Described, jobargs: Mapping[str, Any], default: Any = None
    ) -> Any:
        """Find the value of a parameter of a job, as the function `getitem` does."""
        return getitem(key, job, jobargs, self, default)

    def jobdict(self, job: Described, **jobargs: Any) -> dict[str, Any]:
        """Summarize a job in a dict, like the one that Disco sent to its master.

        Returns
        -------
        dict
            prefix (str), input (list), scheduler (dict), map? and reduce? (bool), nr_reduces (int),
            save_results and profile? (bool), owner (str, user@host).
        """
        item = self._values(job, jobargs)
        return {
            "prefix": item("name") or type(job).__name__,
            "input": self.urls(job, jobargs),
            "scheduler": item("scheduler"),
            "map?": bool(self.getitem("map", job, jobargs)),
            "reduce?": bool(self.getitem("reduce", job, jobargs)),
            "nr_reduces": 1 if item("merge_partitions") else item("partitions") or 1,
            "save_results": item("save"),
            "profile?": item("profile"),
            "owner": f"{getpass.getuser()}@{os.uname().nodename}",
        }

    def spec(self, job: Described, jobargs: Mapping[str, Any]) -> JobSpec:
        """Turn the parameters into what the engine runs.

        Raises
        ------
        JobError, TypeError, ValueError
            For a job that cannot run.
        """
        item = self._values(job, jobargs)
        if self.getitem("map", job, jobargs) is None and (
            self.getitem("reduce", job, jobargs) is None
        ):
            raise JobError(
                f"job {job.name} has neither map nor reduce: give it one; "
                "func.nop_map passes entries on unchanged"
            )
        map, reduce = item("map"), item("reduce")
        _check_bad(map, item)
        ext = item("ext_params"), item("ext_limits")
        spec = JobSpec(
            name=item("name") or type(job).__name__,
            map=External(map, *ext) if isinstance(map, dict) else map,
            reduce=External(reduce, *ext) if isinstance(reduce, dict) else reduce,
            combiner=item("combiner"),
            partition=item("partition") or default_partition,
            n_partitions=1 if item("merge_partitions") and reduce else item("partitions"),
            map_init=item("map_init"),
            reduce_init=item("reduce_init"),
            map_input=_input_chain("map", item),
            reduce_input=_input_chain("reduce", item),
            map_output_stream=_output_stream("map", item),
            reduce_output_stream=_output_stream("reduce", item),
            text=item("text"),
            unpack=item("unpack"),
            sort=item("sort"),
            sort_buffer_size=item("sort_buffer_size"),
            status_interval=item("status_interval"),
            free_names=free_names,
            required_modules=tuple(
                module if isinstance(module, str) else module[0]
                for module in item("required_modules")
            ),
            attempts=item("attempts"),
            max_bad=item("max_bad_records"),
            skip_inputs=item("bad_inputs") == "skip",
            keep_map=item("keep_map"),
            trust=item("trust"),
            save=save_results if item("save") else None,
            profile=item("profile"),
            params=item("params"),
        )
        if self.getitem("required_modules", job, jobargs) is None and alias.is_installed():
            # programs written for Disco rely on its guess
            from kvproto.classic.disco_names import compat  # noqa: PLC0415 (it loads dis)

            return replace(spec, required_modules=compat.guess_modules(spec.functions()))
        return spec

    def urls(self, job: Described, jobargs: Mapping[str, Any]) -> list[str | list[str]]:
        """Return the inputs of a job, unresolved: urls, and lists of replicas."""
        urls = self.getitem("input", job, jobargs)
        if urls is None:
            raise JobError(f"job {job.name} has no input: give it urls or paths")
        if isinstance(urls, (str, os.PathLike)):
            urls = [urls]
        try:
            return [
                os.fspath(url)
                if isinstance(url, (str, os.PathLike))
                else [os.fspath(replica) for replica in url]
                for url in urls
            ]
        except TypeError as e:
            raise TypeError(
                "input must be a list of urls, of paths, and of lists of replicas of one input, "
                f"not {urls!r}"
            ) from e

    def inputs(
        self, job: Described, jobargs: Mapping[str, Any], spec: JobSpec, tell: Tell = tell
    ) -> list[Input]:
        """Find the inputs of a job.

        If the job's own input stream opens the inputs, they stay as they are. If a reduce without a
        map has as many partitions as its inputs have labels, the results of jobs among its inputs
        get their partition as label. `tell` is called with a message for each file that is skipped.
        """
        urls = self.urls(job, jobargs)
        if (spec.reduce_input if spec.map is None else spec.map_input).opens:
            inputs = _find_all(urls, tell) if spec.skip_inputs else find_inputs(urls, tell)
            if spec.map is None and spec.n_partitions is None:
                return [
                    one if one.label is not None else one._replace(label=partition_of(one.url))
                    for one in inputs
                ]
            return inputs
        replicas = [[url] if isinstance(url, str) else url for url in urls]
        return [Input(first, None, False, tuple(others)) for first, *others in replicas]

    def required_files(self, job: Described, jobargs: Mapping[str, Any]) -> dict[str, str | bytes]:
        """Return the files for the working directory of the tasks: name -> path, or contents."""
        item = self._values(job, jobargs)
        files = item("required_files")
        if not isinstance(files, dict):
            files = _by_base_name("required_files", files)
        paths = [module[1] for module in item("required_modules") if not isinstance(module, str)]
        return {**files, **_by_base_name("required_modules", paths)}

    def max_processes(self, job: Described, jobargs: Mapping[str, Any]) -> int | None:
        """Return how many tasks may run at a time by the job's `scheduler`; None: no limit."""
        scheduler: dict[str, int] = self._values(job, jobargs)("scheduler")
        return scheduler.get("max_cores")

    def may_speculate(self, job: Described, jobargs: Mapping[str, Any]) -> bool:
        """Return whether a slow task may get a second attempt.

        Never in a job with output streams: two of them might write to one place.
        """
        item = self._values(job, jobargs)
        return bool(item("speculate")) and not any(
            _output_stream(stage, item) for stage in ("map", "reduce")
        )

    def _values(self, job: Described, jobargs: Mapping[str, Any]) -> Callable[[str], Any]:
        """Return what finds and checks the value of a parameter."""
        return lambda name: TABLE[name].check(name, self.getitem(name, job, jobargs))


def _check_bad(map: Any, item: Callable[[str], Any]) -> None:
    """Raise ValueError for a job that cannot set aside what it should."""
    for name in ("max_bad_records", "bad_inputs"):
        if map is None and item(name) not in (NONE_BAD, "fail"):
            raise ValueError(f"{name} is about what a map reads, and this job has no map")
    if (
        isinstance(map, dict)
        and item("max_bad_records")
        and item("ext_limits").get("pinpoint", 1) == 0
    ):
        raise ValueError(
            "max_bad_records needs the search for the record at which a program fails: "
            "remove pinpoint=0 from ext_limits"
        )


def _find_all(urls: Iterable[str | list[str]], tell: Tell) -> list[Input]:
    """Find the inputs, and leave it to the tasks to find that one cannot be read."""
    inputs: list[Input] = []
    for url in urls:
        try:
            inputs += find_inputs([url], tell)
        except DataError as e:
            first, *others = [url] if isinstance(url, str) else url
            if e.is_final or is_tag(first) or first.startswith("dir://"):
                raise
            first, *others = (
                one if "://" in one else os.path.abspath(one) for one in (first, *others)
            )
            inputs.append(Input(first, None, False, tuple(others)))
    return inputs


def _input_chain(stage: str, item: Callable[[str], Any]) -> InputChain:
    functions = item(f"{stage}_input_stream")
    opens = not functions or functions[0] is task_input_stream
    functions = functions[1:] if functions and opens else functions
    reader = item(f"{stage}_reader")
    functions += (reader,) if reader else ()
    reads_our_maps = (
        stage == "reduce" and item("map") is not None and not _output_stream("map", item)
    )
    if reads_our_maps and functions == (chain_reader,):
        functions = ()  # the engine reads its own format itself
    return InputChain(functions, opens)


def _output_stream(stage: str, item: Callable[[str], Any]) -> tuple[Callable[..., Any], ...]:
    functions: tuple[Callable[..., Any], ...] = item(f"{stage}_output_stream")
    return functions[1:] if functions and functions[0] is task_output_stream else functions


def _by_base_name(parameter: str, paths: Iterable[str]) -> dict[str, str]:
    files: dict[str, str] = {}
    for path in map(os.fspath, paths):
        name = os.path.basename(path)
        if name in files:
            raise FilesError(
                f"{parameter}: {files[name]} and {path} would have the same name, {name}, "
                "where the tasks run"
            )
        if not os.path.isfile(path):
            raise DataError(f"{parameter}: {path} is not a file")
        files[name] = os.path.abspath(path)
    return files
