"""The parameters of a job: a table of their names, types, defaults, checks and descriptions.

`Worker`, the command line, `help(Job.run)` and the documentation all use `TABLE`. A new parameter
is a new row.
"""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import fill
from typing import Any, NamedTuple

from kvproto.classic import checks
from kvproto.classic.func import default_partition
from kvproto.classic.params import Params
from kvproto.classic.task_io import chain_reader, task_input_stream, task_output_stream

__all__ = ["OF_RUN", "PARAMETERS", "SYNONYMS", "TABLE", "Parameter", "described", "markdown"]


class Parameter(NamedTuple):
    """A row of the table.

    Parameters
    ----------
    name : str
    type : str
        The type, in words, for numpydoc.
    default : object
    text : str
        What the parameter means, in Markdown.
    check : callable, optional
        ``check(name, value)`` returns the value that the job uses, or raises.
    shown : str, optional
        The default in words, where its ``repr`` says too little.
    old_names : tuple of str, optional
        The names that older programs use for this parameter.
    """

    name: str
    type: str
    default: Any
    text: str
    check: checks.Check = checks.unchanged
    shown: str = ""
    old_names: tuple[str, ...] = ()


_STREAMS = "sequence of functions"

_ROWS = (
    Parameter(
        "name",
        "str",
        None,
        "the beginning of the name of the job's directory",
        shown="the class's name",
    ),
    Parameter(
        "input",
        "str, path or list",
        None,
        "a list of inputs, or one input: a file, a directory, a pattern, or a URL with `file://`,"
        " `http://`, `https://`, `s3://`, `gs://`, `az://`, `raw://` (the data itself), `tag://` "
        "or `dir://`. A list in the list holds replicas of one input: if one fails, the task reads "
        "the next",
        shown="none: give one",
        old_names=("input_files",),
    ),
    Parameter(
        "map",
        "function or external program",
        None,
        "`map(entry, params)` returns or yields (key, value) pairs; or an external program",
        checks.program_or_function("entry, params"),
        shown="none: the reduce reads the inputs",
        old_names=("fun_map",),
    ),
    Parameter(
        "map_init",
        "function",
        None,
        "`map_init(input_iter, params)` is called once before the first entry. It may consume "
        "entries, or keep state in `params`. Each input is then a separate task",
        checks.function("input_iter, params"),
    ),
    Parameter(
        "map_input_stream",
        _STREAMS,
        (task_input_stream,),
        "functions `(stream, size, url, params)` that return a stream or (stream, size, url). Each "
        "one gets the stream of the one before. The last stream yields the entries",
        checks.functions,
        shown="opens the input",
    ),
    Parameter(
        "map_reader",
        "function",
        None,
        "`map_reader(fd, size, url, params)` returns the entries, as the last of the streams. One "
        "task then reads the whole input",
        checks.function(),
        shown="the lines",
    ),
    Parameter(
        "text",
        "bool",
        True,
        "whether entries are str. With `False` they are bytes, and readers get binary files, "
        "except for `raw://`, whose data is text",
        checks.flag,
    ),
    Parameter(
        "unpack",
        "bool",
        True,
        "whether inputs that are compressed with gzip, bzip2, xz or zstd are unpacked. With "
        "`False` readers get them as they are",
        checks.flag,
    ),
    Parameter(
        "map_output_stream",
        _STREAMS,
        (task_output_stream,),
        "functions `(stream, partition, url, params)` that return a stream. `add(key, value)` of "
        "the last stream writes the pairs",
        checks.functions,
        shown="kvproto's own format",
    ),
    Parameter(
        "combiner",
        "function",
        None,
        "`combiner(key, value, buffer, done, params)` returns pairs or `None`. `buffer` is a dict. "
        "At the end it is called with `done` true and no key, once for each partition that got a "
        "pair",
        checks.function("key, value, buffer, done, params"),
    ),
    Parameter(
        "partition",
        "function",
        default_partition,
        "`partition(key, nr_partitions, params)` returns a number from 0 to `nr_partitions` - 1. "
        "`hash(key) % nr_partitions` works too, because all tasks run with `PYTHONHASHSEED=0`",
        checks.function("key, nr_partitions, params"),
        shown="crc32 of the key",
    ),
    Parameter(
        "partitions",
        "int or None",
        1,
        "the number of partitions, at most 100,000. Each is one reduce task and one result file. "
        "With `None` there is one partition, or, in a reduce without a map, one for each label of "
        "the inputs. The results of a job are labelled with the number of their partition",
        checks.partitions,
        old_names=("nr_reduces",),
    ),
    Parameter(
        "merge_partitions",
        "bool",
        False,
        "whether one reduce task reads all partitions, as with `partitions=1`",
        checks.flag,
    ),
    Parameter(
        "sort",
        "bool",
        False,
        "whether the reduce gets its pairs in ascending order of their keys",
        checks.flag,
    ),
    Parameter(
        "sort_buffer_size",
        "str",
        "10%",
        "how much memory a sort may take, written as for `sort -S`: a share of all memory, or "
        "`64M`, `2G`",
        checks.buffer_size,
    ),
    Parameter(
        "reduce",
        "function or external program",
        None,
        "`reduce(iter, params)` returns or yields pairs; `reduce(iter, out, params)` calls "
        "`out.add(key, value)`; or an external program",
        checks.program_or_function("iter, params", "iter, out, params"),
        shown="`None`: map only",
    ),
    Parameter(
        "reduce_init",
        "function",
        None,
        "`reduce_init(input_iter, params)` is called once before the reduce. It may consume pairs",
        checks.function("input_iter, params"),
    ),
    Parameter(
        "reduce_input_stream",
        _STREAMS,
        (task_input_stream,),
        "like `map_input_stream`, for the output of the maps or, without a map, for the inputs",
        checks.functions,
        shown="opens the input",
    ),
    Parameter(
        "reduce_reader",
        "function",
        chain_reader,
        "`reduce_reader(fd, size, url, params)`, as the last of these streams. The default is "
        "`chain_reader`",
        checks.function(),
        shown="reads pairs",
    ),
    Parameter(
        "reduce_output_stream",
        _STREAMS,
        (task_output_stream,),
        "like `map_output_stream`, for the results",
        checks.functions,
        shown="kvproto's own format",
    ),
    Parameter(
        "params",
        "object",
        Params(),
        "any object, which each of these functions gets. Each task has its own copy",
    ),
    Parameter(
        "ext_params",
        "dict, str, bytes or None",
        {},
        "what external programs get on stdin before the first pair: a dict (a parameter set), str"
        " or bytes (sent unchanged), or `None` for nothing",
        checks.ext_params,
    ),
    Parameter(
        "ext_limits",
        "dict of str to float",
        {},
        "how many seconds an external program may take: `start`, `idle`, `total`, `grace`, and"
        " `pinpoint` (0: no search for the record at which a map fails), as for `ExternalProgram`",
        checks.ext_limits,
    ),
    Parameter(
        "status_interval",
        "int",
        100_000,
        "how many entries a task takes between two reports of its progress; 0: no reports",
        checks.interval,
    ),
    Parameter(
        "required_files",
        "sequence of paths, or dict of str to bytes",
        (),
        "paths, or `{name: contents}`: files for the working directory of the tasks. "
        '`ctypes.CDLL("mylib.so")` finds them there too',
        checks.required_files,
    ),
    Parameter(
        "required_modules",
        "sequence of str or (str, path)",
        None,
        "names of modules, or pairs of a name and the path of its file. The functions can use "
        "these modules without an import",
        checks.required_modules,
        shown="`None`: none",
    ),
    Parameter(
        "scheduler", "dict", {}, '`{"max_cores": n}`: at most n tasks at a time', checks.scheduler
    ),
    Parameter(
        "attempts",
        "int",
        3,
        "how many times a task is tried in all if its input or its worker program fails. Errors "
        "of functions fail the job at once",
        checks.attempts,
    ),
    Parameter(
        "max_bad_records",
        "int or str",
        0,
        "how many records the map may fail on: a number, or a share of the records such as "
        "`'0.01%'`. Such records are set aside, and `kvproto bad` shows them. With more of them "
        "the job fails",
        checks.max_bad_records,
    ),
    Parameter(
        "bad_inputs",
        "str",
        "fail",
        "what happens if an input of the map cannot be read or unpacked: with `fail` the job "
        "fails, with `skip` it leaves the input out and says so",
        checks.bad_inputs,
    ),
    Parameter(
        "speculate",
        "bool",
        True,
        "whether, on an engine other than `local`, the slowest tasks get a second attempt when 90 "
        "% of a stage is done and a process is free; the first success counts. Choose `False` if "
        "the functions write elsewhere. In a job with output streams it is always `False`",
        checks.flag,
    ),
    Parameter(
        "trust",
        "bool",
        False,
        "whether pickled inputs are read even if they belong to another user or come over http",
        checks.flag,
    ),
    Parameter(
        "keep_map",
        "bool",
        False,
        "whether to keep the output of the maps for `Job.mapresults()`, until the job is purged",
        checks.flag,
    ),
    Parameter(
        "save",
        "bool",
        False,
        "whether to keep the results under the tag `disco:results:JOB`, even when the job is "
        "purged",
        checks.flag,
        old_names=("save_results",),
    ),
    Parameter(
        "profile",
        "bool",
        False,
        "whether to profile each task, for `Job.profile_stats()`",
        checks.flag,
    ),
)

TABLE: dict[str, Parameter] = {row.name: row for row in _ROWS}
"""Name -> parameter, in the order of the documentation."""

PARAMETERS: dict[str, Any] = {row.name: row.default for row in _ROWS}
"""Name -> default."""

SYNONYMS = {old: row.name for row in _ROWS for old in row.old_names}
"""Name that older programs use -> parameter."""

OF_RUN = (
    Parameter(
        "processes",
        "int",
        None,
        "only in `run`: how many tasks run at a time. 0: they run in the process that calls `run`, "
        "where a debugger can stop them",
        shown="as many as there are cores",
    ),
    Parameter(
        "engine",
        "str or concurrent.futures.Executor",
        "local",
        "only in `run`: what runs the tasks. `local` is this machine, `dask://host:port` a Dask "
        "cluster, `ray` a Ray cluster on this machine and `ray://host:port` another one. An "
        "executor may be any `concurrent.futures.Executor` whose processes have kvproto installed "
        "and see the directory of the job",
        shown="this machine",
    ),
    Parameter(
        "store",
        "str or path",
        None,
        "only in `run`: where the tasks keep their files and the job its results: a directory "
        "that all machines of the job see, or a URL of an object store (`s3://bucket/path`, "
        "`gs://`, `az://`; needs `kvproto[object-store]`)",
        shown="the job's directory",
    ),
    Parameter(
        "on_event",
        "function",
        None,
        "only in `run`: a function that is called with each event, a dict. "
        "`kvproto.classic.progress.Progress()` shows them",
    ),
)
"""The parameters that only `Job.run` has."""


def markdown() -> str:
    """The table for the documentation; the parameters of `Job.run` alone are at the end."""
    rows = "".join(
        f"| `{row.name}` | {row.shown or f'`{row.default!r}`'} | {row.text} |\n"
        for row in (*_ROWS, *OF_RUN)
    )
    return f"| parameter | default | |\n| --- | --- | --- |\n{rows}"


def described(rows: Iterable[Parameter]) -> str:
    """The entries of a numpydoc section, indented for the docstring of a method."""
    indent = " " * 12
    return "".join(
        f"        {row.name} : {row.type}, default {row.shown or repr(row.default)}\n"
        f"{fill(row.text, 100, initial_indent=indent, subsequent_indent=indent)}\n"
        for row in rows
    )
