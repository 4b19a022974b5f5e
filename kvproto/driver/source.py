"""Where a worker's input comes from: pairs to be framed, or frames to be checked.

A source gives pieces of about 256 KiB, and takes from its iterable no more than a piece and an
entry ahead. `Pump` makes a descriptor, which the driver can poll, of an iterable that may block.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import Any, Protocol

from kvproto.driver.signals import deferred
from kvproto.errors import ProtocolError
from kvproto.protocol import native as _native
from kvproto.protocol.stream import FrameStream

__all__ = ["BytesSource", "DescriptorSource", "PairSource", "Pump", "Source"]

_PIECE_BYTES = 1 << 18
_PATIENCE = 0.002  # seconds: what a slow iterable has given by then goes out as it is


class Source(Protocol):
    """What the driver reads a worker's input from."""

    @property
    def fileno(self) -> int | None:
        """A descriptor to be polled before `read`, or None."""

    @property
    def n_pairs(self) -> int:
        """Complete pairs that `read` has returned."""

    def read(self) -> bytes | memoryview:
        """Return the next frames, valid until the next call; empty at the end."""


class PairSource:
    """Entries or pairs from an iterable, framed by the piece.

    A piece begins as one pair and doubles as long as pairs come quickly. So the pairs of a slow
    iterable are sent at once, and those of a fast one are packed thousands at a time.
    """

    fileno = None

    def __init__(self, pairs: Iterable[object], *, with_entries: bool, max_item: int) -> None:
        self.n_pairs = 0
        self._pairs = iter(pairs)
        self._with_entries = with_entries
        self._max_item = max_item
        self._most = 1

    def read(self) -> bytes:
        """Return the next frames; empty at the end.

        Raises TypeError or ValueError that names the index of a pair that cannot be encoded.
        """
        pairs = self._take()
        frames, n_pairs = _native.pack_pairs(pairs, self._max_item, self.n_pairs)
        self.n_pairs += n_pairs
        return frames

    def _take(self) -> list[object]:
        pairs: list[object] = []
        n_bytes = 0
        until = time.monotonic() + _PATIENCE
        for entry in self._pairs:
            is_value = self._with_entries and isinstance(entry, (bytes, str))
            pair = (b"", entry) if is_value else entry
            pairs.append(pair)
            n_bytes += _size(pair)
            if len(pairs) == self._most or n_bytes >= _PIECE_BYTES:
                break
        self._most = min(2 * self._most, 8192) if time.monotonic() < until else 1
        return pairs


class BytesSource:
    """Frames from an iterable of bytes-like pieces, checked as they pass."""

    fileno = None

    def __init__(self, frames: Iterable[bytes], *, max_item: int) -> None:
        views = (memoryview(piece).cast("B") for piece in frames)
        self._views = (view for view in views if view.nbytes)
        self._checker = _Checker(max_item)

    @property
    def n_pairs(self) -> int:
        return self._checker.n_pairs

    def read(self) -> memoryview:
        """Return the next frames; empty at the end. Raises ProtocolError when they break FRAME."""
        return self._checker.checked(next(self._views, memoryview(b"")))


class DescriptorSource:
    """Frames from a file descriptor: a pipe, a file, a terminal."""

    def __init__(self, fileno: int, *, max_item: int) -> None:
        self.fileno = fileno
        self._room = bytearray(_PIECE_BYTES)
        self._checker = _Checker(max_item)

    @property
    def n_pairs(self) -> int:
        return self._checker.n_pairs

    def read(self) -> memoryview:
        """Return the next frames, valid until the next call; empty at the end.

        Raises ProtocolError when they break FRAME, and OSError.
        """
        n_bytes = os.readv(self.fileno, (self._room,))
        return self._checker.checked(memoryview(self._room)[:n_bytes])


class _Checker:
    """Checks frames, and counts their pairs."""

    def __init__(self, max_item: int) -> None:
        self._stream = FrameStream(with_lists=False, max_item=max_item)

    @property
    def n_pairs(self) -> int:
        return self._stream.n_pairs

    def checked(self, piece: memoryview) -> memoryview:
        try:
            if piece:
                self._stream.check(piece)
            else:
                self._stream.close()
        except ProtocolError as fault:
            fault.add_note("this is in the input, not in what the worker wrote")
            raise
        return piece


class Pump:
    """A thread that writes the pieces of an iterable to a pipe.

    Parameters
    ----------
    pieces : iterable of bytes

    Attributes
    ----------
    fileno : int
        The descriptor to read the pieces from. It is at end of file when the iterable has ended or
        has failed; then call `check`.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.fileno, self._write_end = os.pipe()
        self._error: BaseException | None = None
        # A daemon: it may be reading a terminal that stays silent when the program ends.
        with deferred():
            threading.Thread(target=self._run, args=(pieces,), daemon=True).start()

    def check(self) -> None:
        """Raise what the iterable has raised. Call it after the end of file."""
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
                self._error = e  # before the end of file that the reader will see


def _size(pair: Any) -> int:
    try:
        return len(pair[0]) + len(pair[1])
    except (TypeError, IndexError, KeyError):
        return 0  # not a pair: pack_pairs() will say so
