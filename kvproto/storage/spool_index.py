"""The indexes of spool files: where the segment of each column is, in 32 bytes.

A spool file has columns, numbered from 0; the segment of a column is what the file holds for it. In
the file of a map there is a column for each partition. In the file of a merge there is one for each
map of its group, partition by partition. An index is packed:

    heads    of each column: the number of its pairs (8 bytes), its crc32 combined with that of the
             file's name (4), how many further ranges this column and all before it have (4), and
             the offset and size of its first range (8 + 8)
    ranges   the further ones, in the order of the columns: offset and size (8 + 8)

The driver holds the indexes of a small job, and sends to each task the columns that it reads. In a
large job an index is at the end of its file. The driver then holds only where that is, and a task
reads the heads of its columns. A head of zeros or of another file does not fit its data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from struct import Struct
from typing import NamedTuple, TypeAlias
from zlib import crc32

from kvproto.errors import DataError

__all__ = [
    "ColumnsInFiles",
    "IndexPart",
    "PackedColumns",
    "Segment",
    "SpoolFile",
    "columns_of",
    "pack_index",
    "packed_segments",
    "unpack_index",
]

_HEAD = Struct("<qIIqq")
_RANGE = Struct("<qq")


class Segment(NamedTuple):
    """The data of one column of a spool file.

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


class SpoolFile(NamedTuple):
    """A complete spool file.

    Attributes
    ----------
    path : str
    n_columns : int
    n_bytes : int
        The bytes of all segments.
    packed : bytes
        The index; empty if it is in the file, after the segments.
    n_pairs : int
        The pairs of all segments.
    """

    path: str
    n_columns: int
    n_bytes: int
    packed: bytes
    n_pairs: int = 0

    def segments(self, first: int = 0, end: int | None = None) -> list[Segment]:
        """Return the segments of the columns from `first` to before `end`; all by default."""
        end = self.n_columns if end is None else end
        return unpack_index(self.path, self.n_columns, first, end, _reading(self.packed))


class IndexPart(NamedTuple):
    """Columns whose index is in the file: those from `first` to before `end`.

    Attributes
    ----------
    name : str
        The name of the file in its directory.
    at, n_columns : int
        The offset of the index in the file, and the number of all its columns.
    first, end : int
    """

    name: str
    at: int
    n_columns: int
    first: int
    end: int


class PackedColumns(NamedTuple):
    """The same columns of several spool files, in order, with their index."""

    directory: str
    names: tuple[str, ...]
    n_each: int
    packed: bytes


class ColumnsInFiles(NamedTuple):
    """Columns of several spool files, in order, whose index is in the files."""

    directory: str
    parts: tuple[IndexPart, ...]


Read: TypeAlias = Callable[[int, int], bytes]
"""read(start, n_bytes) -> a part of an index."""


def pack_index(segments: Iterable[Segment]) -> bytes:
    """Pack an index with these segments as its columns."""
    heads: list[bytes] = []
    further: list[tuple[int, int]] = []
    for path, of_path in groupby(segments, attrgetter("path")):
        salt = _salt(path)
        for _, ranges, n_pairs, crc in of_path:
            first = ranges[0] if ranges else (0, 0)
            further += ranges[1:]
            heads.append(_HEAD.pack(n_pairs, crc ^ salt, len(further), *first))
    return b"".join(heads + [_RANGE.pack(*of_file) for of_file in further])


def unpack_index(path: str, n_columns: int, first: int, end: int, read: Read) -> list[Segment]:
    """Read the segments of the columns from `first` to before `end`.

    Parameters
    ----------
    path : str
        The spool file.
    n_columns : int
        The number of all columns in the index.
    first, end : int
    read : callable
        read(start, n_bytes) -> bytes of the index. It is called once, or twice if there are further
        ranges.

    Raises
    ------
    DataError
        The index is damaged.
    """
    n_before = 1 if first else 0
    n_heads = n_before + end - first
    heads = list(_HEAD.iter_unpack(read((first - n_before) * _HEAD.size, n_heads * _HEAD.size)))
    begin = heads[0][2] if first else 0
    n_further = heads[-1][2] - begin
    if n_further < 0:
        raise _damaged(path)
    at = n_columns * _HEAD.size + begin * _RANGE.size
    further = list(_RANGE.iter_unpack(read(at, n_further * _RANGE.size))) if n_further else []
    salt, last, segments = _salt(path), 0, []
    for n_pairs, crc, until, start, n_bytes in heads[n_before:]:
        ranges = ((start, n_bytes), *further[last : until - begin]) if n_bytes else ()
        if any(number < 0 for of_file in ranges for number in of_file) or last > until - begin:
            raise _damaged(path)
        last = until - begin
        segments.append(Segment(path, ranges, n_pairs, crc ^ salt))
    return segments


def _damaged(path: str) -> DataError:
    return DataError(f"spool file {path} is damaged: its index is wrong; run the job again")


def _reading(packed: bytes) -> Read:
    return lambda start, n_bytes: packed[start : start + n_bytes]


def _salt(path: str) -> int:
    return crc32(os.path.basename(path).encode())


def columns_of(
    files: Sequence[SpoolFile], directory: str, first: int, end: int
) -> PackedColumns | ColumnsInFiles:
    """Return the columns from `first` to before `end` of each of several files.

    The driver holds the indexes of all the files, which are in `directory`, or of none.
    """
    names = tuple([os.path.basename(file.path) for file in files])
    if not all(file.packed for file in files):
        parts = [
            IndexPart(name, file.n_bytes, file.n_columns, first, end)
            for name, file in zip(names, files, strict=True)
        ]
        return ColumnsInFiles(directory, tuple(parts))
    start, stop = first * _HEAD.size, end * _HEAD.size
    if all(len(file.packed) == file.n_columns * _HEAD.size for file in files):
        index = b"".join([file.packed[start:stop] for file in files])
    else:
        index = pack_index(segment for file in files for segment in file.segments(first, end))
    return PackedColumns(directory, names, end - first, index)


def packed_segments(columns: PackedColumns) -> list[list[Segment]]:
    """Return the segments of columns with their index, those of each file in a list."""
    directory, names, n_each, packed = columns
    n_columns = len(names) * n_each
    return [
        unpack_index(
            os.path.join(directory, name),
            n_columns,
            number * n_each,
            (number + 1) * n_each,
            _reading(packed),
        )
        for number, name in enumerate(names)
    ]
