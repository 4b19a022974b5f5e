"""What a map task reads: its splits as entries for a function, or as frames for an external program.

The default entries are the lines, with their newline, as str: UTF-8, any other bytes kept as lone surrogates
(`surrogateescape`), so that they come out as the same bytes. A reader of the user's own gets the same file
object; the bytes are at its `buffer`. For an external program the lines become frames and no Python objects.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from kvproto import _native
from kvproto.classic.schemes import open_input
from kvproto.engine.events import emit
from kvproto.engine.files import BLOCK
from kvproto.engine.plan import Split
from kvproto.engine.records import pack_frames
from kvproto.engine.shuffle import iterable
from kvproto.engine.spec import External, JobSpec
from kvproto.errors import DataError
from kvproto.wire import MAX_ITEM

__all__ = ["InputReader", "Meter"]

_SECONDS_BETWEEN = 0.2


class Meter:
    """Counts what a task has read and tells the driver, at most five times a second.

    n_bytes    int, counted by `add`
    n_records  int, counted up by whoever makes records of the bytes
    """

    def __init__(self) -> None:
        self.n_bytes = self.n_records = 0
        self._told = (0, 0)
        self._next = time.monotonic() + _SECONDS_BETWEEN

    def add(self, n_bytes: int) -> None:
        self.n_bytes += n_bytes
        if time.monotonic() >= self._next:
            self.tell()
            self._next = time.monotonic() + _SECONDS_BETWEEN

    def tell(self) -> None:
        """Send what has not been sent yet."""
        n_bytes, n_records = self._told
        if (self.n_bytes, self.n_records) != self._told:
            emit("progress", bytes=self.n_bytes - n_bytes, records=self.n_records - n_records)
            self._told = (self.n_bytes, self.n_records)


class InputReader:
    """The splits of one map task, read in order. `place()` says where it is, for an error.

    has_failed  bool: the input could not be read, or the map_reader raised
    """

    def __init__(self, spec: JobSpec, splits: list[Split], meter: Meter) -> None:
        self._spec = spec
        self._splits = splits
        self._meter = meter
        self._url = splits[0].url
        self._n_opened = 0
        self._entry: object = None
        self.has_failed = False

    def entries(self) -> Iterator:
        """Yield the entries of all splits: what the map_reader gives, or the lines as str."""
        meter = self._meter
        try:
            for split in self._splits:
                with self._opened(split) as (file, size):
                    for entry in self._read(file, size, split.url):
                        self._entry = entry
                        meter.n_records += 1
                        yield entry
        except Exception:  # never from the map: what uses an entry does not raise in here
            self.has_failed = True
            raise

    def _read(self, file, size: int | None, url: str) -> Iterable:
        text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="\n")
        reader = self._spec.map_reader
        return text if reader is None else iterable(reader(text, size, url, self._spec.params), reader, "entries")

    def frames(self) -> Iterator[bytes]:
        """Yield the entries of all splits as frames, cut anywhere: an entry is the value of an empty key, or a pair."""
        if self._spec.map_reader is not None:
            for entry in self.entries():
                yield pack_frames([entry if isinstance(entry, tuple) else ("", entry)], self._meter.n_records - 1)
            return
        for split in self._splits:
            with self._opened(split) as (file, _):
                yield from self._line_frames(file)

    def _line_frames(self, file) -> Iterator[bytes]:
        """Frame the lines of a file block by block; memory is that of a block or of the longest line."""
        held = bytearray()
        wanted = BLOCK
        while block := file.read(BLOCK):
            held += block
            if len(held) >= wanted:
                frames, n_taken = _native.frame_lines(held, False)
                self._meter.n_records += held.count(b"\n", 0, n_taken)
                del held[:n_taken]
                wanted = max(BLOCK, 2 * len(held))  # a long line is not looked through again for each block of it
                if len(held) > MAX_ITEM:
                    raise DataError(f"a line of more than {MAX_ITEM} bytes in {self._url}: an item has at most so many [LIMITS-1]")
                if frames:
                    yield frames
        if held:
            self._meter.n_records += held.count(b"\n") + (not held.endswith(b"\n"))
            yield _native.frame_lines(held, True)[0]

    def place(self, *, is_in_map: bool) -> str:
        """Where an error is: the input and, for a function, the entry by its number in this task.

        is_in_map  it came out of the map of the last entry read; otherwise the entry may be any of those before
        """
        if self.has_failed:
            return f"input: {self._url}, after {self._meter.n_records} entries of this task"
        if not is_in_map:
            before = f", or one of the {self._n_opened - 1} before it in this task" if self._n_opened > 1 else ""
            if isinstance(self._spec.map, External):  # whose errors count the pairs themselves
                return f"input: {self._url}{before}"
            number = f"at or before number {self._meter.n_records - 1} of this task, counted from 0"
            return f"input: {self._url}{before}\nentry: {number}"
        entry = repr(self._entry)
        if len(entry) > 300:
            entry = f"{entry[:300]}... ({len(entry)} characters)"
        return f"input: {self._url}\nentry: number {self._meter.n_records - 1} of this task, counted from 0: {entry}"

    @contextmanager
    def _opened(self, split: Split):
        self._url = split.url
        self._n_opened += 1
        file, size = open_input(split.url, split.start, split.end)
        with file, io.BufferedReader(_Metered(file, split.url, self._meter), 1 << 18) as buffered:
            yield buffered, size


class _Metered(io.RawIOBase):
    """An input whose bytes are counted as they are read, and whose errors name it."""

    def __init__(self, file, url: str, meter: Meter) -> None:
        self._file = file
        self._url = url
        self._meter = meter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        try:
            n_read = self._file.readinto(buffer)
        except OSError as e:
            raise DataError(f"input {self._url}: {e.strerror or e}") from e
        self._meter.add(n_read)
        return n_read
