"""How far a task is: counts what it reads and tells the driver now and then."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

from kvproto.engine.events import emit_read, emit_status
from kvproto.errors import DataError, KVProtoError
from kvproto.inputs.lines import line_too_long

__all__ = ["Meter", "MeteredFile"]

_SECONDS_BETWEEN = 0.2


class Meter:
    """Counts what a task has read; inside its context the driver gets the counts now and then.

    Parameters
    ----------
    done : str
        What happens to an item: a status message says "K items {done}".
    status_interval : int
        Records from one status message to the next; 0: none.

    Attributes
    ----------
    n_bytes, n_records : int
        Counted by `add` and `add_records`. Who makes one record at a time may count it in n_records
        itself, and call `tell_status` when that has come to `next_status` (0: never).
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
        self._teller = threading.Thread(target=self._tell_on, daemon=True)

    def __enter__(self) -> Meter:
        self._teller.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._has_ended.set()
        self._teller.join()
        self._tell()

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
        """The same entries; an error that ends them is kept for `check`."""
        try:
            yield from entries
        except KVProtoError as e:
            self.failed = e
            raise

    def check(self) -> None:
        """Raise the error that ended the reading, even if a job function caught it and went on."""
        if self.failed is not None:
            raise self.failed

    def _tell_on(self) -> None:
        while not self._has_ended.wait(_SECONDS_BETWEEN):
            self._tell()

    def _tell(self) -> None:
        """Send what has not been sent yet."""
        now, (n_bytes, n_records) = (self.n_bytes, self.n_records), self._sent
        if now != self._sent:
            self._sent = now
            emit_read(now[0] - n_bytes, now[1] - n_records)


class MeteredFile(io.RawIOBase):
    """An input whose bytes are counted as they are read, and whose errors name it.

    Parameters
    ----------
    file : file object
        The input.
    url : str
        For errors.
    meter : Meter
        Counts the bytes, and keeps an error.
    max_line : int or None
        Bytes that a line may have, where it is read as lines: a longer one is an error before all
        of it is read.
    """

    def __init__(self, file: Any, url: str, meter: Meter, max_line: int | None) -> None:
        self._file = file
        self._url = url
        self._meter = meter
        self._max_line = max_line
        self._n_unended = 0

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
        if self._max_line is not None:
            self._check_line(bytes(buffer[:n_read]), self._max_line)
        return n_read

    def _check_line(self, data: bytes, max_line: int) -> None:
        end = data.rfind(b"\n") + 1
        self._n_unended = len(data) - end if end else self._n_unended + len(data)
        if self._n_unended > max_line:
            self._meter.failed = line_too_long(self._url, max_line)
            raise self._meter.failed
