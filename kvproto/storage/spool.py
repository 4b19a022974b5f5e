"""Spool files: one for each attempt of a map task, with a segment for each partition.

A map task writes with `SpoolWriter`, which returns its segments. A reduce task reads the segments
of its partition, one from each map task.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import FileIO
from typing import NamedTuple, Self
from zlib import crc32

from kvproto.errors import DataError
from kvproto.storage.atomic import BLOCK, naming, private, writing
from kvproto.storage.store import LOCAL, Store

__all__ = ["Partitions", "Segment", "SpoolWriter", "read_segment"]

BUFFER_SIZE = 32 << 20
"""Bytes of output that a task keeps in memory: 32 MiB."""


class Segment(NamedTuple):
    """The pairs of one partition in the output of one map task.

    Attributes
    ----------
    path : str
        The spool file.
    start, n_bytes : int
        The offset of the first byte in the file, and the number of bytes.
    n_pairs, crc : int
        The number of pairs, and the crc32 of the bytes.
    """

    path: str
    start: int
    n_bytes: int
    n_pairs: int
    crc: int


class SpoolWriter:
    """Collects the output of a map task by partition; `publish` writes it to the file `path`.

    Its context discards the output unless it is published.
    """

    def __init__(
        self, path: str, n_partitions: int, *, buffer_size: int = BUFFER_SIZE, store: Store = LOCAL
    ) -> None:
        self._file = store.create(path)
        self._partitions = Partitions(f"{path}.spill", n_partitions, buffer_size)
        self._n_bytes = [0] * n_partitions
        self._n_pairs = [0] * n_partitions
        self._crc = [0] * n_partitions

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.__exit__(*exc_info)
        self._partitions.close()

    def write(self, partition: int, data: bytes, n_pairs: int) -> None:
        """Append data, which has n_pairs pairs, to a partition."""
        self._n_bytes[partition] += len(data)
        self._n_pairs[partition] += n_pairs
        self._crc[partition] = crc32(data, self._crc[partition])
        self._partitions.add(partition, data)

    def publish(self) -> list[Segment]:
        """Write the file and return the segment of each partition, in order."""
        segments = []
        start = 0
        for partition, n_bytes in enumerate(self._n_bytes):
            for data in self._partitions.chunks(partition):
                self._file.write(data)
            n_pairs, crc = self._n_pairs[partition], self._crc[partition]
            segments.append(Segment(self._file.path, start, n_bytes, n_pairs, crc))
            start += n_bytes
        self._file.publish()
        return segments


def read_segment(segment: Segment, store: Store = LOCAL) -> Iterator[bytes]:
    """Yield the bytes of a segment in blocks.

    Raises DataError with the path when the file is cut short or damaged.
    """
    crc, left = 0, segment.n_bytes
    with (
        naming(segment.path, "reading"),
        store.open_range(segment.path, segment.start, segment.n_bytes) as file,
    ):
        while left:
            data = file.read(min(BLOCK, left))
            if not data:
                raise DataError(
                    f"spool file {segment.path} is cut short: {left} of the "
                    f"{segment.n_bytes} bytes at offset {segment.start} are missing"
                )
            crc = crc32(data, crc)
            left -= len(data)
            if not left and crc != segment.crc:
                raise DataError(
                    f"spool file {segment.path} is damaged: the checksum of the {segment.n_bytes} "
                    f"bytes at offset {segment.start} is wrong"
                )
            yield data


class Partitions:
    """Data of many partitions, added in any order: in memory up to a limit, then in a file.

    Parameters
    ----------
    path : str
        Where the file is created. It is unlinked at once, so that it disappears with this process.
    n_partitions : int
    buffer_size : int
        The limit in bytes.
    """

    def __init__(self, path: str, n_partitions: int, buffer_size: int = BUFFER_SIZE) -> None:
        self._path = path
        self._buffer_size = buffer_size
        self._n_buffered = 0
        self._in_memory: list[list[bytes]] = [[] for _ in range(n_partitions)]
        self._spilled: list[list[tuple[int, int]]] = [[] for _ in range(n_partitions)]
        self._file: FileIO | None = None

    def add(self, partition: int, data: bytes) -> None:
        """Append data to a partition."""
        self._in_memory[partition].append(data)
        self._n_buffered += len(data)
        if self._n_buffered > self._buffer_size:
            self._spill()

    def chunks(self, partition: int) -> Iterator[bytes]:
        """Yield all data of a partition, in order."""
        if self._file is not None:
            for start, n_bytes in self._spilled[partition]:
                yield from self._read(self._file, start, n_bytes)
        yield from self._in_memory[partition]

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self) -> None:
        with writing(self._path):
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._file = FileIO(private(self._path, flags), "r+")
                os.unlink(self._path)
            for chunks, spilled in zip(self._in_memory, self._spilled, strict=True):
                if chunks:
                    data = b"".join(chunks)
                    spilled.append((self._file.seek(0, os.SEEK_END), len(data)))
                    _write_all(self._file, data)
                    chunks.clear()
        self._n_buffered = 0

    def _read(self, file: FileIO, start: int, n_bytes: int) -> Iterator[bytes]:
        with naming(self._path, "reading"):
            file.seek(start)
            while n_bytes:
                data = file.read(min(BLOCK, n_bytes))
                if not data:
                    raise DataError(f"{self._path} was cut short while it was in use")
                n_bytes -= len(data)
                yield data


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
