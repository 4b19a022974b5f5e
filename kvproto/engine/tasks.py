"""What a map task and a reduce task do. Run in a task's process; what they return is small and says where the data is.

A failing task leaves none of its output, and its error says which input and which entry it was at.
"""

from __future__ import annotations

import inspect
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain, repeat
from typing import NamedTuple

from kvproto.engine.events import emit
from kvproto.engine.plan import Split
from kvproto.engine.reading import InputReader, Meter
from kvproto.engine.records import FRAMES, OBJECTS, read_batches
from kvproto.engine.results import Result, ResultWriters
from kvproto.engine.shuffle import Encoder, batches, is_default_routing, route_frames, route_pairs, write_counted
from kvproto.engine.spec import External, JobSpec, function_name
from kvproto.engine.spool import Segment, SpoolWriter, read_segment

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
    with _telling(reader.place), _map_writer(spec, call) as writer:
        if not isinstance(spec.map, External):
            pairs = chain.from_iterable(map(spec.map, reader.entries(), repeat(spec.params)))
            route_pairs(spec, pairs, _map_kind(spec), writer)
        elif is_default_routing(spec):
            route_frames(_external("map", spec.map, reader.frames()), spec.n_partitions, writer)
        else:
            lists = read_batches(FRAMES, _external("map", spec.map, reader.frames()), "the external program's output")
            route_pairs(spec, chain.from_iterable(lists), _map_kind(spec), writer)
        meter.tell()
        return writer.publish()


def reduce_task(spec: JobSpec, call: ReduceCall) -> list[Result]:
    """Run the reduce over one partition. Returns its result file."""
    meter = Meter()
    chunks = _chunks(call.segments, meter)
    path = os.path.join(call.directory, f"result-{call.partition:05d}")
    is_external = isinstance(spec.reduce, External)
    with _telling(lambda: f"partition: {call.partition}"):
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

    with ExternalProgram(program.files, mode=mode, params=program.params, on_message=tell) as running:
        with closing(running.map_frames(frames) if mode == "map" else running.reduce_frames(frames)) as output:
            yield from output


def _reduce_with(spec: JobSpec, pairs: Iterator[tuple], writer: ResultWriters) -> None:
    out = _Output(writer, spec.reduce)
    if _takes_output(spec.reduce):
        spec.reduce(pairs, out, spec.params)
    else:
        reduced = spec.reduce(pairs, spec.params)
        if reduced is None:
            raise TypeError(f"{function_name(spec.reduce)} returned None, not an iterable of (key, value) pairs")
        for batch in batches(reduced, lambda: out.encode.n_wanted, spec.reduce):
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
def _telling(place) -> Iterator[None]:
    """Add to an error of the body where the task was."""
    try:
        yield
    except Exception as e:
        e.add_note(place())
        raise
