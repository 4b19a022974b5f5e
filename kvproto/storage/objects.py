"""Objects: files in a bucket of an object store, at URLs such as `s3://bucket/name`.

An object appears when all of it is there, and never changes. `memory://` is a store within a
process, for tests. Failures are OSErrors that name the URL; see `object_client`.
"""

from __future__ import annotations

import errno
import io
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Self

from kvproto.storage.atomic import BLOCK, writing
from kvproto.storage.object_client import FEW_RETRIES, N_RETRIES, PastEnd, errors_of, request

if TYPE_CHECKING:
    from concurrent.futures import Future

    from _typeshed import WriteableBuffer
    from obstore import GetOptions, ObjectMeta, WritableFile

__all__ = ["SCHEMES", "ObjectReader", "ObjectStatus", "ObjectStore"]

SCHEMES = ("s3", "gs", "az", "memory")
"""The schemes of object stores: Amazon S3 and what speaks its protocol, Google, Azure, memory."""

_PART = 8 << 20  # bytes of a part of an upload; S3 allows 10,000 of them
_N_AHEAD = 8  # ranges that are requested while the first of them is read
_N_PARTS = 3  # that are on their way at a time


class ObjectStatus(NamedTuple):
    """The size of a file in bytes, and its version: another one means other content."""

    n_bytes: int
    version: str


class ObjectStore:
    """The objects of all stores, by URL; see `kvproto.storage.store.Store`."""

    max_open = 4  # uploads at a time, as each keeps several parts in memory
    request_bytes = 1 << 20  # 20 ms at 50 MB/s

    def create(self, path: str) -> _Upload:
        """Start an object, which appears when it is published."""
        return _Upload(path)

    def open_range(self, path: str, start: int = 0, n_bytes: int | None = None) -> ObjectReader:
        """Open an object at a byte, for n_bytes or to its end."""
        return ObjectReader(path, start, None if n_bytes is None else start + n_bytes)

    def open_ranges(self, ranges: Iterable[tuple[str, int, int]]) -> Iterator[ObjectReader]:
        """Open ranges, (path, start, n_bytes), one after the other; the next ones are requested."""
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (not for all jobs)

        left = iter(ranges)
        ahead: deque[tuple[ObjectReader, Future[None]]] = deque()
        with ThreadPoolExecutor(_N_AHEAD, "kvproto ahead") as pool:
            while True:
                for path, start, n_bytes in islice(left, _N_AHEAD - len(ahead)):
                    reader = self.open_range(path, start, n_bytes)
                    ahead.append((reader, pool.submit(reader.fetch)))
                if not ahead:
                    return
                reader, fetched = ahead.popleft()
                fetched.result()
                yield reader

    def put(self, path: str, data: bytes) -> None:
        """Write a small object; an object of this name is replaced."""
        with request(path) as (client, key):
            client.put(key, data)

    def put_new(self, path: str, data: bytes) -> bool:
        """Write a small object unless there is one with other content; return whether it did."""
        try:
            with request(path) as (client, key):
                client.put(key, data, mode="create")
        except FileExistsError:
            # An answer that was lost may have been that of this very request.
            return self.get(path) == data
        return True

    def get(self, path: str) -> bytes:
        """Return the content of a small object."""
        with request(path) as (client, key):
            return bytes(client.get(key).bytes())

    def status(self, path: str, n_retries: int = N_RETRIES) -> ObjectStatus:
        """Return the size and the version of an object."""
        with request(path, n_retries) as (client, key):
            return _status(client.head(key))

    def names(self, directory: str) -> list[str]:
        """List the names of the objects in a directory, without those of directories below it."""
        return [name for name, status in self.entries(directory) if status is not None]

    def entries(self, directory: str) -> list[tuple[str, ObjectStatus | None]]:
        """List the names in a directory with their status, which is None for a directory."""
        with request(directory) as (client, key):
            listed = client.list_with_delimiter(key or None)
        return [
            *((_base(path), None) for path in listed["common_prefixes"]),
            *((_base(one["path"]), _status(one)) for one in listed["objects"]),
        ]

    def walk(self, directory: str) -> Iterator[tuple[str, ObjectStatus]]:
        """Yield the URL and the status of each object below a directory, however deep."""
        with request(directory) as (client, key):
            base = directory.removesuffix(key)
            for chunk in client.list(key or None):
                yield from ((base + one["path"], _status(one)) for one in chunk)

    def remove(self, path: str) -> None:
        """Remove an object; one that does not exist is no error."""
        with suppress(FileNotFoundError), request(path) as (client, key):
            client.delete(key)

    def remove_tree(self, directory: str) -> None:
        """Remove all objects below a directory, which must not be a whole bucket."""
        with request(directory) as (client, key):
            if not key:
                raise OSError(errno.EINVAL, "a whole bucket is never removed", directory)
            for chunk in client.list(key, chunk_size=1000):
                client.delete([one["path"] for one in chunk])

    def check(self, directory: str) -> None:
        """Raise OSError, within seconds, if the store cannot be reached."""
        with request(directory, FEW_RETRIES) as (client, key):
            next(iter(client.list(key or None, chunk_size=1)), None)


def _status(one: ObjectMeta) -> ObjectStatus:
    return ObjectStatus(one["size"], one["e_tag"] or str(one["last_modified"]))


def _base(path: str) -> str:
    return path.rpartition("/")[2]


class _Upload:
    """An object that is being written. Its context discards it unless it is published.

    A small one is a single PUT, a large one an upload in parts. One that is killed leaves its parts
    in the bucket, invisible, until a rule of the bucket removes them.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._collected = bytearray()
        self._writer: WritableFile | None = None
        with writing(path), request(path) as (client, key):
            from obstore import open_writer  # noqa: PLC0415 (it is optional)

            self._writer = open_writer(client, key, buffer_size=_PART, max_concurrency=_N_PARTS)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append bytes."""
        if len(self._collected) + len(data) > BLOCK:
            self._flush()
        if len(data) > BLOCK:
            self._send(bytes(data))
        else:
            self._collected += data

    def publish(self, *, on_disk: bool = False) -> None:
        """Make the object appear."""
        self._flush()
        assert self._writer is not None
        with writing(self.path), errors_of(self.path):
            self._writer.close()
        self._writer = None

    def _flush(self) -> None:
        if self._collected:
            self._send(bytes(self._collected))
            self._collected.clear()

    def _send(self, data: bytes) -> None:
        """Write bytes that nothing changes: the library does not copy them."""
        assert self._writer is not None
        with writing(self.path), errors_of(self.path):
            self._writer.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._writer is not None:
            with suppress(Exception):  # it is discarded: only the first error counts
                self._writer.__exit__(InterruptedError, InterruptedError(), None)  # aborts
            self._writer = None


class ObjectReader(io.RawIOBase):
    """An object, or the bytes from `start` to `end` of it, as a file. It is read as one stream.

    The library resumes a stream that breaks. It is an error if the object was replaced meanwhile,
    or is not the one of `status`. Offsets count from the beginning of the object.
    """

    def __init__(
        self,
        path: str,
        start: int = 0,
        end: int | None = None,
        status: ObjectStatus | None = None,
    ) -> None:
        self.name = path
        self._at = start
        self._end = end
        self._status = status
        self._requested = 0
        self._stream: Iterator[bytes] | None = None
        self._chunk = memoryview(b"")
        self._whole = memoryview(b"")  # a small object, which is requested once

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: 0}[whence]
        if whence == os.SEEK_END:
            base = self.status().n_bytes
        if base + offset != self._at:
            self._at = base + offset
            self._stream, self._chunk = None, self._whole[self._at :]
        return self._at

    def status(self) -> ObjectStatus:
        """The size and the version of the whole object."""
        if self._status is None:
            with request(self.name) as (client, key):
                self._status = _status(client.head(key))
        return self._status

    def fetch(self) -> None:
        """Request what is read next, and wait for its beginning."""
        if not self._chunk:
            self._more()

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        while not self._chunk and view and self._more():
            pass
        n_read = min(len(view), len(self._chunk))
        view[:n_read] = self._chunk[:n_read]
        self._chunk = self._chunk[n_read:]
        self._at += n_read
        return n_read

    def _more(self) -> bool:
        """Take the next chunk; False at the end."""
        while True:
            if self._stream is None:
                self._stream = self._begin()
            self._chunk = memoryview(next(self._stream, b"")).cast("B")
            if len(self._chunk) == self._last():
                self._whole = self._chunk
            if self._chunk:
                return True
            if self._at < self._requested:
                raise OSError(errno.EIO, "the answer ended too early", self.name)
            if self._at >= self._last():
                return False
            self._stream = None

    def _last(self) -> int:
        """The offset after the last byte to read, as far as it is known."""
        n_bytes = 0 if self._status is None else self._status.n_bytes
        return n_bytes if self._end is None else min(self._end, n_bytes)

    def _begin(self) -> Iterator[bytes]:
        """Request the bytes from here on; at first only some, as often no more are read."""
        self._requested = 0
        end = self._end
        if end is not None and self._at >= end:
            return iter(())
        if end is None:
            end = _FIRST if self._status is None and not self._at else self._last()
        options: GetOptions = {"range": (self._at, end) if end else {"offset": self._at}}
        if self._status is not None and '"' in self._status.version:  # it is an ETag
            options["if_match"] = self._status.version
        if end and self._at >= end:
            return iter(())
        try:
            with request(self.name) as (client, key):
                result = client.get(key, options=options)
        except PastEnd:
            return iter(())
        self._status = _status(result.meta)
        self._requested = min(end or self._status.n_bytes, self._status.n_bytes)
        n_chunk = _FIRST if self._requested == self._status.n_bytes <= _FIRST else _CHUNK
        return _chunks(result.stream(min_chunk_size=n_chunk), self.name)

    def close(self) -> None:
        self._stream, self._chunk = None, memoryview(b"")
        super().close()


_FIRST = 1 << 20  # bytes of the first request, if it is not said where to end
_CHUNK = 256 << 10  # bytes that the library hands over at a time, at least


def _chunks(stream: Iterable[bytes], path: str) -> Iterator[bytes]:
    with errors_of(path):
        yield from stream
