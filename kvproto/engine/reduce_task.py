"""What a reduce task does, in a task process. Its results say where the data is.

A failing task leaves none of its output. Its error says which input and which entry it was at, as
far as that is known: where whole batches of pairs are handled, an earlier entry may be at fault.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from sys import getsizeof
from typing import Any, cast

from kvproto.driver.source import FileRange
from kvproto.engine.bulk import FrameReduce, TypedReduce
from kvproto.engine.calls import Finished, ReduceCall
from kvproto.engine.context import TaskContext, in_task, pass_str_as_bytes
from kvproto.engine.meter import Meter
from kvproto.engine.output import Output, reduce_output
from kvproto.engine.pair_source import PairSource, check_finished, iterable
from kvproto.engine.plan import Split
from kvproto.engine.reading import InputReader, Opener, entry_frame
from kvproto.engine.segments import file_ranges, segment_chunks, segment_files
from kvproto.engine.sort import sort_frames, sort_pairs
from kvproto.engine.spec import External, Function, Pair, ReduceSpec, attributes
from kvproto.engine.task_body import explain_errors, run_program
from kvproto.inputs.schemes import open_input, versions_read
from kvproto.protocol.stream import FrameStream
from kvproto.storage.records import FRAMES, TYPED, read_batches
from kvproto.storage.results import Result
from kvproto.storage.spool import read_columns
from kvproto.storage.spool_index import Segment
from kvproto.storage.typed_records import Batch, pairs_in, read_typed

__all__ = ["reduce_input", "reduce_task"]


def reduce_task(spec: ReduceSpec, shared: str, call: ReduceCall) -> Finished[list[Result]]:
    """Run the reduce over one partition. Its file: the result."""
    segments = _segments(spec, call)
    versions_read.clear()
    task = _context(shared, call, segments)
    meter = Meter("reduced", spec.status_interval)
    reader = None if spec.is_direct else _reader(spec, call.splits, segments, meter)

    def place(error: BaseException) -> str:
        has_failed = reader is not None and reader.has_failed
        at = f"\n{reader.place(error, is_in_function=False)}" if reader and has_failed else ""
        return f"partition: {call.partition}{at}"

    with (
        in_task(task, spec),
        meter,
        explain_errors(spec, place),
        reduce_output(spec, call.partition, call.directory) as output,
    ):
        if isinstance(spec.reduce, External):
            _reduce_frames(spec.reduce, _input_of_program(spec, segments, meter, reader), output)
        elif spec.spool == FRAMES and isinstance(spec.reduce, FrameReduce) and _is_plain(spec):
            frames = _frames_to_reduce(spec, segments, meter, reader)
            _write_pairs(spec.reduce.reduce_frames(frames), spec, output)
        elif spec.spool == TYPED and isinstance(spec.reduce, TypedReduce) and _is_plain(spec):
            batches = _batches_to_reduce(spec, segments, meter)
            _write_pairs(spec.reduce.reduce_typed(batches), spec, output)
            meter.add_records(sum(segment.n_pairs for segment in segments))
        else:
            entries = _entries_to_reduce(spec, segments, meter, reader)
            _reduce_with(spec.reduce, spec, entries, output)
        meter.check()
        read = meter.n_bytes, meter.n_records, dict(versions_read)
        return Finished(output.publish(), task.values, *read, dict(task.counters))


def reduce_input(spec: ReduceSpec, shared: str, call: ReduceCall) -> Iterator[bytes]:
    """Yield what the external program of a reduce task reads: frames, cut anywhere."""
    segments = _segments(spec, call)
    meter = Meter("reduced", 0)
    reader = None if spec.is_direct else _reader(spec, call.splits, segments, meter)
    with in_task(_context(shared, call, segments), spec):
        yield from _frames_to_reduce(spec, segments, meter, reader)
        meter.check()


def _context(shared: str, call: ReduceCall, segments: list[Segment]) -> TaskContext:
    paths = list(dict.fromkeys(segment.path for segment in segments))
    return TaskContext(
        shared, "reduce", call.partition, paths or [split.url for split in call.splits]
    )


def _segments(spec: ReduceSpec, call: ReduceCall) -> list[Segment]:
    if call.columns is None:
        return []
    with explain_errors(spec, lambda error: f"partition: {call.partition}"):
        return list(chain.from_iterable(read_columns(call.columns)))


def _is_plain(spec: ReduceSpec) -> bool:
    """Whether no pair needs to become an object before it is reduced."""
    return spec.is_direct and spec.init is None


def _entries_to_reduce(
    spec: ReduceSpec, segments: list[Segment], meter: Meter, reader: InputReader | None
) -> Iterator[Any]:
    """What the reduce iterates over, after the call of its init, which may take some for itself."""
    if reader is None:
        assert spec.spool is not None
        batches = map(pairs_in, _batches_to_reduce(spec, segments, meter))
        entries: Iterator[Any] = chain.from_iterable(meter.watched(_counted(batches, meter)))
    elif spec.sort:
        unsorted = PairSource(reader.entries(), spec.source).batches(lambda: 1024)
        batches = map(pairs_in, _sorted(unsorted, spec))
        entries = chain.from_iterable(meter.watched(batches))
    else:
        entries = meter.watched(reader.entries())
    if spec.init is not None:
        returned = spec.init(entries, spec.params)
        if returned is not entries:
            check_finished(returned, spec.init)
        pass_str_as_bytes(attributes(spec.params))
    return entries


def _batches_to_reduce(spec: ReduceSpec, segments: list[Segment], meter: Meter) -> Iterator[Batch]:
    """The pairs of the spool, sorted where the job wants it."""
    assert spec.spool is not None
    chunks, where = segment_chunks(segments, meter), "the spool"
    batches: Iterator[Batch] = (
        read_typed(chunks, where)
        if spec.spool == TYPED
        else read_batches(spec.spool, chunks, where)
    )
    return _sorted(batches, spec) if spec.sort else batches


def _sorted(batches: Iterable[Batch], spec: ReduceSpec) -> Iterator[Batch]:
    return sort_pairs(batches, spec.sort_buffer_size, tempfile.gettempdir())


def _frames_to_reduce(
    spec: ReduceSpec, segments: list[Segment], meter: Meter, reader: InputReader | None
) -> Iterator[bytes]:
    """The same as frames, cut anywhere."""
    if reader is not None or spec.init is not None:
        for number, entry in enumerate(_entries_to_reduce(spec, segments, meter, reader)):
            yield entry_frame(entry, number, spec.source)
        return
    chunks = segment_chunks(segments, meter)
    if spec.sort:
        blocks = sort_frames(chunks, spec.sort_buffer_size, tempfile.gettempdir())
        yield from _counted_frames(blocks, meter)
        return
    yield from chunks
    meter.add_records(sum(segment.n_pairs for segment in segments))


def _input_of_program(
    spec: ReduceSpec, segments: list[Segment], meter: Meter, reader: InputReader | None
) -> Iterator[bytes | FileRange]:
    """The same for an external program: as ranges of the spool where they are read as they are."""
    if spec.sort or reader is not None or spec.init is not None:
        yield from _frames_to_reduce(spec, segments, meter, reader)
    else:
        yield from file_ranges(segments, meter)
        meter.add_records(sum(segment.n_pairs for segment in segments))


def _reader(
    spec: ReduceSpec, splits: list[Split], segments: list[Segment], meter: Meter
) -> InputReader:
    """What reads inputs, or the spool by the job's own input streams."""
    opener = cast(Opener, open_input)
    if spec.spool is not None:
        splits, opener = segment_files(segments, spec.spool)
    return InputReader(
        splits,
        spec.input,
        spec.params,
        meter,
        for_function=spec.reduce,
        is_text=spec.text,
        unpack=spec.unpack and spec.spool is None,
        opener=opener,
    )


def _counted(batches: Iterable[list[Pair]], meter: Meter) -> Iterator[list[Pair]]:
    for batch in batches:
        meter.add_records(len(batch))
        yield batch


def _counted_frames(blocks: Iterable[bytes], meter: Meter) -> Iterator[bytes]:
    """Yield blocks of whole frames, and count the pairs in them."""
    stream = FrameStream(with_lists=False)
    n_before = 0
    for block in blocks:
        stream.check(block)
        meter.add_records(stream.n_pairs - n_before)
        n_before = stream.n_pairs
        yield block


def _reduce_frames(reduce: External, frames: Iterator[bytes | FileRange], output: Output) -> None:
    with run_program("reduce", reduce) as worker:
        if not output.has_streams:
            worker.deal_frames("reduce", frames, 1, output.write)
            return
        frames_out = worker.reduce_frames(frames)
        for pairs in read_batches(FRAMES, frames_out, "the external program's output"):
            output.write(0, pairs, len(pairs))


def _reduce_with(
    reduce: Function, spec: ReduceSpec, entries: Iterator[Any], output: Output
) -> None:
    if _takes_output(reduce):
        stream = output.stream(0)
        out = _Out(output) if stream is None else stream
        returned = reduce(entries, out, spec.params)
        if isinstance(out, _Out):
            out.flush()
        check_finished(returned, reduce)
        return
    _write_pairs(iterable(reduce(entries, spec.params), reduce), spec, output)


def _write_pairs(pairs: Iterator[Pair], spec: ReduceSpec, output: Output) -> None:
    for batch in PairSource(pairs, spec.reduce).batches(lambda: output.encode.n_wanted):
        output.write(0, output.encode(batch), len(batch))


_LARGE = 1 << 16  # bytes of a value that is not kept together with a thousand others


class _Out:
    """What a reduce(iter, out, params) adds pairs to, in a job without output streams."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._pairs: list[Pair] = []

    def add(self, key: Any, value: Any) -> None:
        """Add a pair to the results."""
        self._pairs.append((key, value))
        if len(self._pairs) >= self._output.encode.n_wanted or getsizeof(value) > _LARGE:
            self.flush()

    def flush(self) -> None:
        if self._pairs:
            self._output.write(0, self._output.encode(self._pairs), len(self._pairs))
            self._pairs = []


def _takes_output(reduce: Function) -> bool:
    """Whether a reduce has the form with three arguments: the third one has no default."""
    required = [
        parameter
        for parameter in inspect.signature(reduce).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    return len(required) >= 3
