"""Where the pairs of a task go: spool or result files, as records or by the job's output streams.

Batches of pairs go through an encoder to a writer. With output streams the encoder passes batches
on as they are, and the writer adds each pair to its partition's stream.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kvproto.engine.parts import BatchEncoder
from kvproto.engine.shuffle import Encoder
from kvproto.engine.spec import External, Function, MapSpec, Pair, ReduceSpec
from kvproto.engine.task_events import note_output
from kvproto.inputs.streams import chain_output
from kvproto.storage.records import FRAMES, OBJECTS, RAW
from kvproto.storage.results import ResultWriters, new_attempt
from kvproto.storage.spool import SpoolWriter

__all__ = ["Output", "map_output", "reduce_output"]


class Output:
    """The end of a task.

    Attributes
    ----------
    encode : BatchEncoder
        Makes of a batch of pairs what `write` takes.
    write : callable
        write(partition, data, n_pairs).
    """

    def __init__(
        self,
        writer: SpoolWriter | ResultWriters,
        kind: str,
        function: Function | External | None,
        streams: _Streams | None,
    ) -> None:
        self._writer = writer
        self._streams = streams
        self._owner = os.getpid()
        self.encode: BatchEncoder = _Unencoded() if streams else Encoder(kind, function)
        self.write: Callable[[int, Any, int], None] = (
            streams.write if streams is not None else writer.write
        )

    @property
    def has_streams(self) -> bool:
        """Whether pairs go through output streams of the job."""
        return self._streams is not None

    def stream(self, partition: int) -> _Counted | None:
        """The last output stream of a partition; None for a job without such streams."""
        return None if self._streams is None else _Counted(self._streams, partition)

    def publish(self) -> Any:
        """Close the streams and publish the files; return the SpoolFile, or a list of results."""
        if os.getpid() != self._owner:
            # A fork that came back from a job function: it would write the buffers a second time.
            os._exit(1)
        if self._streams is not None:
            self._streams.close()
        if isinstance(self._writer, SpoolWriter):
            file = self._writer.publish()
            note_output([file], self._writer.column_bytes())
            return file
        results = self._writer.publish()
        note_output(results)
        return results


@contextmanager
def map_output(spec: MapSpec, number: int, directory: str, index_in_file: bool) -> Iterator[Output]:
    """The output of map task `number`: its spool file, or without a reduce its result files."""
    opened: SpoolWriter | ResultWriters
    attempt = new_attempt()
    if spec.has_reduce:
        paths = [os.path.join(directory, f"map-{number:05d}.{attempt}")] * spec.n_partitions
        opened = SpoolWriter(paths[0], spec.n_partitions, index_in_file=index_in_file)
    else:
        paths = [
            os.path.join(directory, f"result-{number:05d}-{partition:05d}.{attempt}")
            for partition in range(spec.n_partitions)
        ]
        opened = ResultWriters(paths, spec.kind)
    with opened as writer:
        streams = _streams(spec.output_stream, writer, list(enumerate(paths)), spec.params)
        yield Output(writer, spec.kind, spec.combiner or spec.source, streams)


@contextmanager
def reduce_output(spec: ReduceSpec, partition: int, directory: str) -> Iterator[Output]:
    """The output of the reduce of a partition: its result file, number 0 of its writer."""
    path = os.path.join(directory, f"result-{partition:05d}.{new_attempt()}")
    kind = FRAMES if isinstance(spec.reduce, External) else OBJECTS
    with ResultWriters([path], RAW if spec.output_stream else kind) as writer:
        streams = _streams(spec.output_stream, writer, [(partition, path)], spec.params)
        yield Output(writer, kind, spec.reduce, streams)


def _streams(
    functions: tuple[Function, ...],
    writer: SpoolWriter | ResultWriters,
    files: list[tuple[int, str]],
    params: Any,
) -> _Streams | None:
    """A chain of streams for each of the writer's files, given as (partition, path)."""
    if not functions:
        return None
    return _Streams(
        writer,
        [
            chain_output(functions, _Sink(writer, number, path), partition, path, params)
            for number, (partition, path) in enumerate(files)
        ],
    )


class _Unencoded:
    """Stands where an encoder does, and leaves a batch as it is."""

    n_wanted = 1024

    def __call__(self, pairs: list[Pair]) -> list[Pair]:
        return pairs


class _Streams:
    """The output streams of a task, one for each of its writer's files."""

    def __init__(self, writer: SpoolWriter | ResultWriters, streams: list[Any]) -> None:
        self._writer = writer
        self._streams = streams

    def __getitem__(self, partition: int) -> Any:
        return self._streams[partition]

    def write(self, partition: int, pairs: list[Pair], n_pairs: int) -> None:
        add = self._streams[partition].add
        for key, value in pairs:
            add(key, value)
        self._writer.write(partition, b"", n_pairs)

    def close(self) -> None:
        for stream in self._streams:
            stream.close()


class _Counted:
    """The last output stream of a partition, which counts pairs as they are added."""

    def __init__(self, streams: _Streams, partition: int) -> None:
        self._streams = streams
        self._partition = partition

    def add(self, key: Any, value: Any) -> None:
        self._streams.write(self._partition, [(key, value)], 1)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._streams[self._partition], name)


class _Sink:
    """The file below a partition's output streams; `path` is where it will be in the end."""

    def __init__(self, writer: SpoolWriter | ResultWriters, number: int, path: str) -> None:
        self._writer = writer
        self._number = number
        self.path = path

    def write(self, data: bytes | str) -> int:
        """Append bytes, or str as UTF-8."""
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        self._writer.write(self._number, bytes(data), 0)
        return len(data)

    def close(self) -> None:
        """Nothing: the file is complete when the task is."""
