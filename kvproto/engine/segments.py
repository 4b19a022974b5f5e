"""What a reduce reads after a map: segments of spool files.

They are bytes or ranges of files, all in one go, or files for the input streams of the job.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import attrgetter, itemgetter
from typing import Any

from kvproto.driver.source import FileRange
from kvproto.engine.meter import Meter
from kvproto.engine.plan import Split
from kvproto.engine.reading import Opener
from kvproto.inputs.unpacking import PiecesFile
from kvproto.storage.records import RAW
from kvproto.storage.results import as_result_file
from kvproto.storage.spool import read_parts, read_segments, segment_ranges
from kvproto.storage.spool_index import Segment

__all__ = ["file_ranges", "segment_chunks", "segment_files"]


def segment_chunks(segments: Sequence[Segment], meter: Meter) -> Iterator[bytes]:
    """Yield the bytes of segments, one after the other, in blocks."""
    for data in read_segments(segments):
        meter.add(len(data))
        yield data


def file_ranges(segments: Sequence[Segment], meter: Meter) -> Iterator[bytes | FileRange]:
    """Yield the same blocks as ranges of the spool files."""
    for block in segment_ranges(segments):
        meter.add(len(block))
        yield block


def segment_files(segments: Iterable[Segment], kind: str) -> tuple[list[Split], Opener]:
    """Return segments as splits for an InputReader, and what opens them; empty ones are left out.

    The file is what the maps' output streams wrote (kind RAW); records in the engine's own format
    become a result file, which `chain_reader` reads. The splits must be opened in their order.
    """
    splits = []
    for path, of_file in _by_file(segments):
        for number, segment in enumerate(of_file):
            url = f"{path}#{number}" if number else path
            splits.append(Split(url, 0, segment.n_bytes, segment.n_bytes))
    contents = _contents(segments)

    def open_segment(url: str, start: int, end: int | None) -> tuple[Any, int | None]:
        segment, chunks = next(contents)
        size = segment.n_bytes
        if kind != RAW:
            chunks, size = as_result_file(kind, chunks, size, segment.n_pairs, segment.crc)
        return io.BufferedReader(PiecesFile(chunks), 1 << 16), size

    return splits, open_segment


def _by_file(segments: Iterable[Segment]) -> Iterator[tuple[str, list[Segment]]]:
    for path, of_file in groupby(segments, attrgetter("path")):
        yield path, [segment for segment in of_file if segment.n_bytes]


def _contents(segments: Iterable[Segment]) -> Iterator[tuple[Segment, Iterator[bytes]]]:
    """Yield each segment with its bytes, which must be read before the next one."""
    for _, of_file in _by_file(segments):
        parts = groupby(read_parts(of_file), itemgetter(0))
        # No more than these: the end of a segment that is not read to its end needs no reading.
        for number, of_segment in islice(parts, len(of_file)):
            yield of_file[number], (bytes(data) for _, data in of_segment)
