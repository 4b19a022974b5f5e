"""Sources of a worker's input: pairs, which are framed, or frames, which are checked.

Frames in a file that have been checked before go from the file to the pipe without a copy.

A source returns pieces of about 256 KiB and never reads more than one piece ahead. `Pump` turns an
iterable that may block into a descriptor that the driver can poll.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from kvproto.driver.signals import deferred
from kvproto.errors import DataError, ProtocolError
from kvproto.protocol import native as _native
from kvproto.protocol.stream import FrameStream

__all__ = ["BytesSource", "DescriptorSource", "FileRange", "PairSource", "Pump", "Source"]

_PIECE_BYTES = 1 << 18
_PATIENCE = 0.002  # seconds: an iterable that takes longer for a piece is slow


class Source(Protocol):
    """A source of frames for a worker."""

    @property
    def fileno(self) -> int | None:
        """The descriptor to poll before `read`, or None if `read` may be called at any time."""

    @property
    def n_pairs(self) -> int:
        """The number of complete pairs that `read` has returned."""

    @property
    def pair_offset(self) -> int:
        """The number of bytes of these pairs."""

    def read(self) -> Piece:
        """Return the next frames, valid until `release`, or none at the end."""

    def release(self, piece: memoryview) -> None:
        """Take back a piece that nobody reads any more."""


class FileRange:
    """A range of a regular file with whole pairs, or a part of such a range, in order.

    Parameters
    ----------
    fileno : int
        The file.
    start, n_bytes : int
        The offset of the first byte, and the number of bytes.
    """

    def __init__(self, fileno: int, start: int, n_bytes: int) -> None:
        self._fileno, self._start, self._n_bytes = fileno, start, n_bytes

    def __len__(self) -> int:
        return self._n_bytes

    def __getitem__(self, part: slice) -> FileRange:
        start, end, _ = part.indices(self._n_bytes)
        return FileRange(self._fileno, self._start + start, end - start)

    def write_to(self, pipe: int) -> int:
        """Move bytes to a pipe; return how many.

        Raises BlockingIOError when the pipe is full, DataError when the file has become shorter.
        """
        try:
            n_moved = os.splice(
                self._fileno,
                pipe,
                self._n_bytes,
                offset_src=self._start,
                flags=os.SPLICE_F_NONBLOCK,
            )
        except OSError as e:
            if e.errno != errno.EINVAL:  # EINVAL: a file system that has no splice
                raise
            n_bytes = min(self._n_bytes, _PIECE_BYTES)
            n_moved = os.write(pipe, os.pread(self._fileno, n_bytes, self._start))
        if not n_moved:
            raise DataError(f"a file was cut short at byte {self._start} while it was being read")
        return n_moved


Piece = memoryview | FileRange


class PairSource:
    """Entries or pairs from an iterable.

    The first piece is one pair, and each next one is twice as large as long as the iterable is
    fast. The pairs of a slow iterable are sent at once, those of a fast one in thousands.
    """

    fileno = None

    def __init__(self, pairs: Iterable[object], *, with_entries: bool, max_item: int) -> None:
        self.n_pairs = self.pair_offset = 0
        self._pairs = iter(pairs)
        self._with_entries = with_entries
        self._max_item = max_item
        self._max_pairs = 1

    def read(self) -> memoryview:
        """Return the next frames, or none at the end.

        Raises TypeError or ValueError with the index of a pair that cannot be encoded.
        """
        pairs = self._next_pairs()
        frames, n_pairs = _native.pack_pairs(pairs, self._max_item, self.n_pairs)
        self.n_pairs += n_pairs
        self.pair_offset += len(frames)
        return memoryview(frames)

    def release(self, piece: memoryview) -> None:
        """Do nothing."""

    def _next_pairs(self) -> list[object]:
        pairs: list[object] = []
        n_bytes = 0
        until = time.monotonic() + _PATIENCE
        for entry in self._pairs:
            is_value = self._with_entries and isinstance(entry, (bytes, str))
            pair = (b"", entry) if is_value else entry
            pairs.append(pair)
            n_bytes += _size(pair)
            if len(pairs) == self._max_pairs or n_bytes >= _PIECE_BYTES:
                break
        self._max_pairs = min(2 * self._max_pairs, 8192) if time.monotonic() < until else 1
        return pairs


class _FrameSource:
    """Frames, which are checked, and their pairs counted."""

    def __init__(self, max_item: int) -> None:
        self._stream = FrameStream(with_lists=False, max_item=max_item)

    @property
    def n_pairs(self) -> int:
        return self._stream.n_pairs

    @property
    def pair_offset(self) -> int:
        return self._stream.pair_offset

    def release(self, piece: memoryview) -> None:
        """Do nothing."""

    def _checked(self, piece: memoryview) -> memoryview:
        try:
            if piece:
                self._stream.check(piece)
            else:
                self._stream.close()
        except ProtocolError as fault:
            fault.add_note("the fault is in the input, not in the output of the worker")
            raise
        return piece


class BytesSource(_FrameSource):
    """Frames from an iterable of bytes-like pieces, or of ranges of files.

    What is in a file has been checked, and its pairs are not counted.
    """

    fileno = None

    def __init__(self, frames: Iterable[bytes | FileRange], *, max_item: int) -> None:
        super().__init__(max_item)
        pieces = (
            piece if isinstance(piece, FileRange) else memoryview(piece).cast("B")
            for piece in frames
        )
        self._pieces: Iterator[Piece] = (piece for piece in pieces if len(piece))

    def read(self) -> Piece:
        """Return the next frames, or none at the end. Raises ProtocolError."""
        piece = next(self._pieces, memoryview(b""))
        return piece if isinstance(piece, FileRange) else self._checked(piece)


class DescriptorSource(_FrameSource):
    """Frames from a file descriptor: a pipe, a file, a terminal."""

    def __init__(self, fileno: int, *, max_item: int) -> None:
        super().__init__(max_item)
        self.fileno = fileno
        self._rooms: list[bytearray] = []  # reused: fresh memory costs page faults

    def read(self) -> memoryview:
        """Return the next frames, valid until `release`, or none at the end.

        Raises ProtocolError and OSError.
        """
        room = self._rooms.pop() if self._rooms else bytearray(_PIECE_BYTES)
        n_bytes = os.readv(self.fileno, (room,))
        return self._checked(memoryview(room)[:n_bytes])

    def release(self, piece: memoryview) -> None:
        """Use the memory of a piece for the next one."""
        if isinstance(piece.obj, bytearray):
            self._rooms.append(piece.obj)


class Pump:
    """A thread that writes the pieces of an iterable to a pipe.

    Parameters
    ----------
    pieces : iterable of bytes

    Attributes
    ----------
    fileno : int
        The read end of the pipe. At its end of file, call `check`.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.fileno, self._write_end = os.pipe()
        self._error: BaseException | None = None
        # A daemon, since it may still be waiting for a terminal when the program ends.
        with deferred():
            threading.Thread(target=self._run, args=(pieces,), daemon=True).start()

    def check(self) -> None:
        """Raise the error of the iterable, if it raised one. Call this after end of file."""
        if self._error is not None:
            raise self._error

    def _run(self, pieces: Iterable[bytes]) -> None:
        with open(self._write_end, "wb", buffering=0) as pipe:
            try:
                for piece in pieces:
                    left = memoryview(piece)
                    while left:
                        left = left[pipe.write(left) :]
            except BaseException as e:
                self._error = e  # before the pipe is closed


def _size(pair: Any) -> int:
    try:
        return len(pair[0]) + len(pair[1])
    except (TypeError, IndexError, KeyError):
        return 0  # not a pair: pack_pairs() raises an error
