"""Failover: when a replica of an input fails, the next one is used.

A replica fails with a DataError or a JobError. A JobError means that another attempt is useless,
but another replica may still help.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from zlib import crc32

from kvproto.errors import DataError, JobError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from kvproto.inputs.schemes import Input

__all__ = ["Prefix", "ReplicaFile", "failover", "find_replicas", "open_first", "skip"]

T = TypeVar("T")

Failed = Callable[[Exception, bool], object]
_END = object()


def failover(
    urls: Sequence[str], read: Callable[[str], Iterator[T]], failed: Failed | None = None
) -> Iterator[T]:
    """Yield the entries of the first URL; when it fails, those of the next.

    `read` must leave out the entries that were yielded before; see `skip`.

    Parameters
    ----------
    urls
        The replicas, at least one, in the order in which to try them.
    read
        Opens one of them and yields its entries.
    failed
        Called with each error, and whether it is final, before the next replica is read.

    Raises
    ------
    DataError, JobError
        The error of the last replica; its notes have those of the others.
    """
    errors: list[Exception] = []
    for url in urls:
        try:
            yield from read(url)
            return
        except Exception as e:  # whatever a reader raises; only some of it ends a replica
            is_of_replica = isinstance(e, (DataError, JobError))
            is_last = not is_of_replica or len(errors) == len(urls) - 1
            if failed is not None:
                failed(e, is_last)
            if is_last:
                for error in errors if is_of_replica else ():
                    e.add_note(f"before that: {error}")
                raise
            errors.append(e)


def skip(entries: Iterator[object], n_entries: int, url: str) -> None:
    """Skip the entries that another replica has yielded; DataError when there are fewer."""
    for n_skipped in range(n_entries):
        if next(entries, _END) is _END:
            raise DataError(
                f"input {url}: has {n_skipped} entries, but its replica had {n_entries} or more"
            )


class Prefix:
    """The size and the crc32 of what the replicas of an input have given so far."""

    n_bytes = crc = 0


class ReplicaFile(io.RawIOBase):
    """One of the replicas as a file. DataError where it differs from what another one has given.

    Damage may be found after the data that has it, when entries of that data have been read.
    """

    def __init__(
        self, file: Any, url: str, prefix: Prefix, failed: Callable[[DataError], object]
    ) -> None:
        self._file = file
        self._call_failed = failed
        self._url = url
        self._prefix = prefix
        self._n_bytes = self._crc = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        prefix = self._prefix
        n_compared = max(prefix.n_bytes - self._n_bytes, 0)
        view = memoryview(buffer)[: n_compared or None]
        n_read: int = self._file.readinto(view)
        self._n_bytes += n_read
        self._crc = crc32(view[:n_read], self._crc)
        if not n_compared:
            prefix.n_bytes, prefix.crc = self._n_bytes, self._crc
        elif n_read == n_compared and self._crc != prefix.crc:
            error = DataError(
                f"input {self._url}: differs from its replica in the first {prefix.n_bytes} bytes, "
                "which were read from that one: remove the wrong one from the inputs",
                is_final=True,
            )
            self._call_failed(error)  # in case a reader catches it
            raise error
        return n_read

    def close(self) -> None:
        super().close()
        self._file.close()


def open_first(urls: Sequence[str], open_one: Callable[[str], T]) -> T:
    """Open the first replica that can be opened. Raises as `failover`."""
    return next(failover(urls, lambda url: map(open_one, (url,))))


def find_replicas(urls: Sequence[str], find: Callable[[str], list[Input]]) -> Input:
    """Find the replicas of one input, and leave out those that do not exist.

    Raises DataError when none exists, or when one stands for several inputs.
    """
    if not urls:
        raise ValueError(
            "the inputs contain an empty list: a list must hold the replicas of an input"
        )
    present: list[Input] = []
    failed: list[str] = []
    for url in urls:
        try:
            inputs = find(url)
        except DataError as e:
            failed.append(str(e))
            continue
        if len(inputs) != 1:
            raise DataError(f"input {url}: names {len(inputs)} inputs, but a replica must name one")
        present += inputs
    if not present:
        raise DataError("none of the replicas of an input can be found:\n  " + "\n  ".join(failed))
    others = [url for one in present for url in (one.url, *one.replicas)][1:]
    is_alike = len({one.n_bytes for one in present}) == 1
    return present[0]._replace(
        seekable=is_alike and all(one.seekable for one in present), replicas=tuple(others)
    )
