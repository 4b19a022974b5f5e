"""A copy of a journal in a store, with which a driver on another machine can resume the job.

The copy is a directory of numbered files, each with the records of about a second. None of them is
ever replaced. Of two drivers, only one can write the next file, and the other one learns by this
that the job is no longer its own.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence

from kvproto.errors import JobError
from kvproto.storage.atomic import naming
from kvproto.storage.journal import framed, parsed
from kvproto.storage.store import store_of

__all__ = ["JournalCopy", "read_copy"]

_SECONDS_BETWEEN = 1.0


class JournalCopy:
    """Appends records to the copy in `directory`, which has n_files files."""

    def __init__(self, directory: str, n_files: int) -> None:
        self.directory = directory
        self._n_files = n_files
        self._waiting: list[bytes] = []
        self._next = -math.inf

    def append(self, records: Sequence[bytes]) -> None:
        """Append records, of which the last ones may wait for others, or for `flush`."""
        self._waiting += records
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Write the records that wait.

        JobError if another driver has written meanwhile; DataError if the store fails.
        """
        if not self._waiting:
            return
        path = os.path.join(self.directory, f"{self._n_files:08d}")
        with naming(path, "writing"):
            is_ours = store_of(path).put_new(path, framed(self._waiting))
        if not is_ours:
            raise JobError(
                f"another driver has resumed the job: {path} is not from this one, which stops"
            )
        self._n_files += 1
        self._waiting = []
        self._next = time.monotonic() + _SECONDS_BETWEEN

    def remove(self) -> None:
        """Remove the copy."""
        with naming(self.directory, "removing"):
            store_of(self.directory).remove_tree(self.directory)


def read_copy(directory: str) -> tuple[list[bytes], int]:
    """Return the records of a copy, and the number of its files.

    DataError if one is missing or damaged.
    """
    store = store_of(directory)
    records: list[bytes] = []
    with naming(directory, "reading"):
        try:
            n_files = sum(name.isdecimal() for name in store.names(directory))
        except FileNotFoundError:
            return [], 0
        for number in range(n_files):
            path = os.path.join(directory, f"{number:08d}")
            records += parsed(store.get(path), path)[0]
    return records, n_files
