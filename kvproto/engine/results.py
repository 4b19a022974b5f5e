"""Result files: a header with the kind of records, the records, and a trailer with length, count and checksum.

Written aside and renamed, so that a name always stands for a whole file; a file that was cut or damaged
later is an error that names it, and one that is cut is refused before its first pair.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from kvproto.engine.files import BLOCK, naming, published
from kvproto.engine.records import FRAMES, OBJECTS, read_batches
from kvproto.errors import DataError

__all__ = ["Result", "ResultWriters", "read_result"]

_HEADERS = {FRAMES: b"kvproto result 1 frames\n", OBJECTS: b"kvproto result 1 objects\n"}
_TRAILER = Struct("<QQI8s")
_MAGIC = b"kvpr-end"


class Result(NamedTuple):
    """A result file that is there: its path, the bytes of its records, its pairs."""

    path: str
    n_bytes: int
    n_pairs: int


class ResultWriters:
    """Write one result file for each of paths, with records of `kind`; they are there after `publish()`.

    Context manager: leaving it without publish() leaves no file.
    """

    def __init__(self, paths: list[str], kind: str) -> None:
        with ExitStack() as opened:
            self._files = [opened.enter_context(published(path)) for path in paths]
            self._written = [[0, 0, 0] for _ in paths]  # bytes, pairs, crc
            for file in self._files:
                file.write(_HEADERS[kind])
            self._opened = opened.pop_all()

    def __enter__(self) -> ResultWriters:
        return self

    def __exit__(self, *exc_info) -> None:
        self._opened.close()

    def write(self, number: int, data: bytes, n_pairs: int) -> None:
        """Append data, which holds or completes n_pairs pairs, to file `number`."""
        self._files[number].write(data)
        written = self._written[number]
        written[0] += len(data)
        written[1] += n_pairs
        written[2] = crc32(data, written[2])

    def publish(self) -> list[Result]:
        """Close and rename all files; returns them in the order of paths."""
        results = []
        for file, (n_bytes, n_pairs, crc) in zip(self._files, self._written):
            file.write(_TRAILER.pack(n_bytes, n_pairs, crc, _MAGIC))
            file.publish()
            results.append(Result(file.path, n_bytes, n_pairs))
        return results


def read_result(path: str) -> Iterator[tuple]:
    """Yield the pairs of a result file: (bytes, bytes) from an external program, Python objects from a function.

    DataError names the file when it cannot be read, is no result file, was cut or damaged; a changed byte may
    show only at its place or at the end, after good pairs.
    """
    with naming(path, "reading"), open(path, "rb", buffering=0) as file:
        kind, n_bytes, n_pairs, crc = _read_ends(file, path)
        n_read = 0
        for batch in read_batches(kind, _checked_body(file, path, n_bytes, crc), f"result file {path}"):
            n_read += len(batch)
            yield from batch
        if n_read != n_pairs:
            raise DataError(f"result file {path} is damaged: {n_read} pairs in it, {n_pairs} were written")


def _read_ends(file, path: str) -> tuple[str, int, int, int]:
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
