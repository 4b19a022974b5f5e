"""What a reduce task reads of the maps before it: segments of spool files, as bytes, or as files for the job's own input streams."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from kvproto.engine.meter import Meter
from kvproto.engine.plan import Split
from kvproto.storage.records import RAW
from kvproto.storage.results import as_result_file
from kvproto.storage.spool import Segment, read_segment

__all__ = ["segment_chunks", "segment_opener", "segment_splits"]


def segment_chunks(segments: Iterable[Segment], meter: Meter) -> Iterator[bytes]:
    """Yield the bytes of segments, one behind the other, in blocks."""
    for segment in segments:
        for data in read_segment(segment):
            meter.add(len(data))
            yield data


def segment_splits(segments: Iterable[Segment]) -> list[Split]:
    """Segments as splits, for an InputReader with `segment_opener`; empty ones are left out."""
    return [
        Split(segment.path, segment.start, segment.start + segment.n_bytes, segment.n_bytes)
        for segment in segments
        if segment.n_bytes
    ]


def segment_opener(segments: Iterable[Segment], kind: str) -> Callable[..., tuple[BinaryIO, int]]:
    """What opens the splits of `segment_splits`: open(url, start, end) -> (file, its size in bytes).

    The file is what the maps' output streams wrote (kind RAW); of records in the engine's own format it is a
    result file, which `chain_reader` reads.
    """
    found = {segment.path: segment for segment in segments}

    def open_segment(url: str, start: int, end: int | None) -> tuple[BinaryIO, int]:
        segment = found[url]
        chunks, size = read_segment(segment), segment.n_bytes
        if kind != RAW:
            chunks, size = as_result_file(
                kind, chunks, segment.n_bytes, segment.n_pairs, segment.crc
            )
        return io.BufferedReader(_Chunks(chunks), 1 << 16), size

    return open_segment


class _Chunks(io.RawIOBase):
    """A file that is made of an iterator of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self._left:
            data = next(self._chunks, None)
            if data is None:
                return 0
            self._left = memoryview(data)
        n_read = min(len(buffer), len(self._left))
        buffer[:n_read] = self._left[:n_read]
        self._left = self._left[n_read:]
        return n_read
