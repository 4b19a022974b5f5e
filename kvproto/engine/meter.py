"""Count what a task reads, and report it to the driver at intervals."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

from kvproto.engine.task_events import count_read, emit_read, emit_status
from kvproto.errors import DataError, KVProtoError

__all__ = ["Counts", "Meter", "MeteredFile"]

_SECONDS_BETWEEN = 0.2
_UNCHANGED = 5  # times that it sends nothing new, before it says that nothing is new


class Meter:
    """Counts what a task has read; a context manager that reports the counts to the driver.

    Parameters
    ----------
    done : str
        What happens to an item, for status messages: "K items {done}".
    status_interval : int
        How many records come between two status messages; 0: no messages.

    Attributes
    ----------
    n_bytes, n_records : int
        The counts of `add` and `add_records`. A caller that makes one record at a time may increase
        n_records itself, and call `tell_status` when it reaches `next_status` (0: never).
    failed : KVProtoError or None
        The error that ended the reading.
    """

    def __init__(self, done: str, status_interval: int) -> None:
        self.n_bytes = self.n_records = 0
        self.failed: KVProtoError | None = None
        self.next_status = status_interval
        self._done = done
        self._interval = status_interval
        self._sent = (0, 0)
        self._has_ended = threading.Event()
        self._reporter = threading.Thread(target=self._report_often, daemon=True)

    def __enter__(self) -> Meter:
        self._reporter.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._has_ended.set()
        self._reporter.join()
        count_read(*self._unsent())  # which the end of the task tells

    def add(self, n_bytes: int) -> None:
        """Count bytes."""
        self.n_bytes += n_bytes

    def add_records(self, n_records: int) -> None:
        """Count records, and send the status messages that are due."""
        self.n_records += n_records
        while self._interval and self.n_records >= self.next_status:
            self.tell_status()

    def tell_status(self) -> None:
        """Send the status message that is due."""
        emit_status(f"{self.next_status} items {self._done}")
        self.next_status += self._interval

    def watched(self, entries: Iterator[Any]) -> Iterator[Any]:
        """Yield the same entries; keep an error that ends them for `check`."""
        try:
            yield from entries
        except KVProtoError as e:
            self.failed = e
            raise

    def check(self) -> None:
        """Raise the error that ended the reading, even if a job function caught it and went on."""
        if self.failed is not None:
            raise self.failed

    def _report_often(self) -> None:
        n_unchanged = 0
        while not self._has_ended.wait(_SECONDS_BETWEEN):
            n_unchanged = 0 if self._report() else n_unchanged + 1
            if n_unchanged == _UNCHANGED:  # so that a person sees that time passes
                n_unchanged = 0
                emit_read(0, 0)

    def _report(self) -> bool:
        """Send the counts that have not been sent yet; return whether there were any."""
        unsent = self._unsent()
        if unsent == (0, 0):
            return False
        emit_read(*unsent)
        return True

    def _unsent(self) -> tuple[int, int]:
        (n_bytes, n_records), self._sent = self._sent, (self.n_bytes, self.n_records)
        return self._sent[0] - n_bytes, self._sent[1] - n_records


class Counts:
    """What the tasks of a stage have read so far, of each task the last attempt.

    Attributes
    ----------
    n_bytes, n_records : int
        The sums.
    """

    def __init__(self) -> None:
        self.n_bytes = self.n_records = 0
        self._of: dict[int, tuple[int, int]] = {}
        self._done: set[int] = set()

    def add(self, task: int, n_bytes: int, n_records: int) -> None:
        """Add what a task has read, unless it is done: then it is another attempt that reads."""
        if task not in self._done:
            before = self._of.get(task, (0, 0))
            self._set(task, before[0] + n_bytes, before[1] + n_records)

    def restart(self, task: int) -> None:
        """Forget what the failed attempt of a task has read."""
        if task not in self._done:
            self._set(task, 0, 0)

    def finish(self, task: int, n_bytes: int, n_records: int) -> None:
        """Count what the attempt that succeeded has read."""
        self._set(task, n_bytes, n_records)
        self._done.add(task)

    def _set(self, task: int, n_bytes: int, n_records: int) -> None:
        before = self._of.get(task, (0, 0))
        self._of[task] = n_bytes, n_records
        self.n_bytes += n_bytes - before[0]
        self.n_records += n_records - before[1]


class MeteredFile(io.RawIOBase):
    """An input that counts its bytes as they are read, and names itself in errors.

    Parameters
    ----------
    file : file object
        The open input.
    url : str
        The URL of the input, for errors.
    meter : Meter
        Counts the bytes, and keeps an error.
    """

    def __init__(self, file: Any, url: str, meter: Meter) -> None:
        self._file = file
        self._url = url
        self._meter = meter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            n_read: int = self._file.readinto(buffer)
        except OSError as e:
            self._meter.failed = DataError(f"input {self._url}: {e.strerror or e}")
            raise self._meter.failed from e
        except KVProtoError as e:
            self._meter.failed = e
            raise
        self._meter.add(n_read)
        return n_read
