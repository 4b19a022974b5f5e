"""The shuffle's files: one for each map attempt, its partitions one behind the other.

A map task writes with `SpoolWriter`, which returns R segments (R + 1 offsets, pair counts, checksums); a
reduce task gets its own column of segments and reads each as a range. What a map writes is held in
memory up to a limit, then in a second file, so that partitions may grow in any order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from kvproto.engine.files import BLOCK, naming, published
from kvproto.engine.private import private
from kvproto.errors import DataError

__all__ = ["MAX_HELD", "Segment", "SpoolWriter", "read_segment"]

MAX_HELD = 32 << 20
"""Bytes of output that a map task holds in memory: 32 MiB."""


class Segment(NamedTuple):
    """One partition of one map's output.

    path     str, the spool file
    start    int, offset of the first byte in it; n_bytes follow
    n_pairs  int, pairs in it
    crc      int, crc32 of the bytes
    """

    path: str
    start: int
    n_bytes: int
    n_pairs: int
    crc: int


class SpoolWriter:
    """Collect a map task's output by partition; `publish()` makes it the file `path` and returns its segments.

    Context manager: leaving it without publish() leaves no file.
    """

    def __init__(self, path: str, n_partitions: int, *, max_held: int = MAX_HELD) -> None:
        self._file = published(path)
        self._max_held = max_held
        self._n_held = 0
        self._held: list[list[bytes]] = [[] for _ in range(n_partitions)]
        self._spilled: list[list[tuple[int, int]]] = [[] for _ in range(n_partitions)]
        self._spill_path = f"{path}.spill"
        self._spill = None
        self._n_bytes = [0] * n_partitions
        self._n_pairs = [0] * n_partitions
        self._crc = [0] * n_partitions

    def __enter__(self) -> SpoolWriter:
        return self

    def __exit__(self, *exc_info) -> None:
        self._file.__exit__(*exc_info)
        if self._spill is not None:
            self._spill.close()
            self._spill = None

    def write(self, partition: int, data: bytes, n_pairs: int) -> None:
        """Append data, n_pairs of records (the caller's count), to a partition."""
        self._held[partition].append(data)
        self._n_bytes[partition] += len(data)
        self._n_pairs[partition] += n_pairs
        self._crc[partition] = crc32(data, self._crc[partition])
        self._n_held += len(data)
        if self._n_held > self._max_held:
            self._spill_held()

    def publish(self) -> list[Segment]:
        """Write all, rename, and return the segment of each partition in order."""
        segments = []
        start = 0
        for partition, held in enumerate(self._held):
            for at, n_bytes in self._spilled[partition]:
                self._copy_spilled(at, n_bytes)
            for data in held:
                self._file.write(data)
            n_bytes = self._n_bytes[partition]
            segments.append(
                Segment(self._file.path, start, n_bytes, self._n_pairs[partition], self._crc[partition])
            )
            start += n_bytes
        self._file.publish()
        return segments

    def _spill_held(self) -> None:
        with naming(self._spill_path, "writing"):
            if self._spill is None:
                self._spill = open(self._spill_path, "x+b", buffering=0, opener=private)
                os.unlink(self._spill_path)  # gone with its last descriptor, however this process ends
            for partition, held in enumerate(self._held):
                if held:
                    at = self._spill.seek(0, os.SEEK_END)
                    data = b"".join(held)
                    _write_all(self._spill, data)
                    self._spilled[partition].append((at, len(data)))
                    held.clear()
        self._n_held = 0

    def _copy_spilled(self, at: int, n_bytes: int) -> None:
        with naming(self._spill_path, "reading"):
            self._spill.seek(at)
            while n_bytes:
                data = self._spill.read(min(BLOCK, n_bytes))
                if not data:
                    raise DataError(f"{self._spill_path} was cut short while it was in use")
                self._file.write(data)
                n_bytes -= len(data)


def read_segment(segment: Segment) -> Iterator[bytes]:
    """Yield the bytes of a segment in blocks; DataError that names the file when it is short or damaged."""
    crc, left = 0, segment.n_bytes
    with naming(segment.path, "reading"), open(segment.path, "rb", buffering=0) as file:
        file.seek(segment.start)
        while left:
            data = file.read(min(BLOCK, left))
            if not data:
                raise DataError(
                    f"spool file {segment.path} is cut short: {left} bytes missing of the {segment.n_bytes} "
                    f"at offset {segment.start}"
                )
            crc = crc32(data, crc)
            left -= len(data)
            if not left and crc != segment.crc:
                raise DataError(
                    f"spool file {segment.path} is damaged: the {segment.n_bytes} bytes at offset {segment.start} "
                    "do not have their checksum"
                )
            yield data


def _write_all(file, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
