"""What a map task and a reduce task do. Run in a task's process; what they return is small and says where the data is.

A failing task leaves none of its output, and its error says which input and which entry it was at, as far as
that is known: what is done with whole batches of pairs may fail for an earlier one.
"""

from __future__ import annotations

import inspect
import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from typing import NamedTuple

from kvproto.engine.events import emit
from kvproto.engine.files import is_full
from kvproto.engine.home import in_home
from kvproto.engine.plan import Split
from kvproto.engine.reading import InputReader, Meter
from kvproto.engine.records import FRAMES, OBJECTS, read_batches
from kvproto.engine.results import Result, ResultWriters
from kvproto.engine.shuffle import (
    Encoder,
    PairSource,
    is_default_routing,
    iterable,
    route_frames,
    route_pairs,
    write_counted,
)
from kvproto.engine.spec import External, JobSpec
from kvproto.engine.spool import Segment, SpoolWriter, read_segment
from kvproto.errors import DataError, JobError

__all__ = ["MapCall", "ReduceCall", "map_task", "reduce_task"]


class MapCall(NamedTuple):
    """A map task: its number and splits; `directory` is where its spool or result files go."""

    number: int
    splits: list[Split]
    directory: str


class ReduceCall(NamedTuple):
    """A reduce task: its partition and that column of the maps' segments, in map order."""

    partition: int
    segments: list[Segment]
    directory: str


def map_task(spec: JobSpec, call: MapCall) -> list[Segment] | list[Result]:
    """Run the map over the call's splits. Returns the segment of each partition; without a reduce, the results."""
    meter = Meter()
    reader = InputReader(spec, call.splits, meter)
    is_python = not isinstance(spec.map, External)
    if is_python:
        source = PairSource(chain.from_iterable(_mapped(spec, reader)), spec.map)
    else:
        output = _external("map", spec.map, reader.frames())
        lists = read_batches(FRAMES, output, "the external program's output")
        source = PairSource(chain.from_iterable(lists), spec.map)

    def place(error: Exception) -> str | None:
        is_ours = isinstance(error, (DataError, JobError))  # a file that cannot be written, say: that has nothing to do with an entry
        if is_ours and not (source.is_giving or reader.has_failed):
            return None
        return reader.place(is_in_map=is_python and source.is_giving)

    with _telling(place), _map_writer(spec, call) as writer:
        if is_default_routing(spec):
            route_frames(output, spec.n_partitions, writer)
        else:
            route_pairs(spec, source, _map_kind(spec), writer)
        meter.tell()
        return writer.publish()


def _mapped(spec: JobSpec, reader: InputReader) -> Iterator[Iterator]:
    """Call the map with each entry; yields what it gives for one, not yet taken from it."""
    function, params = spec.map, spec.params
    for entry in reader.entries():
        yield iterable(function(entry, params), function)


def reduce_task(spec: JobSpec, call: ReduceCall) -> list[Result]:
    """Run the reduce over one partition. Returns its result file."""
    meter = Meter()
    chunks = _chunks(call.segments, meter)
    path = os.path.join(call.directory, f"result-{call.partition:05d}")
    is_external = isinstance(spec.reduce, External)
    with _telling(lambda error: f"partition: {call.partition}"):
        with ResultWriters([path], FRAMES if is_external else OBJECTS) as writer:
            if is_external:
                write_counted(_external("reduce", spec.reduce, chunks), 0, writer)
            else:
                pairs = chain.from_iterable(read_batches(_map_kind(spec), chunks, "the spool"))
                _reduce_with(spec, pairs, writer)
            meter.tell()
            return writer.publish()


def _map_kind(spec: JobSpec) -> str:
    """The kind of records between map and reduce: frames where an external program is at either end."""
    if isinstance(spec.reduce, External):
        return FRAMES
    return FRAMES if isinstance(spec.map, External) and spec.combiner is None else OBJECTS


def _map_writer(spec: JobSpec, call: MapCall):
    if spec.reduce is None:
        names = [f"result-{call.number:05d}-{partition:05d}" for partition in range(spec.n_partitions)]
        return ResultWriters([os.path.join(call.directory, name) for name in names], _map_kind(spec))
    attempt = uuid.uuid4().hex[:8]  # another attempt of this task may be under way: the first success wins
    return SpoolWriter(os.path.join(call.directory, f"map-{call.number:05d}.{attempt}"), spec.n_partitions)


def _external(mode: str, program: External, frames: Iterable[bytes]) -> Iterator[bytes]:
    from kvproto.external import ExternalProgram  # only where one is run

    def tell(message) -> None:
        emit("message", kind=message.kind, text=str(message))

    try:
        with ExternalProgram(program.files, mode=mode, params=program.params, on_message=tell) as running:
            with closing(running.map_frames(frames) if mode == "map" else running.reduce_frames(frames)) as output:
                yield from output
    except OSError as e:
        if is_full(e):  # its directory is in the job's
            with in_home(tempfile.gettempdir()):
                raise
        raise


def _reduce_with(spec: JobSpec, pairs: Iterator[tuple], writer: ResultWriters) -> None:
    out = _Output(writer, spec.reduce)
    if _takes_output(spec.reduce):
        spec.reduce(pairs, out, spec.params)
    else:
        reduced = iterable(spec.reduce(pairs, spec.params), spec.reduce)
        for batch in PairSource(reduced, spec.reduce).batches(lambda: out.encode.n_wanted):
            out.write(batch)
    out.flush()


class _Output:
    """What a reduce of the form reduce(iter, out, params) adds its pairs to."""

    def __init__(self, writer: ResultWriters, function) -> None:
        self.encode = Encoder(OBJECTS, function)
        self._writer = writer
        self._held: list[tuple] = []

    def add(self, key, value) -> None:
        """Add a pair to the results."""
        self._held.append((key, value))
        if len(self._held) >= self.encode.n_wanted:
            self.flush()

    def write(self, batch: list[tuple]) -> None:
        self._writer.write(0, self.encode(batch), len(batch))

    def flush(self) -> None:
        if self._held:
            self.write(self._held)
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


def _chunks(segments: list[Segment], meter: Meter) -> Iterator[bytes]:
    for segment in segments:
        meter.n_records += segment.n_pairs
        for data in read_segment(segment):
            meter.add(len(data))
            yield data


@contextmanager
def _telling(place: Callable[[Exception], str | None]) -> Iterator[None]:
    """Add to an error of the body where the task was; None: that says nothing about this error."""
    try:
        yield
    except Exception as e:
        note = place(e)
        if note is not None:
            e.add_note(note)
        raise
