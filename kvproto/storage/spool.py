"""Spool files: one for each attempt of a map task, with a segment for each partition.

A map task writes with `SpoolWriter`. A reduce task reads the segments of its partition, one from
each map task. Segments that lie one after the other in a file are read as one range.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import FileIO, RawIOBase
from operator import itemgetter
from typing import Self, TypeVar

from kvproto.driver.source import FileRange
from kvproto.errors import DataError
from kvproto.protocol.native import crc32
from kvproto.storage.atomic import BLOCK, naming
from kvproto.storage.spool_index import (
    ColumnsInFiles,
    IndexPart,
    PackedColumns,
    Segment,
    SpoolFile,
    pack_index,
    packed_segments,
    unpack_index,
)
from kvproto.storage.store import is_object, store_of

__all__ = [
    "SpoolWriter",
    "read_columns",
    "read_parts",
    "read_segments",
    "segment_ranges",
]

BUFFER_SIZE = 32 << 20
LARGE_BUFFER = 128 << 20
"""Bytes of output that a task keeps in memory: 32 MiB, or 128 MiB if the index is in the file."""

_LARGE = 16  # times the bytes that are worth a request: what may be a range of its own

Data = TypeVar("Data", bytes, memoryview)


class SpoolWriter:
    """Writes a spool file, in any order of its columns.

    Its context discards the file unless it is published. Small pieces are collected in memory, and
    written in the order of the columns.

    Parameters
    ----------
    path : str
    n_columns : int
    buffer_size : int or None
        Bytes that are kept in memory. None: BUFFER_SIZE or LARGE_BUFFER. What exceeds it is written
        in rounds, each with a range for every column.
    in_rounds : bool
        Whether large pieces are kept, too, so that a round has one range for each column, and those
        lie in the order of the columns.
    index_in_file : bool
        Whether the index goes to the end of the file; otherwise the SpoolFile has it.
    """

    def __init__(
        self,
        path: str,
        n_columns: int,
        *,
        buffer_size: int | None = None,
        in_rounds: bool = False,
        index_in_file: bool = False,
    ) -> None:
        store = store_of(path)
        self._file = store.create(path)
        by_default = LARGE_BUFFER if index_in_file else BUFFER_SIZE
        self._buffer_size = by_default if buffer_size is None else buffer_size
        self._large = sys.maxsize if in_rounds else _LARGE * store.request_bytes
        self._index_in_file = index_in_file
        self._n_written = self._n_kept = 0
        self._kept: list[list[bytes]] = [[] for _ in range(n_columns)]
        self._ranges: list[list[tuple[int, int]]] = [[] for _ in range(n_columns)]
        self._n_pairs = [0] * n_columns
        self._crc = [0] * n_columns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.__exit__(*exc_info)

    def write(self, column: int, data: bytes | memoryview, n_pairs: int) -> None:
        """Append data, which contains or completes n_pairs pairs, to a column."""
        self._n_pairs[column] += n_pairs
        self._crc[column] = crc32(data, self._crc[column])
        if len(data) >= self._large:
            self._flush(column)
            self._append(column, data)
        elif data:
            self._kept[column].append(bytes(data))
            self._n_kept += len(data)
            if self._n_kept > self._buffer_size:
                self._flush_all()

    def publish(self) -> SpoolFile:
        """Complete the file."""
        self._flush_all()
        path, n_bytes, index = self._file.path, self._n_written, pack_index(self._segments())
        if self._index_in_file:
            self._file.write(index)
        self._file.publish()
        packed = b"" if self._index_in_file else index
        return SpoolFile(path, len(self._crc), n_bytes, packed, sum(self._n_pairs))

    def column_bytes(self) -> list[int]:
        """Return the bytes of each column, once the file is complete."""
        return [sum(n_bytes for _, n_bytes in ranges) for ranges in self._ranges]

    def _segments(self) -> list[Segment]:
        columns = zip(self._ranges, self._n_pairs, self._crc, strict=True)
        path = self._file.path
        return [Segment(path, tuple(ranges), n_pairs, crc) for ranges, n_pairs, crc in columns]

    def _flush_all(self) -> None:
        for column in range(len(self._kept)):
            self._flush(column)

    def _flush(self, column: int) -> None:
        kept = self._kept[column]
        for data in kept:
            self._append(column, data)
            self._n_kept -= len(data)
        kept.clear()

    def _append(self, column: int, data: bytes | memoryview) -> None:
        self._file.write(data)
        ranges = self._ranges[column]
        start, n_bytes = ranges[-1] if ranges else (0, 0)
        if ranges and start + n_bytes == self._n_written:
            ranges[-1] = (start, n_bytes + len(data))
        else:
            ranges.append((self._n_written, len(data)))
        self._n_written += len(data)


@contextmanager
def _opened(path: str, open_it: Callable[[], RawIOBase]) -> Iterator[RawIOBase]:
    with naming(path, "reading"):
        try:
            with open_it() as file:
                yield file
        except FileNotFoundError as e:
            raise DataError(_missing(path)) from e


def _missing(path: str) -> str:
    if is_object(path):
        return (
            f"spool file {path} does not exist: a rule of the bucket or another program has "
            "removed it; run the job again"
        )
    return (
        f"spool file {path} does not exist on {os.uname().nodename}: another program has removed "
        "it, or the machines of the job do not share its directory; run the job again"
    )


# --- indexes -----------------------------------------------------------------------------------


def read_columns(columns: PackedColumns | ColumnsInFiles) -> Iterator[list[Segment]]:
    """Yield the segments of columns, those of each file in a list.

    Raises DataError with the path when an index in a file is cut short or damaged.
    """
    if isinstance(columns, PackedColumns):
        yield from packed_segments(columns)
        return
    for part in columns.parts:
        path = os.path.join(columns.directory, part.name)
        yield unpack_index(path, part.n_columns, part.first, part.end, _reading(path, part))


def _reading(path: str, part: IndexPart) -> Callable[[int, int], bytes]:
    def read(start: int, n_bytes: int) -> bytes:
        data = b""
        opening = partial(store_of(path).open_range, path, part.at + start, n_bytes)
        with _opened(path, opening) as file:
            # In blocks: the size comes from the file.
            while len(data) < n_bytes and (more := file.read(min(BLOCK, n_bytes - len(data)))):
                data += more
        if len(data) < n_bytes:
            raise DataError(
                f"spool file {path} is cut short: {n_bytes - len(data)} bytes of its index, which "
                f"begins at offset {part.at}, are missing; run the job again"
            )
        return data

    return read


# --- segments ----------------------------------------------------------------------------------

_Piece = tuple[int, int, int]  # the number of a segment, offset and size of one of its ranges


def read_segments(segments: Sequence[Segment]) -> Iterator[bytes]:
    """Yield the bytes of segments in blocks.

    Raises DataError with the path, before the last block of a segment, when its file is cut short
    or damaged.
    """
    for _, _, data, _ in _blocks(segments, _pieces(segments), _read):
        yield data


def segment_ranges(segments: Sequence[Segment]) -> Iterator[bytes | FileRange]:
    """Yield the blocks of segments as ranges of their files, each valid until the next.

    Blocks of objects, which have no descriptor, are bytes. Raises DataError as `read_segments`.
    """
    room = memoryview(bytearray(BLOCK))  # reused: fresh memory costs page faults

    def read(file: RawIOBase, n_bytes: int) -> memoryview:
        return room[: file.readinto(room[:n_bytes]) or 0]

    for file, start, data, _ in _blocks(segments, _pieces(segments), read):
        is_file = isinstance(file, FileIO)
        yield FileRange(file.fileno(), start, len(data)) if is_file else bytes(data)


def read_parts(
    segments: Sequence[Segment], *, in_file_order: bool = False
) -> Iterator[tuple[int, memoryview]]:
    """Yield the bytes of segments as (number of the segment, data), as `read_segments` does.

    What lies in one piece in a file is one request. With `in_file_order`, segments of one file are
    read from its beginning to its end, with the fewest requests.
    """
    pieces = _pieces(segments)
    if in_file_order:
        pieces.sort(key=itemgetter(1))
    for _, _, _, parts in _blocks(segments, pieces, _read):
        yield from parts


def _read(file: RawIOBase, n_bytes: int) -> bytes:
    return file.read(n_bytes)


def _pieces(segments: Iterable[Segment]) -> list[_Piece]:
    return [
        (number, start, n_bytes)
        for number, segment in enumerate(segments)
        for start, n_bytes in segment.ranges
    ]


def _blocks(
    segments: Sequence[Segment],
    pieces: Sequence[_Piece],
    read: Callable[[RawIOBase, int], Data],
) -> Iterator[tuple[RawIOBase, int, Data, list[tuple[int, memoryview]]]]:
    """Yield (file, offset, data, its parts) of blocks, which are checked, in the order of pieces.

    A part is (number of the segment, data). A checksum is checked before its last block is given.
    """
    check = _Check(segments, pieces)
    extents = list(_extents(segments, pieces))
    files = store_of(extents[0][0]).open_ranges(extents) if extents else iter(())
    for path, start, n_bytes in extents:
        at, end = start, start + n_bytes
        with _opened(path, files.__next__) as file:
            while at < end:
                data = read(file, min(BLOCK, end - at))
                yield file, at, data, check.parts(data)
                at += len(data)


def _extents(
    segments: Sequence[Segment], pieces: Iterable[_Piece]
) -> Iterator[tuple[str, int, int]]:
    """Yield (path, offset, size) of what lies in one piece in a file, over several segments."""
    path, start, n_bytes = "", 0, 0
    for number, at, more in pieces:
        if segments[number].path == path and start + n_bytes == at:
            n_bytes += more
            continue
        if n_bytes:
            yield path, start, n_bytes
        path, start, n_bytes = segments[number].path, at, more
    if n_bytes:
        yield path, start, n_bytes


class _Check:
    """Cuts blocks into parts of segments, and checks each segment at its end."""

    def __init__(self, segments: Sequence[Segment], pieces: Iterable[_Piece]) -> None:
        self._segments = segments
        self._pieces = iter(pieces)
        self._crc = [0] * len(segments)
        self._n_missing = [segment.n_bytes for segment in segments]
        self._n_left = 0  # of the current piece
        for number, n_bytes in enumerate(self._n_missing):
            if not n_bytes:
                self._end(number)
        self._begin()

    def _begin(self) -> None:
        self._number, _, self._n_left = next(self._pieces, (0, 0, 0))

    def parts(self, data: bytes | memoryview) -> list[tuple[int, memoryview]]:
        """Return (number of the segment, data) of a block; without data, the file is cut short."""
        number, parts, left = self._number, [], memoryview(data)
        if not left:
            raise DataError(
                f"spool file {self._segments[number].path} is cut short: "
                f"{self._n_missing[number]} of the {self._place(number)} are missing; "
                "run the job again"
            )
        while left:
            number, part, left = self._number, left[: self._n_left], left[self._n_left :]
            parts.append((number, part))
            self._crc[number] = crc32(part, self._crc[number])
            self._n_missing[number] -= len(part)
            self._n_left -= len(part)
            if not self._n_missing[number]:
                self._end(number)
            if not self._n_left:
                self._begin()
        return parts

    def _end(self, number: int) -> None:
        segment = self._segments[number]
        if self._crc[number] != segment.crc:
            raise DataError(
                f"spool file {segment.path} is damaged: the checksum of the "
                f"{self._place(number)} is wrong; run the job again"
            )

    def _place(self, number: int) -> str:
        segment = self._segments[number]
        at = segment.ranges[0][0] if segment.ranges else 0
        return f"{segment.n_bytes} bytes from offset {at} on"
