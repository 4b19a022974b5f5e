"""Failover: when a replica of an input fails, the next one is used.

A replica fails with a DataError or a JobError. A JobError means that another attempt is useless,
but another replica may still help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from kvproto.errors import DataError, JobError

if TYPE_CHECKING:
    from kvproto.inputs.schemes import Input

__all__ = ["failover", "find_replicas", "open_first", "skip"]

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
