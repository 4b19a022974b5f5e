"""What the engine knows about a job: its functions and values.

A `JobSpec` describes the job. `resolve_map` and `resolve_reduce` turn it into what the tasks of a
stage need. The task processes get that as cloudpickle bytes, once for each stage and process; each
task has its own copy.

The dataclasses leave out methods that nobody calls, because `dataclass` compiles each at import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kvproto.engine.bad_limit import NONE_BAD, BadLimit
from kvproto.engine.bulk import FrameCombiner
from kvproto.engine.partition import default_partition
from kvproto.inputs.streams import name_of
from kvproto.storage.records import FRAMES, OBJECTS, RAW, TYPED

__all__ = [
    "External",
    "Function",
    "InputChain",
    "JobSpec",
    "MapSpec",
    "Pair",
    "ReduceSpec",
    "TaskSpec",
    "attributes",
    "each_pair",
    "function_name",
    "resolve_map",
    "resolve_reduce",
]

Function: TypeAlias = Callable[..., Any]
Pair: TypeAlias = tuple[Any, Any]


@dataclass(eq=False)
class External:
    """An external program, in the place of a function.

    Parameters
    ----------
    files : dict of str to bytes
        The program and its supporting files, as `kvproto.external` returns them.
    ext_params : bytes
        The encoded parameters, which the program gets on stdin before the first pair.
    ext_limits : dict of str to float or None
        The time limits of `kvproto.ExternalProgram` in seconds: start, idle, total, grace.
    """

    files: dict[str, bytes]
    ext_params: bytes = b""
    ext_limits: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class InputChain:
    """How an input becomes entries.

    Parameters
    ----------
    functions : tuple of callable
        Input stream functions, called in order, as by `kvproto.inputs.streams.chain_input`. If
        there are none, the entries of a map are lines, and those of a reduce are the pairs that the
        maps wrote.
    opens : bool
        Whether the engine opens the URL for the first function; otherwise that function does.
    """

    functions: tuple[Function, ...] = ()
    opens: bool = True


@dataclass(eq=False, repr=False)
class JobSpec:
    """A job, ready to run.

    Parameters
    ----------
    name : str
        The beginning of the job's name.
    map : callable, External or None
        map(entry, params) -> iterable of pairs. None: the reduce reads the inputs.
    reduce : callable, External or None
        reduce(iter, params) -> iterable of pairs, or reduce(iter, out, params). None: the
        results are those of the map.
    combiner : callable or None
        combiner(key, value, buffer, done, params) -> iterable of pairs or None.
    partition : callable or None
        partition(key, n_partitions, params) -> int. None: crc32 of the key.
    n_partitions : int or None
        The number of result files of the reduce, at least 1. None: one, or in a reduce without a
        map one for each label of the inputs.
    map_init, reduce_init : callable or None
        init(input_iter, params), called once in each task.
    map_input, reduce_input : InputChain
        How the inputs become entries; in a reduce after a map, how the output of the maps does.
    map_output_stream, reduce_output_stream : tuple of callable
        Output stream functions that write the pairs. If there are none, the engine uses its own
        format.
    text : bool
        Whether entries are str, and readers get text files; otherwise entries are bytes, and
        readers get binary files.
    unpack : bool
        Whether to unpack compressed inputs.
    sort : bool
        Whether the reduce gets its pairs sorted by key.
    sort_buffer_size : str
        The memory for the sort, as for `sort -S`.
    status_interval : int
        How many entries come between two status messages; 0: no messages.
    free_names : callable
        Called in each task; returns the names that functions use without an import: name -> object.
    required_modules : tuple of str
        The names of modules that functions use without an import.
    attempts : int
        How many times a task is tried in all, at least 1, if another attempt may succeed.
    max_bad : BadLimit
        How many records the map may fail on; they are set aside.
    skip_inputs : bool
        Whether the map leaves out inputs that cannot be read.
    keep_map : bool
        Whether to keep the output of the maps as result files too, if there is a reduce.
    trust : bool
        Whether to unpickle data of other users and from the network.
    save : callable or None
        save(job name, paths of the results) -> URL of the tag that keeps the results.
    profile : bool
        Whether to profile each task.
    params : object
        Passed to each of the functions.
    """

    name: str
    map: Function | External | None
    reduce: Function | External | None = None
    combiner: Function | None = None
    partition: Function | None = None
    n_partitions: int | None = 1
    map_init: Function | None = None
    reduce_init: Function | None = None
    map_input: InputChain = InputChain()
    reduce_input: InputChain = InputChain()
    map_output_stream: tuple[Function, ...] = ()
    reduce_output_stream: tuple[Function, ...] = ()
    text: bool = True
    unpack: bool = True
    sort: bool = False
    sort_buffer_size: str = "10%"
    status_interval: int = 0
    free_names: Callable[[], Mapping[str, Any]] = dict
    required_modules: tuple[str, ...] = ()
    attempts: int = 3
    max_bad: BadLimit = NONE_BAD
    skip_inputs: bool = False
    keep_map: bool = False
    trust: bool = False
    save: Callable[[str, Sequence[str]], str] | None = None
    profile: bool = False
    params: Any = None

    def functions(self) -> Iterator[Function]:
        """Yield all functions of the job, including those in the attributes of its params."""
        values = [
            *(self.map, self.reduce, self.combiner, self.partition),
            *(self.map_init, self.reduce_init),
            *self.map_input.functions,
            *self.reduce_input.functions,
            *self.map_output_stream,
            *self.reduce_output_stream,
            self.params,
            *attributes(self.params),
        ]
        yield from (value for value in values if callable(value))


@dataclass(init=False, eq=False, repr=False)
class TaskSpec:
    """What the tasks of both stages get: all functions of the job, and fields of its `JobSpec`."""

    functions: tuple[Function, ...]
    free_names: Callable[[], Mapping[str, Any]]
    required_modules: tuple[str, ...]
    text: bool
    unpack: bool
    status_interval: int
    trust: bool
    profile: bool
    params: Any


@dataclass(kw_only=True, eq=False, repr=False)
class MapSpec(TaskSpec):
    """What the map tasks get. Fields that are not listed here are those of `JobSpec`.

    Parameters
    ----------
    partition : callable
        Never None.
    n_partitions : int
        At least 1.
    has_reduce : bool
        Whether the output goes to the spool; otherwise it goes to result files.
    kind : str
        The kind of records in the output: FRAMES, OBJECTS, TYPED, or RAW for output streams.
    in_frames : bool
        Whether pairs go as frames from an external program to the partitions, without Python
        objects.
    source : callable, External or None
        What made the pairs, for errors.
    """

    map: Function | External
    init: Function | None
    input: InputChain
    combiner: Function | None
    partition: Function
    n_partitions: int
    output_stream: tuple[Function, ...]
    has_reduce: bool
    kind: str
    in_frames: bool
    source: Function | External | None
    attempts: int
    max_bad: BadLimit
    skip_inputs: bool


@dataclass(kw_only=True, eq=False, repr=False)
class ReduceSpec(TaskSpec):
    """What the reduce tasks get. Fields that are not listed here are those of `JobSpec`.

    Parameters
    ----------
    spool : str or None
        The kind of records that the maps wrote; None if there is no map: the reduce reads inputs.
    is_direct : bool
        Whether the reduce gets the pairs of the spool without a reader.
    source : callable, External or None
        What made the entries that the reduce reads, for errors.
    """

    reduce: Function | External
    init: Function | None
    input: InputChain
    output_stream: tuple[Function, ...]
    sort: bool
    sort_buffer_size: str
    spool: str | None
    is_direct: bool
    source: Function | External | None


def each_pair(entry: Any, params: Any) -> list[Any]:
    """Pass a pair on: the map that the engine gives a job without one."""
    return [entry]


def resolve_map(job: JobSpec) -> MapSpec:
    """Make what the map tasks of a job get."""
    assert job.map is not None
    is_external = isinstance(job.map, External)
    partition, n_partitions = job.partition or default_partition, job.n_partitions or 1
    has_default = n_partitions == 1 or partition is default_partition
    is_plain = _keeps_frames(job.combiner) and not job.map_output_stream
    return MapSpec(
        map=job.map,
        init=job.map_init,
        input=job.map_input,
        combiner=job.combiner,
        partition=partition,
        n_partitions=n_partitions,
        output_stream=job.map_output_stream,
        has_reduce=job.reduce is not None,
        kind=_map_kind(job),
        in_frames=is_external and is_plain and has_default,
        source=(None, *job.map_input.functions)[-1] if job.map is each_pair else job.map,
        attempts=job.attempts,
        max_bad=job.max_bad,
        skip_inputs=job.skip_inputs,
        **_common(job),
    )


def resolve_reduce(job: JobSpec) -> ReduceSpec:
    """Make what the reduce tasks of a job get."""
    assert job.reduce is not None
    reads_spool = job.map is not None and not job.map_output_stream
    return ReduceSpec(
        reduce=job.reduce,
        init=job.reduce_init,
        input=job.reduce_input,
        output_stream=job.reduce_output_stream,
        sort=job.sort,
        sort_buffer_size=job.sort_buffer_size,
        spool=None if job.map is None else _map_kind(job),
        is_direct=reads_spool and job.reduce_input == InputChain(),
        source=(job.map, *job.reduce_input.functions)[-1],
        **_common(job),
    )


def _common(job: JobSpec) -> dict[str, Any]:
    return {
        "functions": tuple(job.functions()),
        "free_names": job.free_names,
        "required_modules": job.required_modules,
        "text": job.text,
        "unpack": job.unpack,
        "status_interval": job.status_interval,
        "trust": job.trust,
        "profile": job.profile,
        "params": job.params,
    }


def _map_kind(job: JobSpec) -> str:
    """The kind of records that a map writes.

    FRAMES if an external program writes or reads them. TYPED if only the engine reads them, in a
    reduce of Python.
    """
    if job.map_output_stream:
        return RAW
    if isinstance(job.reduce, External):
        return FRAMES
    if isinstance(job.map, External) and _keeps_frames(job.combiner):
        return FRAMES
    is_spool = job.reduce is not None and not job.keep_map and job.reduce_input == InputChain()
    return TYPED if is_spool else OBJECTS


def _keeps_frames(combiner: Function | None) -> bool:
    """Whether what an external program gives stays frames."""
    return combiner is None or isinstance(combiner, FrameCombiner)


def attributes(value: object) -> list[Any]:
    """Return the values of an object's attributes, or of a dict."""
    return list((value if isinstance(value, dict) else getattr(value, "__dict__", {})).values())


def function_name(function: Function | External | None) -> str:
    """Name a function for messages, as in "wordcount.WordCount.map"; None is the input."""
    if function is None:
        return "the input"
    if isinstance(function, External):
        return "the external program"
    return name_of(function)
