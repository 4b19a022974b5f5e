"""What the engine is told about a job: resolved functions and values, nothing left to look up.

Travels to the task processes as cloudpickle bytes, once for each stage and process; each task has its own copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kvproto.inputs.streams import name_of

__all__ = ["External", "InputChain", "JobSpec", "attributes", "function_name"]


@dataclass(frozen=True)
class External:
    """An external program where a function may stand: `files` as `kvproto.external` gives them, `params` for its stdin.

    limits  seconds by the names that `kvproto.ExternalProgram` has for them: start, idle, total, grace
    """

    files: dict[str, bytes]
    params: Any = None
    limits: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class InputChain:
    """How an input becomes entries.

    functions  input_stream functions, called one after the other as `kvproto.classic.task_io.chain_input` does;
               none: the entries are the lines (of a map), the pairs as they were kept (of a reduce)
    opens      whether the engine opens the url for the first of them; otherwise that one does
    """

    functions: tuple[Callable, ...] = ()
    opens: bool = True


@dataclass(frozen=True)
class JobSpec:
    """A job, ready to run.

    name                str, for messages
    map                 map(entry, params) -> iterable of pairs, External, or None: the reduce reads the inputs
    reduce              reduce(iter, params) -> iterable of pairs, reduce(iter, out, params), External, or None: map only
    combiner            combiner(key, value, buffer, done, params) -> iterable of pairs or None; or None
    partition           partition(key, n_partitions, params) -> int; None is the default one, crc32 of the key
    n_partitions        int, at least 1: result files of the reduce; None: one, or of a reduce alone one for each label of its inputs
    map_init            init(input_iter, params), called once in each map task; or None. So is reduce_init
    map_input           InputChain; reduce_input: the same for what the maps wrote, or for the inputs of a reduce alone
    map_output_stream   output_stream functions that write the pairs; none: in the engine's own format. So is reduce_output_stream
    text                bool: entries are str, and readers get text files; else bytes, and binary files
    sort                bool: the reduce gets its pairs sorted by key, with sort_buffer_size, a str as for `sort -S`
    status_interval     int, entries from one status message to the next; 0: none
    free_names          called in each task: name -> what the functions find under it without an import
    required_modules    names of modules that the functions find likewise
    attempts            int, at least 1: how often a task is tried in all, where another try may mend its error
    trust               bool: pickles of other users and from the network are unpickled too
    keep_map            bool: what the maps wrote is kept as result files too, when there is a reduce
    save                save(job name, paths of the results) -> url of the tag under which it keeps them; or None
    profile             bool: each task is profiled
    params              any object, handed to each of the functions
    """

    name: str
    map: Callable | External | None
    reduce: Callable | External | None = None
    combiner: Callable | None = None
    partition: Callable | None = None
    n_partitions: int | None = 1
    map_init: Callable | None = None
    reduce_init: Callable | None = None
    map_input: InputChain = InputChain()
    reduce_input: InputChain = InputChain()
    map_output_stream: tuple[Callable, ...] = ()
    reduce_output_stream: tuple[Callable, ...] = ()
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

    def functions(self) -> Iterator[Callable]:
        """Yield all functions of the job, those that stand in its params as attributes included."""
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


def attributes(value) -> list:
    """The values of an object's attributes, or of a dict."""
    return list((value if isinstance(value, dict) else getattr(value, "__dict__", {})).values())


def function_name(function: Callable | External | None) -> str:
    """Name a job function for a person: "wordcount.WordCount.map", or "the external program"; None: "the input"."""
    if function is None:
        return "the input"
    if isinstance(function, External):
        return "the external program"
    return name_of(function)
