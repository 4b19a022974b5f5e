"""Result files: a header with the kind of records, the records, and a trailer with length, count and checksum.

Written aside and renamed, so that a name always stands for a whole file; a file that was cut or damaged
later is an error that names it, and one that is cut is refused before its first pair.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from kvproto.engine.files import BLOCK, naming, published
from kvproto.engine.records import FRAMES, OBJECTS, read_batches
from kvproto.errors import DataError

__all__ = ["Result", "ResultWriter", "read_result"]

_HEADERS = {FRAMES: b"kvproto result 1 frames\n", OBJECTS: b"kvproto result 1 objects\n"}
_TRAILER = Struct("<QQI8s")
_MAGIC = b"kvpr-end"


class Result(NamedTuple):
    """A result file that is there: its path, the bytes of its records, its pairs."""

    path: str
    n_bytes: int
    n_pairs: int


class ResultWriter:
    """Write the result file `path` with records of `kind`; it is there after `publish()`, which returns its Result."""

    def __init__(self, path: str, kind: str) -> None:
        self._file = published(path)
        self._file.write(_HEADERS[kind])
        self._n_bytes = self._n_pairs = self._crc = 0

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, *exc_info) -> None:
        self._file.__exit__(*exc_info)

    def write(self, data: bytes, n_pairs: int) -> None:
        """Append data, which holds or completes n_pairs pairs."""
        self._file.write(data)
        self._n_bytes += len(data)
        self._n_pairs += n_pairs
        self._crc = crc32(data, self._crc)

    def publish(self) -> Result:
        self._file.write(_TRAILER.pack(self._n_bytes, self._n_pairs, self._crc, _MAGIC))
        self._file.publish()
        return Result(self._file.path, self._n_bytes, self._n_pairs)


def read_result(path: str) -> Iterator[tuple]:
    """Yield the pairs of a result file: (bytes, bytes) from an external program, Python objects from a function.

    DataError names the file when it cannot be read, is no result file, was cut or damaged; a changed byte may
    show only at its place or at the end, after good pairs.
    """
    with naming(path, "reading"), open(path, "rb", buffering=0) as file:
        kind, n_bytes, n_pairs, crc = _read_frame_of_file(file, path)
        n_read = 0
        for batch in read_batches(kind, _checked_body(file, path, n_bytes, crc), f"result file {path}"):
            n_read += len(batch)
            yield from batch
        if n_read != n_pairs:
            raise DataError(f"result file {path} is damaged: {n_read} pairs in it, {n_pairs} were written")


def _read_frame_of_file(file, path: str) -> tuple[str, int, int, int]:
    """Check header and trailer against the file's size; leaves the file at its first record."""
    size = os.fstat(file.fileno()).st_size
    header = file.read(max(map(len, _HEADERS.values())))
    for kind, expected in _HEADERS.items():
        if header.startswith(expected):
            break
    else:
        raise DataError(f"{path} is not a result file of this version: it begins with {header!r}")
    file.seek(max(0, size - _TRAILER.size))
    trailer = file.read(_TRAILER.size)
    if len(trailer) == _TRAILER.size:
        n_bytes, n_pairs, crc, magic = _TRAILER.unpack(trailer)
        if magic == _MAGIC and len(expected) + n_bytes + _TRAILER.size == size:
            file.seek(len(expected))
            return kind, n_bytes, n_pairs, crc
    raise DataError(f"result file {path} is cut short or damaged: it does not end with its trailer; run the job again")


def _checked_body(file, path: str, n_bytes: int, crc: int) -> Iterator[bytes]:
    found = 0
    while n_bytes:
        data = file.read(min(BLOCK, n_bytes))
        if not data:
            raise DataError(f"result file {path} was cut short while it was read")
        n_bytes -= len(data)
        found = crc32(data, found)
        if not n_bytes and found != crc:
            raise DataError(f"result file {path} is damaged: its records do not have their checksum")
        yield data
