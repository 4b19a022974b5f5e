"""How far a task is: bytes and records read, told to the driver now and then, and a status message every so many records."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from kvproto.engine.events import emit
from kvproto.errors import KVProtoError

__all__ = ["Meter"]

_SECONDS_BETWEEN = 0.2


class Meter:
    """Counts what a task has read, and tells the driver.

    Context manager: inside, the driver is told five times a second, however slow the map or reduce is.

    n_bytes      int, counted by `add`
    n_records    int, counted by `add_records`, or by who makes one record at a time, which then calls
                 `tell_status` when n_records has come to next_status (int, 0 for never)
    failed       the error that reading ended with, or None
    """

    def __init__(self, done: str, status_interval: int) -> None:
        """Have "K items {done}" told every status_interval records; 0: never."""
        self.n_bytes = self.n_records = 0
        self.failed: KVProtoError | None = None
        self.next_status = status_interval
        self._done = done
        self._interval = status_interval
        self._told = (0, 0)
        self._has_ended = threading.Event()
        self._teller = threading.Thread(target=self._tell_on, daemon=True)

    def __enter__(self) -> Meter:
        self._teller.start()
        return self

    def __exit__(self, *exc_info) -> None:
        self._has_ended.set()
        self._teller.join()
        self._tell()

    def add(self, n_bytes: int) -> None:
        self.n_bytes += n_bytes

    def add_records(self, n_records: int) -> None:
        self.n_records += n_records
        while self._interval and self.n_records >= self.next_status:
            self.tell_status()

    def tell_status(self) -> None:
        emit("status", text=f"{self.next_status} items {self._done}")
        self.next_status += self._interval

    def watched(self, entries: Iterator) -> Iterator:
        """The same entries; an error that ends them is kept for `check`."""
        try:
            yield from entries
        except KVProtoError as e:
            self.failed = e
            raise

    def check(self) -> None:
        """Raise what reading failed with, though a job function caught it and went on with what it had."""
        if self.failed is not None:
            raise self.failed

    def _tell_on(self) -> None:
        while not self._has_ended.wait(_SECONDS_BETWEEN):
            self._tell()

    def _tell(self) -> None:
        """Send what has not been sent yet."""
        now, (n_bytes, n_records) = (self.n_bytes, self.n_records), self._told
        if now != self._told:
            self._told = now
            emit("progress", bytes=now[0] - n_bytes, records=now[1] - n_records)
