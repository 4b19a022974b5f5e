"""Result files: a header, the records, and a trailer with their length, number and checksum.

A file that is cut short or damaged is an error that names it, and a cut is noticed before the first
pair. Files that output streams of a job wrote (RAW) have neither header nor trailer: see
`kvproto.storage.manifest`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from struct import Struct
from typing import Any, NamedTuple, Protocol, Self, TypeGuard

from kvproto.errors import DataError
from kvproto.protocol.native import crc32
from kvproto.storage.atomic import BLOCK
from kvproto.storage.records import FRAMES, OBJECTS, RAW, RESULT_HEAD, read_batches
from kvproto.storage.spool import SpoolWriter, read_segments
from kvproto.storage.spool_index import Segment
from kvproto.storage.store import Writer, store_of

__all__ = [
    "TRAILER_BYTES",
    "Result",
    "ResultWriters",
    "as_result_file",
    "decode_trailer",
    "new_attempt",
    "plain_name",
    "read_result_stream",
]

_HEADERS = {FRAMES: b"kvproto result 1 frames\n", OBJECTS: b"kvproto result 1 objects\n"}
_TRAILER = Struct("<QQI8s")
_MAGIC = b"kvpr-end"

TRAILER_BYTES = _TRAILER.size
"""The length of the trailer of a result file."""

OVERHEADS = {0, *(len(header) + TRAILER_BYTES for header in _HEADERS.values())}
"""Bytes that a result file has besides its records; 0 for files that output streams wrote."""


class Result(NamedTuple):
    """A complete result file: its path, the bytes, number and crc32 of its records."""

    path: str
    n_bytes: int
    n_pairs: int
    crc: int


class ResultWriters:
    """Writes result files, which its context discards unless they are published.

    Many files could need too many descriptors: then the data is collected in one file aside, and
    the result files are written one after the other.

    Parameters
    ----------
    paths : list of str
    kind : str
        The kind of the records.
    """

    def __init__(self, paths: list[str], kind: str) -> None:
        self._paths = paths
        self._header = _HEADERS.get(kind, b"")
        self._is_raw = kind == RAW
        self._written = [[0, 0, 0] for _ in paths]  # bytes, pairs, crc
        self._files: list[Writer] = []
        self._aside: SpoolWriter | None = None
        with ExitStack() as opened:
            if len(paths) > store_of(paths[0]).max_open:
                path = f"{paths[0]}.{os.urandom(4).hex()}.part"
                self._aside = opened.enter_context(SpoolWriter(path, len(paths)))
            else:
                self._files = [self._begin(path, opened) for path in paths]
            self._opened = opened.pop_all()

    def _begin(self, path: str, opened: ExitStack) -> Writer:
        file = opened.enter_context(store_of(path).create(path))
        file.write(self._header)
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._opened.close()

    def write(self, number: int, data: bytes | memoryview, n_pairs: int) -> None:
        """Append data, which contains or completes n_pairs pairs, to file `number`."""
        if self._aside is not None:
            self._aside.write(number, data, n_pairs)
            return
        self._files[number].write(data)
        written = self._written[number]
        written[0] += len(data)
        written[1] += n_pairs
        written[2] = crc32(data, written[2])

    def publish(self, *, on_disk: bool = False) -> list[Result]:
        """Complete all files; return them in the order of paths. `on_disk`: see `Writer`."""
        if self._aside is None:
            return [
                self._publish(file, n_bytes, n_pairs, crc, on_disk)
                for file, (n_bytes, n_pairs, crc) in zip(self._files, self._written, strict=True)
            ]
        segments = self._aside.publish().segments()
        with ExitStack() as removed:
            removed.callback(store_of(self._paths[0]).remove, segments[0].path)
            return [
                self._copied(path, segment, on_disk)
                for path, segment in zip(self._paths, segments, strict=True)
            ]

    def _copied(self, path: str, segment: Segment, on_disk: bool) -> Result:
        with ExitStack() as opened:
            file = self._begin(path, opened)
            for data in read_segments([segment]):
                file.write(data)
            return self._publish(file, segment.n_bytes, segment.n_pairs, segment.crc, on_disk)

    def _publish(self, file: Writer, n_bytes: int, n_pairs: int, crc: int, on_disk: bool) -> Result:
        if not self._is_raw:
            file.write(_TRAILER.pack(n_bytes, n_pairs, crc, _MAGIC))
        file.publish(on_disk=on_disk)
        return Result(file.path, n_bytes, n_pairs, crc)


def new_attempt() -> str:
    """Return an attempt's ending of the names of its files.

    Another attempt of the task may be running: two attempts never write the same file.
    """
    return os.urandom(4).hex()


def plain_name(path: str) -> str:
    """The name of a result file, without its directory and the ending of its attempt."""
    return os.path.basename(path).partition(".")[0]


class Source(Protocol):
    """A binary file; a read may return fewer bytes than requested, and returns none at the end."""

    def read(self, n_bytes: int, /) -> bytes: ...

    def seekable(self) -> bool: ...


class SeekableSource(Source, Protocol):
    """A seekable binary file."""

    def tell(self) -> int: ...

    def seek(self, offset: int, whence: int = 0, /) -> int: ...


def _is_seekable(file: Source) -> TypeGuard[SeekableSource]:
    return file.seekable()


def as_result_file(
    kind: str, chunks: Iterable[bytes], n_bytes: int, n_pairs: int, crc: int
) -> tuple[Iterator[bytes], int]:
    """Add header and trailer to records of `kind`; return the bytes of the file and its size."""
    header, trailer = _HEADERS[kind], _TRAILER.pack(n_bytes, n_pairs, crc, _MAGIC)
    return chain([header], chunks, [trailer]), len(header) + n_bytes + len(trailer)


def read_result_stream(
    file: Source, where: str, before_unpickling: Callable[[], None] | None = None
) -> Iterator[tuple[Any, Any]]:
    """Yield the pairs of a result file, from any binary file at its beginning.

    They are (bytes, bytes) from an external program, and Python objects from a function. Raises
    DataError with `where` for a file that is no result, is cut short or damaged. Before objects are
    unpickled, `before_unpickling` is called, which may raise an error. The trailer of a seekable
    file is checked first; for other files, damage may be noticed only after some pairs.
    """
    kind = _read_header(file, where)
    if kind == OBJECTS and before_unpickling is not None:
        before_unpickling()
    body = _Body(file, where)
    if _is_seekable(file):
        _check_trailer(file, where)
    n_read = 0
    for batch in read_batches(kind, body.chunks(), f"result file {where}"):
        n_read += len(batch)
        yield from batch
    if n_read != body.n_pairs:
        raise DataError(
            f"result file {where} is damaged: it has {n_read} pairs, but "
            f"{body.n_pairs} were written"
        )


def _read_header(file: Source, where: str) -> str:
    """Read the header: the kind of the records."""
    header = _read(file, len(RESULT_HEAD))
    while (
        header.startswith(RESULT_HEAD)
        and not header.endswith(b"\n")
        and len(header) < 40
        and (byte := file.read(1))
    ):
        header += byte
    for kind, expected in _HEADERS.items():
        if header == expected:
            return kind
    raise DataError(
        f"{where} is not a result file of this version: it begins with {header!r}", is_final=True
    )


def _check_trailer(file: SeekableSource, where: str) -> None:
    """Check that the file ends with its trailer; keep its position."""
    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(max(start, end - _TRAILER.size))
    trailer = _read(file, _TRAILER.size)
    file.seek(start)
    expected = (end - start - _TRAILER.size, _MAGIC)
    if len(trailer) < _TRAILER.size or _TRAILER.unpack(trailer)[::3] != expected:
        raise _cut(where)


def _cut(where: str) -> DataError:
    return DataError(
        f"result file {where} is cut short or damaged: it does not end with its trailer; "
        "run the job again"
    )


def _read(file: Source, n_bytes: int) -> bytes:
    """Read n_bytes, or fewer at the end. One read of a connection may return less."""
    data = b""
    while len(data) < n_bytes and (more := file.read(n_bytes - len(data))):
        data += more
    return data


def decode_trailer(data: bytes) -> tuple[int, int, int] | None:
    """Return the bytes, number and crc32 of the records by a trailer; None if it is not one."""
    if len(data) != TRAILER_BYTES or not data.endswith(_MAGIC):
        return None
    n_bytes, n_pairs, crc, _ = _TRAILER.unpack(data)
    return n_bytes, n_pairs, crc


class _Body:
    """The records of a file, checked against its trailer, which sets `n_pairs` at the end."""

    def __init__(self, file: Source, where: str) -> None:
        self._file = file
        self._where = where
        self.n_pairs = 0

    def chunks(self) -> Iterator[bytes]:
        """Yield the records, cut anywhere; the last piece only after the checksum was checked."""
        end = records = b""
        actual = n_bytes = 0
        while data := self._file.read(BLOCK):
            yield records
            end += data
            records, end = end[: -_TRAILER.size], end[-_TRAILER.size :]  # it may be the trailer
            actual = crc32(records, actual)
            n_bytes += len(records)
        if len(end) < _TRAILER.size:
            raise _cut(self._where)
        expected, self.n_pairs, crc, magic = _TRAILER.unpack(end)
        if magic != _MAGIC or n_bytes != expected:
            raise _cut(self._where)
        if actual != crc:
            raise DataError(
                f"result file {self._where} is damaged: the checksum of its records is wrong"
            )
        yield records
