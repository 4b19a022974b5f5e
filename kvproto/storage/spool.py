"""Spool files: one for each attempt of a map task, with a segment for each partition.

A map task writes with `SpoolWriter`, which returns its segments. A reduce task reads the segments
of its partition, one from each map task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import RawIOBase
from typing import NamedTuple, Self, TypeVar

from kvproto.driver.source import FileRange
from kvproto.errors import DataError
from kvproto.protocol.native import crc32
from kvproto.storage.atomic import BLOCK, naming
from kvproto.storage.store import store_of

__all__ = ["Segment", "SpoolWriter", "read_segment", "segment_ranges"]

BUFFER_SIZE = 32 << 20
"""Bytes of output that a task keeps in memory: 32 MiB."""

_LARGE = 1 << 18  # bytes that are written at once

Data = TypeVar("Data", bytes, memoryview)


class Segment(NamedTuple):
    """The pairs of one partition in the output of one map task.

    Attributes
    ----------
    path : str
        The spool file.
    ranges : tuple of (int, int)
        The parts of the file that have its bytes, in order: the offset of the first byte, and the
        number of bytes.
    n_pairs, crc : int
        The number of pairs, and the crc32 of the bytes.
    """

    path: str
    ranges: tuple[tuple[int, int], ...]
    n_pairs: int
    crc: int

    @property
    def n_bytes(self) -> int:
        """The number of bytes."""
        return sum(n_bytes for _, n_bytes in self.ranges)


class SpoolWriter:
    """Writes the output of a map task, in any order of partitions, to the file `path`.

    Its context discards the file unless it is published. Small pieces are collected in memory.

    Parameters
    ----------
    path : str
    n_partitions : int
    buffer_size : int
        Bytes that are kept in memory.
    """

    def __init__(self, path: str, n_partitions: int, *, buffer_size: int = BUFFER_SIZE) -> None:
        self._file = store_of(path).create(path)
        self._buffer_size = buffer_size
        self._n_written = self._n_kept = 0
        self._kept: list[list[bytes]] = [[] for _ in range(n_partitions)]
        self._ranges: list[list[tuple[int, int]]] = [[] for _ in range(n_partitions)]
        self._n_pairs = [0] * n_partitions
        self._crc = [0] * n_partitions

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.__exit__(*exc_info)

    def write(self, partition: int, data: bytes | memoryview, n_pairs: int) -> None:
        """Append data, which contains or completes n_pairs pairs, to a partition."""
        self._n_pairs[partition] += n_pairs
        self._crc[partition] = crc32(data, self._crc[partition])
        if len(data) >= _LARGE:
            self._flush(partition)
            self._append(partition, data)
        elif data:
            self._kept[partition].append(bytes(data))
            self._n_kept += len(data)
            if self._n_kept > self._buffer_size:
                self._flush_all()

    def publish(self) -> list[Segment]:
        """Complete the file and return the segment of each partition, in order."""
        self._flush_all()
        self._file.publish()
        return [
            Segment(self._file.path, tuple(ranges), n_pairs, crc)
            for ranges, n_pairs, crc in zip(self._ranges, self._n_pairs, self._crc, strict=True)
        ]

    def _flush_all(self) -> None:
        for partition in range(len(self._kept)):
            self._flush(partition)

    def _flush(self, partition: int) -> None:
        kept = self._kept[partition]
        for data in kept:
            self._append(partition, data)
            self._n_kept -= len(data)
        kept.clear()

    def _append(self, partition: int, data: bytes | memoryview) -> None:
        self._file.write(data)
        ranges = self._ranges[partition]
        start, n_bytes = ranges[-1] if ranges else (0, 0)
        if ranges and start + n_bytes == self._n_written:
            ranges[-1] = (start, n_bytes + len(data))
        else:
            ranges.append((self._n_written, len(data)))
        self._n_written += len(data)


def read_segment(segment: Segment) -> Iterator[bytes]:
    """Yield the bytes of a segment in blocks.

    Raises DataError with the path, before the last block, when the file is cut short or damaged.
    """
    for _, _, data in _checked_blocks(segment, lambda file, n_bytes: file.read(n_bytes)):
        yield data


def segment_ranges(segment: Segment) -> Iterator[FileRange]:
    """Yield the blocks of a segment as ranges of its file, each valid until the next.

    Raises DataError as `read_segment` does.
    """
    room = memoryview(bytearray(BLOCK))  # reused: fresh memory costs page faults

    def read(file: RawIOBase, n_bytes: int) -> memoryview:
        return room[: file.readinto(room[:n_bytes]) or 0]

    for file, start, data in _checked_blocks(segment, read):
        yield FileRange(file.fileno(), start, len(data))


def _checked_blocks(
    segment: Segment, read: Callable[[RawIOBase, int], Data]
) -> Iterator[tuple[RawIOBase, int, Data]]:
    """Yield (file, offset, data) of each block; the checksum is checked before the last one."""
    crc, n_bytes = 0, segment.n_bytes
    n_left = n_bytes
    for start, n_bytes_of_range in segment.ranges:
        at, end = start, start + n_bytes_of_range
        with (
            naming(segment.path, "reading"),
            store_of(segment.path).open_range(segment.path, start, n_bytes_of_range) as file,
        ):
            while at < end:
                data = read(file, min(BLOCK, end - at))
                if not data:
                    raise DataError(
                        f"spool file {segment.path} is cut short: {n_left} of the {n_bytes} bytes "
                        f"from offset {segment.ranges[0][0]} on are missing"
                    )
                crc = crc32(data, crc)
                n_left -= len(data)
                if not n_left and crc != segment.crc:
                    raise DataError(
                        f"spool file {segment.path} is damaged: the checksum of the {n_bytes} "
                        f"bytes from offset {segment.ranges[0][0]} on is wrong"
                    )
                yield file, at, data
                at += len(data)
