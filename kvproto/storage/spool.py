"""The shuffle's files: one for each map attempt, its partitions one behind the other.

A map task writes with `SpoolWriter`, which returns R segments (R + 1 offsets, pair counts, checksums); a
reduce task gets its own column of segments and reads each as a range.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from kvproto.errors import DataError
from kvproto.storage.files import BLOCK, naming, published
from kvproto.storage.held import MAX_HELD, Held

__all__ = ["Segment", "SpoolWriter", "read_segment"]


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
        self._held = Held(f"{path}.spill", n_partitions, max_held)
        self._n_bytes = [0] * n_partitions
        self._n_pairs = [0] * n_partitions
        self._crc = [0] * n_partitions

    def __enter__(self) -> SpoolWriter:
        return self

    def __exit__(self, *exc_info) -> None:
        self._file.__exit__(*exc_info)
        self._held.close()

    def write(self, partition: int, data: bytes, n_pairs: int) -> None:
        """Append data, n_pairs of records (the caller's count), to a partition."""
        self._n_bytes[partition] += len(data)
        self._n_pairs[partition] += n_pairs
        self._crc[partition] = crc32(data, self._crc[partition])
        self._held.add(partition, data)

    def publish(self) -> list[Segment]:
        """Write all, rename, and return the segment of each partition in order."""
        segments = []
        start = 0
        for partition in range(len(self._n_bytes)):
            for data in self._held.chunks(partition):
                self._file.write(data)
            n_bytes = self._n_bytes[partition]
            segments.append(
                Segment(
                    self._file.path, start, n_bytes, self._n_pairs[partition], self._crc[partition]
                )
            )
            start += n_bytes
        self._file.publish()
        return segments


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
