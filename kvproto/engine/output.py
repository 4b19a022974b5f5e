"""Where the pairs of a task go: spool or result files, in the engine's own records or as the job's output streams write them.

A pair goes through an encoder, batches at a time, to a writer: anything with `write(partition, data, n_pairs)` and
`publish()`. With output streams the encoder passes batches on and the writer adds each pair to its partition's stream.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kvproto.engine.shuffle import Encoder
from kvproto.engine.spec import External, JobSpec
from kvproto.inputs.streams import chain_output
from kvproto.storage.records import FRAMES, OBJECTS, RAW
from kvproto.storage.results import ResultWriters
from kvproto.storage.spool import SpoolWriter

__all__ = ["map_kind", "map_output", "reduce_output"]


class Output:
    """The end of a task.

    encode  makes of a batch of pairs what `write` takes; has n_wanted, the pairs that a batch should have
    write   (partition, data, n_pairs)
    """

    def __init__(self, writer, kind: str, function, streams: _Streams | None) -> None:
        self._writer = writer
        self._streams = streams
        self._owner = os.getpid()
        self.encode: Callable = _Unencoded() if streams else Encoder(kind, function)
        self.write: Callable = streams.write if streams else writer.write

    def stream(self, partition: int):
        """The last output stream of a partition, for a job that has such streams; what is added to it is counted."""
        return _Counted(self._streams, partition)

    def publish(self) -> list:
        """Close the streams and publish the files: segments of the spool, or results."""
        if os.getpid() != self._owner:
            os._exit(
                1
            )  # a fork that came back from a job function: it would write all that is held a second time
        if self._streams is not None:
            self._streams.close()
        return self._writer.publish()


def map_kind(spec: JobSpec) -> str:
    """The kind of records that a map writes: frames where an external program is at either end."""
    if spec.map_output_stream:
        return RAW
    if isinstance(spec.reduce, External):
        return FRAMES
    return FRAMES if isinstance(spec.map, External) and spec.combiner is None else OBJECTS


@contextmanager
def map_output(spec: JobSpec, number: int, directory: str) -> Iterator[Output]:
    """The output of map task `number`: its file in the spool; without a reduce, its result files. None without publish()."""
    if spec.reduce is None:
        names = [f"result-{number:05d}-{partition:05d}" for partition in range(spec.n_partitions)]
        paths = [os.path.join(directory, name) for name in names]
        opened = ResultWriters(paths, map_kind(spec))
    else:
        attempt = uuid.uuid4().hex[
            :8
        ]  # another attempt of this task may be under way: the first success wins
        paths = [os.path.join(directory, f"map-{number:05d}.{attempt}")] * spec.n_partitions
        opened = SpoolWriter(paths[0], spec.n_partitions)
    with opened as writer:
        streams = _streams(spec.map_output_stream, writer, list(enumerate(paths)), spec.params)
        yield Output(writer, map_kind(spec), spec.combiner or spec.map, streams)


@contextmanager
def reduce_output(spec: JobSpec, partition: int, directory: str) -> Iterator[Output]:
    """The output of the reduce of a partition: its result file, number 0 of its writer. None without publish()."""
    path = os.path.join(directory, f"result-{partition:05d}")
    kind = FRAMES if isinstance(spec.reduce, External) else OBJECTS
    with ResultWriters([path], RAW if spec.reduce_output_stream else kind) as writer:
        streams = _streams(spec.reduce_output_stream, writer, [(partition, path)], spec.params)
        yield Output(writer, kind, spec.reduce, streams)


def _streams(
    functions: tuple[Callable, ...], writer, files: list[tuple[int, str]], params
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

    def __call__(self, pairs: list) -> list:
        return pairs


class _Streams:
    """The output streams of a task, one for each of its writer's files."""

    def __init__(self, writer, streams: list) -> None:
        self._writer = writer
        self._streams = streams

    def __getitem__(self, partition: int):
        return self._streams[partition]

    def write(self, partition: int, pairs: list, n_pairs: int) -> None:
        add = self._streams[partition].add
        for key, value in pairs:
            add(key, value)
        self._writer.write(partition, b"", n_pairs)

    def close(self) -> None:
        for stream in self._streams:
            stream.close()


class _Counted:
    """The last output stream of a partition, whose pairs are counted as they are added."""

    def __init__(self, streams: _Streams, partition: int) -> None:
        self._streams = streams
        self._partition = partition

    def add(self, key, value) -> None:
        self._streams.write(self._partition, [(key, value)], 1)

    def __getattr__(self, name: str):
        return getattr(self._streams[self._partition], name)


class _Sink:
    """The file below a partition's output streams.

    path  str: where the data will be when the task has succeeded
    """

    def __init__(self, writer, number: int, path: str) -> None:
        self._writer = writer
        self._number = number
        self.path = path

    def write(self, data) -> int:
        """Append bytes, or str as UTF-8."""
        if isinstance(data, str):
            data = data.encode("utf-8", "surrogateescape")
        self._writer.write(self._number, bytes(data), 0)
        return len(data)

    def close(self) -> None:
        """Nothing: the file is whole when the task is."""
