"""What a map task and a reduce task do. Run in a task's process; what they return is small and says where the data is.

A failing task leaves none of its output, and its error says which input and which entry it was at, as far as
that is known: what is done with whole batches of pairs may fail for an earlier one.
"""

from __future__ import annotations

import inspect
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from sys import getsizeof
from types import GeneratorType
from typing import NamedTuple

from kvproto.engine.clibraries import pass_str_as_bytes
from kvproto.engine.context import TaskContext, running
from kvproto.engine.intermediate import segment_chunks, segment_opener, segment_splits
from kvproto.engine.meter import Meter
from kvproto.engine.output import Output, map_kind, map_output, reduce_output
from kvproto.engine.plan import Split
from kvproto.engine.program import run_program
from kvproto.engine.reading import InputReader, entry_frame
from kvproto.engine.shuffle import (
    PairSource,
    check_finished,
    is_default_routing,
    iterable,
    route_frames,
    route_pairs,
    write_counted,
)
from kvproto.engine.sort import sort_frames, sort_pairs
from kvproto.engine.spec import External, InputChain, JobSpec, attributes
from kvproto.errors import DataError, JobError
from kvproto.storage.records import FRAMES, read_batches
from kvproto.storage.results import Result
from kvproto.storage.spool import Segment

_ITERABLE = {GeneratorType, list, tuple}  # what maps give, nearly always

__all__ = ["MapCall", "ReduceCall", "map_task", "reduce_task"]


class MapCall(NamedTuple):
    """A map task: its number and splits; `directory` is where its spool or result files go."""

    number: int
    splits: list[Split]
    directory: str

    @property
    def label(self) -> str:
        """What it reads, for a person."""
        others = (
            f", or one of the {len(self.splits) - 1} others of this task"
            if len(self.splits) > 1
            else ""
        )
        return f"input: {self.splits[0].url}{others}"


class ReduceCall(NamedTuple):
    """A reduce task: its partition and what it reads: that column of the maps' segments, in map order, or splits of inputs."""

    partition: int
    segments: list[Segment]
    splits: list[Split]
    directory: str

    @property
    def label(self) -> str:
        """What it reads, for a person."""
        return f"partition: {self.partition}"


def map_task(spec: JobSpec, job_path: str, call: MapCall) -> list[Segment] | list[Result]:
    """Run the map over the call's splits. Returns the segment of each partition; without a reduce, the results."""
    task = TaskContext(job_path, "map", call.number, [split.url for split in call.splits])
    meter = Meter("mapped", spec.status_interval)
    reader = InputReader(
        call.splits,
        spec.map_input,
        spec.params,
        meter,
        for_function=spec.map,
        init=spec.map_init,
        is_text=spec.text,
        on_open=task.reads,
    )
    is_python = not isinstance(spec.map, External)
    if is_python:
        source = PairSource(chain.from_iterable(_mapped(spec, reader)), spec.map)
    else:
        frames = run_program("map", spec.map, reader.frames())
        lists = read_batches(FRAMES, frames, "the external program's output")
        source = PairSource(chain.from_iterable(lists), spec.map)

    def place(error: Exception) -> str | None:
        is_ours = isinstance(
            error, (DataError, JobError)
        )  # a file that cannot be written, say: that has nothing to do with an entry
        if is_ours and not (source.is_giving or reader.has_failed):
            return None
        return reader.place(is_in_function=is_python and source.is_giving)

    with (
        running(task, spec),
        meter,
        _telling(spec, place),
        map_output(spec, call.number, call.directory) as output,
    ):
        if is_default_routing(spec):
            route_frames(frames, spec.n_partitions, output)
        else:
            route_pairs(spec, source, output.encode, output)
        meter.check()
        return output.publish()


def _mapped(spec: JobSpec, reader: InputReader) -> Iterator[Iterator]:
    """Call the map with each entry; yields what it gives for one, not yet taken from it."""
    function, params = spec.map, spec.params
    for entry in reader.entries():
        given = function(entry, params)
        yield given if type(given) in _ITERABLE else iterable(given, function)


def reduce_task(spec: JobSpec, job_path: str, call: ReduceCall) -> list[Result]:
    """Run the reduce over one partition. Returns its result file."""
    urls = [segment.path for segment in call.segments] or [split.url for split in call.splits]
    task = TaskContext(job_path, "reduce", call.partition, urls)
    meter = Meter("reduced", spec.status_interval)
    reader = None if _is_direct(spec) else _reader(spec, call, meter)

    def place(error: Exception) -> str:
        at = (
            f"\n{reader.place(is_in_function=False)}"
            if reader is not None and reader.has_failed
            else ""
        )
        return f"partition: {call.partition}{at}"

    with running(task, spec), meter, _telling(spec, place):
        with reduce_output(spec, call.partition, call.directory) as output:
            if isinstance(spec.reduce, External):
                frames = run_program(
                    "reduce", spec.reduce, _frames_to_reduce(spec, call, meter, reader)
                )
                _write_frames(frames, spec, output)
            else:
                _reduce_with(spec, _entries_to_reduce(spec, call, meter, reader), output)
            meter.check()
            return output.publish()


def _entries_to_reduce(
    spec: JobSpec, call: ReduceCall, meter: Meter, reader: InputReader | None
) -> Iterator:
    """What the reduce iterates over, after the call of its init, which may take some for itself."""
    if reader is None:
        batches = read_batches(map_kind(spec), segment_chunks(call.segments, meter), "the spool")
        if spec.sort:
            batches = sort_pairs(batches, spec.sort_buffer_size, tempfile.gettempdir())
        entries: Iterator = chain.from_iterable(_counted(batches, meter))
    else:
        entries = reader.entries()
        if spec.sort:
            batches = PairSource(entries, (spec.map, *spec.reduce_input.functions)[-1]).batches(
                lambda: 1024
            )
            entries = chain.from_iterable(
                sort_pairs(batches, spec.sort_buffer_size, tempfile.gettempdir())
            )
    entries = meter.watched(entries)
    if spec.reduce_init is not None:
        given = spec.reduce_init(entries, spec.params)
        if given is not entries:
            check_finished(given, spec.reduce_init)
        pass_str_as_bytes(attributes(spec.params))
    return entries


def _frames_to_reduce(
    spec: JobSpec, call: ReduceCall, meter: Meter, reader: InputReader | None
) -> Iterator[bytes]:
    """The same for an external program, as frames cut anywhere."""
    if reader is not None or spec.reduce_init is not None:
        function = (spec.map, *spec.reduce_input.functions)[-1]
        for number, entry in enumerate(_entries_to_reduce(spec, call, meter, reader)):
            yield entry_frame(entry, number, function)
        return
    chunks = segment_chunks(call.segments, meter)
    if spec.sort:
        chunks = sort_frames(chunks, spec.sort_buffer_size, tempfile.gettempdir())
    yield from chunks
    meter.add_records(sum(segment.n_pairs for segment in call.segments))


def _is_direct(spec: JobSpec) -> bool:
    """Whether the reduce reads what the engine itself wrote, without a reader between."""
    return spec.map is not None and spec.reduce_input == InputChain() and not spec.map_output_stream


def _reader(spec: JobSpec, call: ReduceCall, meter: Meter) -> InputReader:
    if spec.map is None:
        return InputReader(
            call.splits,
            spec.reduce_input,
            spec.params,
            meter,
            for_function=spec.reduce,
            is_text=spec.text,
        )
    return InputReader(
        segment_splits(call.segments),
        spec.reduce_input,
        spec.params,
        meter,
        for_function=spec.reduce,
        is_text=spec.text,
        opener=segment_opener(call.segments, map_kind(spec)),
    )


def _counted(batches: Iterable[list], meter: Meter) -> Iterator[list]:
    for batch in batches:
        meter.add_records(len(batch))
        yield batch


def _write_frames(frames: Iterator[bytes], spec: JobSpec, output: Output) -> None:
    if not spec.reduce_output_stream:
        write_counted(frames, 0, output)
        return
    for pairs in read_batches(FRAMES, frames, "the external program's output"):
        output.write(0, pairs, len(pairs))


def _reduce_with(spec: JobSpec, entries: Iterator, output: Output) -> None:
    if _takes_output(spec.reduce):
        if spec.reduce_output_stream:
            given = spec.reduce(entries, output.stream(0), spec.params)
        else:
            out = _Out(output)
            given = spec.reduce(entries, out, spec.params)
            out.flush()
        check_finished(given, spec.reduce)
        return
    reduced = iterable(spec.reduce(entries, spec.params), spec.reduce)
    for batch in PairSource(reduced, spec.reduce).batches(lambda: output.encode.n_wanted):
        output.write(0, output.encode(batch), len(batch))


_LARGE = 1 << 16  # bytes of a value that is not held with a thousand others


class _Out:
    """What a reduce of the form reduce(iter, out, params) adds its pairs to where the job has no output streams."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._held: list[tuple] = []

    def add(self, key, value) -> None:
        """Add a pair to the results."""
        self._held.append((key, value))
        if len(self._held) >= self._output.encode.n_wanted or getsizeof(value) > _LARGE:
            self.flush()

    def flush(self) -> None:
        if self._held:
            self._output.write(0, self._output.encode(self._held), len(self._held))
            self._held = []


def _takes_output(reduce) -> bool:
    """Whether a reduce has the form with three arguments: it must have a third one that has no default."""
    required = [
        parameter
        for parameter in inspect.signature(reduce).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    return len(required) >= 3


@contextmanager
def _telling(spec: JobSpec, place: Callable[[Exception], str | None]) -> Iterator[None]:
    """Add to an error of the body where the task was, None: that says nothing about this error; and what entries are."""
    try:
        yield
    except Exception as e:
        note = place(e)
        if note is not None:
            e.add_note(note)
        if isinstance(e, (AttributeError, TypeError)) and _OF_TEXT.search(str(e)):
            is_text = (
                "are str: with text=False they are bytes"
                if spec.text
                else "are bytes, as the job has text=False"
            )
            e.add_note(f"the entries that the job reads {is_text}")
        raise


_OF_TEXT = re.compile(r"\bstr(ing)?\b.*\b(bytes|decode)\b|\bbytes\b.*\b(str(ing)?|encode|format)\b")
