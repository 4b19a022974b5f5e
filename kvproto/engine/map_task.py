"""What a map task does, in a task process. Its results say where the data is.

A failing task leaves none of its output. Its error says which input and which entry it was at, as
far as that is known: where whole batches of pairs are handled, an earlier entry may be at fault.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

from kvproto.engine.bulk import FrameCombiner
from kvproto.engine.calls import Finished, MapCall
from kvproto.engine.context import TaskContext, in_task
from kvproto.engine.meter import Meter
from kvproto.engine.output import Output, map_output
from kvproto.engine.pair_source import PairSource, iterable
from kvproto.engine.reading import InputReader, UnreadInput
from kvproto.engine.set_aside import BadRecords, map_readable
from kvproto.engine.shuffle import route_frames, route_pairs
from kvproto.engine.spec import External, MapSpec, Pair
from kvproto.engine.task_body import explain_errors, run_program
from kvproto.errors import DataError, JobError, TooManyBadRecords, WorkerError
from kvproto.inputs.schemes import versions_read
from kvproto.protocol import native as _native
from kvproto.storage.records import FRAMES, read_batches
from kvproto.storage.results import Result
from kvproto.storage.spool_index import SpoolFile

__all__ = ["map_input", "map_task"]


def map_task(spec: MapSpec, shared: str, call: MapCall) -> Finished[SpoolFile | list[Result]]:
    """Run the map over the call's splits. Its files: one of the spool, or results."""
    if spec.skip_inputs:
        return _map_readable(spec, shared, call)
    return _map(spec, shared, call)


def _map(spec: MapSpec, shared: str, call: MapCall) -> Finished[SpoolFile | list[Result]]:
    versions_read.clear()
    task = TaskContext(shared, "map", call.number, [split.url for split in call.splits])
    meter = Meter("mapped", spec.status_interval)
    reader = _reader(spec, call, meter, task)
    bad = BadRecords(spec.max_bad, call.number, reader, meter) if spec.max_bad else None
    source = None if spec.in_frames else PairSource(_map_pairs(spec, reader, bad), spec.source)

    def place(error: BaseException) -> str | None:
        if isinstance(error, TooManyBadRecords):
            return None
        is_giving = source is not None and source.is_giving
        is_ours = isinstance(error, (DataError, JobError))
        if is_ours and not (is_giving or reader.has_failed):
            return None  # a file that cannot be written, say: no entry is at fault
        if isinstance(error, WorkerError) and isinstance(spec.map, External):
            where = reader.place_record(error)
            if where is not None:
                return where
        return reader.place(error, is_in_function=is_giving and not isinstance(spec.map, External))

    with (
        in_task(task, spec),
        meter,
        explain_errors(spec, place),
        map_output(spec, call.number, call.directory, call.index_in_file) as output,
    ):
        if source is not None:
            route_pairs(spec, source, output.encode, output)
        else:
            _map_frames(spec, reader, output, bad)
        meter.check()
        read = meter.n_bytes, meter.n_records, dict(versions_read)
        set_aside = [] if bad is None else bad.placed()
        return Finished(output.publish(), task.values, *read, dict(task.counters), set_aside)


def map_input(spec: MapSpec, shared: str, call: MapCall) -> Iterator[bytes]:
    """Yield what the external program of a map task reads: frames, cut anywhere."""
    task = TaskContext(shared, "map", call.number, [split.url for split in call.splits])
    meter = Meter("mapped", 0)
    with in_task(task, spec):
        yield from _reader(spec, call, meter, task).frames()
        meter.check()


def _map_readable(spec: MapSpec, shared: str, call: MapCall) -> Finished[SpoolFile | list[Result]]:
    """Run the map without the inputs that cannot be read, each time with fresh params."""
    import cloudpickle  # noqa: PLC0415  slow, not for all jobs

    data = cloudpickle.dumps(spec)

    def run(call: MapCall) -> Finished[SpoolFile | list[Result]]:
        return _map(pickle.loads(data), shared, call)

    return map_readable(run, partial(_unread, spec, shared), call, spec.attempts)


def _unread(spec: MapSpec, shared: str, call: MapCall) -> Iterator[UnreadInput]:
    """Read inputs without the map; yield the errors of those that cannot be read."""
    task = TaskContext(shared, "map", call.number, [])
    with in_task(task, spec):
        for split in call.splits:
            meter = Meter("mapped", 0)
            try:
                for _ in _reader(spec, call._replace(splits=[split]), meter, task).entries():
                    pass
                meter.check()
            except UnreadInput as e:
                yield e


def _reader(spec: MapSpec, call: MapCall, meter: Meter, task: TaskContext) -> InputReader:
    return InputReader(
        call.splits,
        spec.input,
        spec.params,
        meter,
        for_function=spec.map,
        init=spec.init,
        is_text=spec.text,
        unpack=spec.unpack,
        on_open=task.reads,
        skips=spec.skip_inputs,
    )


def _map_frames(spec: MapSpec, reader: InputReader, output: Output, bad: BadRecords | None) -> None:
    """Send what an external program answers to the partitions, as frames."""
    assert isinstance(spec.map, External)
    set_aside = None if bad is None else bad.add_failure
    with run_program("map", spec.map) as worker:
        if isinstance(spec.combiner, FrameCombiner):
            frames = worker.map_frames(reader.frames(), set_aside)
            route_frames(spec.combiner.combine_frames(frames), spec.n_partitions, output)
        else:
            worker.deal_frames("map", reader.frames(), spec.n_partitions, output.write, set_aside)


def _map_pairs(spec: MapSpec, reader: InputReader, bad: BadRecords | None) -> Iterator[Any]:
    """What the map gives, as Python objects."""
    if isinstance(spec.map, External):
        return chain.from_iterable(_batches_of_program(spec.map, reader, bad))
    other = partial(iterable, function=spec.map)
    failed = None if bad is None else bad.add_entry
    return _native.flat_map(spec.map, reader.entries(), spec.params, other, failed)


def _batches_of_program(
    program: External, reader: InputReader, bad: BadRecords | None
) -> Iterator[list[Pair]]:
    set_aside = None if bad is None else bad.add_failure
    with run_program("map", program) as worker:
        frames = worker.map_frames(reader.frames(), set_aside)
        yield from read_batches(FRAMES, frames, "the external program's output")
