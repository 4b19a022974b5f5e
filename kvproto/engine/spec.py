"""What the engine knows about a job: functions and values, nothing left to look up.

A `JobSpec` describes the job; `resolve_map` and `resolve_reduce` make of it what the tasks of a
stage get, which travels to the task processes as cloudpickle bytes, once for each stage and
process. Each task has its own copy.

The dataclasses are made without the methods that nobody calls: each is compiled at import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

from kvproto.engine.partition import default_partition
from kvproto.inputs.streams import name_of
from kvproto.storage.records import FRAMES, OBJECTS, RAW

__all__ = [
    "BatchCombiner",
    "External",
    "Function",
    "InputChain",
    "JobSpec",
    "MapSpec",
    "Pair",
    "ReduceSpec",
    "TaskSpec",
    "attributes",
    "combines_batches",
    "each_pair",
    "function_name",
    "resolve_map",
    "resolve_reduce",
]

Function: TypeAlias = Callable[..., Any]
Pair: TypeAlias = tuple[Any, Any]


@dataclass(eq=False)
class External:
    """An external program in the place of a function.

    Parameters
    ----------
    files : dict of str to bytes
        As `kvproto.external` gives them.
    ext_params : bytes
        What the program gets on stdin first, encoded.
    ext_limits : dict of str to float or None
        Seconds, by the names that `kvproto.ExternalProgram` has for them: start, idle, total,
        grace.
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
        Input stream functions, called one after the other as `kvproto.classic.task_io.chain_input`
        does. None of them: the entries are the lines (of a map), or the pairs that the maps wrote
        (of a reduce).
    opens : bool
        Whether the engine opens the URL for the first function; otherwise that function does.
    """

    functions: tuple[Function, ...] = ()
    opens: bool = True


@runtime_checkable
class BatchCombiner(Protocol):
    """A combiner that can also take many pairs in one call; `combines_batches` makes one."""

    def __call__(
        self, key: Any, value: Any, buffer: dict[Any, Any], done: bool, params: Any
    ) -> Iterable[Pair] | None:
        """Combine one pair, as any combiner does."""

    def take(self, pairs: Iterator[Pair], buffer: dict[Any, Any]) -> list[Pair]:
        """Combine pairs from the iterator for as long as that is simple.

        Returns the pair that it took and could not combine, in a list; that one then goes to
        `__call__`. An empty list: there are no more pairs. What it raises must come from the
        iterator.
        """


_Combiner = TypeVar("_Combiner", bound=Function)


def combines_batches(
    take: Callable[[Iterator[Pair], dict[Any, Any]], list[Pair]],
) -> Callable[[_Combiner], _Combiner]:
    """Decorate a combiner: it becomes a `BatchCombiner` with this method `take`."""

    def declare(combiner: _Combiner) -> _Combiner:
        cast(Any, combiner).take = take
        return combiner

    return declare


@dataclass(eq=False, repr=False)
class JobSpec:
    """A job, ready to run.

    Parameters
    ----------
    name : str
        What its directory and messages begin with.
    map : callable, External or None
        map(entry, params) -> iterable of pairs. None: the reduce reads the inputs.
    reduce : callable, External or None
        reduce(iter, params) -> iterable of pairs, or reduce(iter, out, params). None: the results
        are the map's.
    combiner : callable or None
        combiner(key, value, buffer, done, params) -> iterable of pairs or None.
    partition : callable or None
        partition(key, n_partitions, params) -> int. None: crc32 of the key.
    n_partitions : int or None
        Result files of the reduce, at least 1. None: one, or of a reduce alone one for each label
        of its inputs.
    map_init, reduce_init : callable or None
        init(input_iter, params), called once in each task.
    map_input, reduce_input : InputChain
        How the inputs become entries; for a reduce after a map, how what the maps wrote does.
    map_output_stream, reduce_output_stream : tuple of callable
        Output stream functions that write the pairs. None of them: the engine's own format.
    text : bool
        Entries are str, and readers get text files; else bytes, and binary files.
    sort : bool
        The reduce gets its pairs sorted by key.
    sort_buffer_size : str
        Memory for the sort, as for `sort -S`.
    status_interval : int
        Entries from one status message to the next; 0: none.
    free_names : callable
        Called in each task: name -> what the functions find under it without an import.
    required_modules : tuple of str
        Names of modules that the functions find likewise.
    attempts : int
        How often a task is tried in all, at least 1, where another try may succeed.
    keep_map : bool
        What the maps wrote is kept as result files too, when there is a reduce.
    trust : bool
        Pickles of other users and from the network are unpickled too.
    save : callable or None
        save(job name, paths of the results) -> URL of the tag under which it keeps them.
    profile : bool
        Each task is profiled.
    params : object
        Handed to each of the functions.
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
    sort: bool = False
    sort_buffer_size: str = "10%"
    status_interval: int = 0
    free_names: Callable[[], Mapping[str, Any]] = dict
    required_modules: tuple[str, ...] = ()
    attempts: int = 3
    keep_map: bool = False
    trust: bool = False
    save: Callable[[str, Sequence[str]], str] | None = None
    profile: bool = False
    params: Any = None

    def functions(self) -> Iterator[Function]:
        """Yield all functions of the job, those among the attributes of its params included."""
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
    """What the tasks of both stages get: fields of the `JobSpec`, and all functions of the job."""

    functions: tuple[Function, ...]
    free_names: Callable[[], Mapping[str, Any]]
    required_modules: tuple[str, ...]
    text: bool
    status_interval: int
    trust: bool
    profile: bool
    params: Any


@dataclass(kw_only=True, eq=False, repr=False)
class MapSpec(TaskSpec):
    """A map, resolved.

    Parameters
    ----------
    map : callable or External
        See `JobSpec`, as for what is not listed here.
    partition : callable
        Never None.
    n_partitions : int
        At least 1.
    has_reduce : bool
        The output goes to the spool, and not to result files.
    kind : str
        Of the records that it writes: FRAMES, OBJECTS, or RAW for output streams.
    in_frames : bool
        The path of its pairs: frames from an external program to the partitions, without Python
        objects; otherwise pairs of objects.
    source : callable, External or None
        What made the pairs, for an error.
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


@dataclass(kw_only=True, eq=False, repr=False)
class ReduceSpec(TaskSpec):
    """A reduce, resolved.

    Parameters
    ----------
    reduce : callable or External
        See `JobSpec`, as for what is not listed here.
    spool : str or None
        The kind of records that the maps wrote; None: there is no map, and it reads inputs.
    is_direct : bool
        It reads the spool as the engine wrote it, without a reader between.
    source : callable, External or None
        What made the entries that it reads, for an error.
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
    """What the map tasks of a job get."""
    assert job.map is not None
    is_external = isinstance(job.map, External)
    partition, n_partitions = job.partition or default_partition, job.n_partitions or 1
    has_default = n_partitions == 1 or partition is default_partition
    is_plain = job.combiner is None and not job.map_output_stream
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
        **_common(job),
    )


def resolve_reduce(job: JobSpec) -> ReduceSpec:
    """What the reduce tasks of a job get."""
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
        "status_interval": job.status_interval,
        "trust": job.trust,
        "profile": job.profile,
        "params": job.params,
    }


def _map_kind(job: JobSpec) -> str:
    """Frames where an external program is at either end."""
    if job.map_output_stream:
        return RAW
    if isinstance(job.reduce, External):
        return FRAMES
    return FRAMES if isinstance(job.map, External) and job.combiner is None else OBJECTS


def attributes(value: object) -> list[Any]:
    """The values of an object's attributes, or of a dict."""
    return list((value if isinstance(value, dict) else getattr(value, "__dict__", {})).values())


def function_name(function: Function | External | None) -> str:
    """Name a function for a person, as in "wordcount.WordCount.map"; None is the input."""
    if function is None:
        return "the input"
    if isinstance(function, External):
        return "the external program"
    return name_of(function)
