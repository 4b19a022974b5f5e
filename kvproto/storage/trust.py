"""Which pickles are trusted: unpickling can run any code.

Files of this user and of root are trusted, and so are the results of this user's jobs in a store.
Files of other users and other data from a network need `trust=True` or `--trust`. The pairs of
external programs are not pickled and need no trust.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kvproto.errors import DataError
from kvproto.storage.job_directory import JobPaths
from kvproto.storage.store import is_object

__all__ = ["check_trusted", "trusting", "trusts"]

_trusts: ContextVar[bool] = ContextVar("trusts", default=False)
_store: ContextVar[str] = ContextVar("store", default="")


@contextmanager
def trusting(trust: bool, store: str = "") -> Iterator[None]:
    """Set what `trusts()` returns in the body, and the address of a store to trust."""
    tokens = _trusts.set(trust), _store.set(store)
    try:
        yield
    finally:
        _trusts.reset(tokens[0])
        _store.reset(tokens[1])


def trusts() -> bool:
    """Whether the user trusts pickles from anywhere."""
    return _trusts.get()


def check_trusted(file: object, url: str) -> None:
    """Raise DataError unless the data in `file`, from `url`, is trusted.

    For a file without a descriptor, the owner of the path in `url` counts.
    """
    if is_object(url) and _is_of_job(url):
        return
    if "://" in url and not url.startswith("file://"):
        raise _untrusted(url, "from the network")
    owner = _owner(file, url.removeprefix("file://"))
    if owner is not None and owner not in (os.geteuid(), 0):
        raise _untrusted(url, f"in a file of another user (uid {owner})")


def _is_of_job(url: str) -> bool:
    """Whether it is a result of a job that this user ran, or of one in the store of the task."""
    directory = os.path.dirname(url)
    shared, name = os.path.split(directory)
    if name not in ("results", "map-results"):
        return False
    store, job = os.path.split(shared)
    return (bool(_store.get()) and store == _store.get()) or JobPaths(job).shared == shared


def _owner(file: object, path: str) -> int | None:
    """The owner of a file; None for one that exists only in this process."""
    try:
        status = os.fstat(file.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
    return status.st_uid if stat.S_ISREG(status.st_mode) else None


def _untrusted(url: str, origin: str) -> DataError:
    return DataError(
        f"{url} has pickled Python objects, {origin}: whoever wrote them could run any program "
        "here, as you. If you trust them, use `--trust` on the command line, or trust=True for a "
        "job, result_iterator or chain_reader",
        is_final=True,
    )
