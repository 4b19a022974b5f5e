"""Whose pickles are unpickled: unpickling runs what the pickle says, so that it is an act of trust in who wrote it.

Trusted are files of this user, which is whose jobs run here, and of root. Everything else, files of other users and what
comes over a network, takes an explicit word: `trust=True` or `--trust`. What is not pickled, the pairs of external
programs, needs none.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kvproto.errors import DataError

__all__ = ["check_trusted", "trusting", "trusts"]

_trusts: ContextVar[bool] = ContextVar("trusts", default=False)


@contextmanager
def trusting(trust: bool) -> Iterator[None]:
    """Have `trusts()` say so for the body."""
    token = _trusts.set(trust)
    try:
        yield
    finally:
        _trusts.reset(token)


def trusts() -> bool:
    """Whether the user has said that pickles from anywhere are to be unpickled."""
    return _trusts.get()


def check_trusted(file, url: str) -> None:
    """Raise DataError when what `file` reads, from `url`, may be somebody else's. None: the file of that path."""
    if "://" in url and not url.startswith("file://"):
        raise _untrusted(url, "from the network")
    owner = _owner(file, url.removeprefix("file://"))
    if owner is not None and owner not in (os.geteuid(), 0):
        raise _untrusted(url, f"in a file of another user (uid {owner})")


def _owner(file, path: str) -> int | None:
    """Whose file it is; None for one that exists in this process alone."""
    try:
        status = os.fstat(file.fileno())
    except (AttributeError, OSError, ValueError):
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
    return status.st_uid if stat.S_ISREG(status.st_mode) else None


def _untrusted(url: str, whose: str) -> DataError:
    return DataError(
        f"{url} has pickled Python objects, {whose}: whoever wrote them could run any program here, as you. "
        "If you trust them: `--trust` on the command line, trust=True for a job, result_iterator or chain_reader",
        is_final=True,
    )
