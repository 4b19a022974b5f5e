"""Whether the files that a task wrote are still there, with all their bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable

from kvproto.errors import DataError
from kvproto.protocol.native import crc32
from kvproto.storage.atomic import BLOCK
from kvproto.storage.results import OVERHEADS, TRAILER_BYTES, Result
from kvproto.storage.spool import read_columns, read_segments
from kvproto.storage.spool_index import SpoolFile, columns_of
from kvproto.storage.store import store_of

__all__ = ["first_damaged"]


def first_damaged(files: Iterable[SpoolFile | Result], *, with_content: bool) -> str | None:
    """Return the path of the first file that is missing or has another size; None if all are whole.

    With `with_content`, which reads them all, their checksums count too.
    """
    for file in files:
        try:
            n_bytes = store_of(file.path).status(file.path).n_bytes
            if isinstance(file, Result):
                is_whole = _is_result(file, n_bytes, with_content)
            else:
                is_whole = _is_spool_file(file, n_bytes, with_content)
        except (OSError, DataError):
            is_whole = False
        if not is_whole:
            return file.path
    return None


def _is_spool_file(file: SpoolFile, n_bytes: int, with_content: bool) -> bool:
    if file.n_bytes > n_bytes if file.packed else file.n_bytes >= n_bytes:
        return False
    if with_content:
        directory = os.path.dirname(file.path)
        for segments in read_columns(columns_of([file], directory, 0, file.n_columns)):
            for _ in read_segments(segments):
                pass
    return True


def _is_result(result: Result, n_bytes: int, with_content: bool) -> bool:
    has_size = n_bytes - result.n_bytes in OVERHEADS
    return has_size and (not with_content or _has_crc(result, n_bytes))


def _has_crc(result: Result, n_bytes: int) -> bool:
    n_around = n_bytes - result.n_bytes
    crc, n_left = 0, result.n_bytes
    start = n_around - TRAILER_BYTES if n_around else 0
    with store_of(result.path).open_range(result.path, start, n_left) as file:
        while data := file.read(min(BLOCK, n_left)):
            crc, n_left = crc32(data, crc), n_left - len(data)
    return crc == result.crc
