"""A journal: records that are appended to a file one by one, so that a crash costs the last one.

A record is 12 bytes and its content: u32 length, u32 crc32 of the content, u32 crc32 of these 8
bytes, all little-endian. A record that ends before its length says, and zero bytes to the end of
the file, are what a crash leaves behind: the journal ends before them. Anything else that does not
fit is damage.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from struct import Struct
from zlib import crc32

from kvproto.errors import DataError
from kvproto.storage.atomic import naming, open_regular, private
from kvproto.storage.home import in_home

__all__ = ["JournalFile", "framed", "parsed", "read_journal"]

_HEAD = Struct("<II")
_CHECK = Struct("<I")
_N_HEAD = _HEAD.size + _CHECK.size


class JournalFile:
    """Appends records to the journal `path`, which the first one creates.

    Errors are JobErrors that name the file.

    Parameters
    ----------
    path : str
    n_bytes : int
        The bytes of its complete records, as `read_journal` returns it; what follows is cut off.
    """

    def __init__(self, path: str, n_bytes: int = 0) -> None:
        self._path = path
        self._n_bytes = n_bytes
        self._fd: int | None = None

    def append(self, records: Iterable[bytes]) -> None:
        """Append records."""
        with in_home(self._path):
            if self._fd is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                self._fd = private(self._path, flags)
                os.ftruncate(self._fd, self._n_bytes)
            data = memoryview(framed(records))
            while data:
                data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def framed(records: Iterable[bytes]) -> bytes:
    """Return records as they are in the file."""
    data = []
    for record in records:
        head = _HEAD.pack(len(record), crc32(record))
        data += [head, _CHECK.pack(crc32(head)), record]
    return b"".join(data)


def read_journal(path: str) -> tuple[list[bytes], int]:
    """Return the complete records of a journal, and the number of their bytes in the file.

    Raises DataError with the path and the offset if it is damaged, or if it cannot be read.
    """
    with naming(path, "reading"), open_regular(path) as file:
        return parsed(file.read(), path)


def parsed(content: bytes, path: str) -> tuple[list[bytes], int]:
    """Return the same of the content of a journal."""
    data = memoryview(content)
    records, at = [], 0
    while len(data) - at >= _N_HEAD:
        head, start = data[at : at + _HEAD.size], at + _N_HEAD
        n_bytes, crc = _HEAD.unpack(head)
        if crc32(head) != _CHECK.unpack(data[at + _HEAD.size : start])[0]:
            if any(data[at:]):
                raise _damaged(path, at)
            break  # blocks that were not written before the machine stopped
        end = start + n_bytes
        if end > len(data):
            break
        if crc32(data[start:end]) != crc:
            if any(data[end:]) or any(data[end - 1 : end]):
                raise _damaged(path, at)
            break
        records.append(bytes(data[start:end]))
        at = end
    return records, at


def _damaged(path: str, at: int) -> DataError:
    return DataError(f"{path} is damaged: the checksum of the record at byte {at} is wrong")
