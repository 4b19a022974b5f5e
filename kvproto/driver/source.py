"""Where a worker's input comes from: pairs to be framed, or frames to be checked, in pieces of about 256 KiB.

Each source gives `read()` -> the next bytes, b"" at its end, never more than a piece and an entry ahead;
`n_pairs`, the pairs given so far; and `fileno`, a descriptor to be polled before `read()`, or None.
Used by `external` alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from kvproto.errors import ProtocolError
from kvproto.protocol import native as _native
from kvproto.protocol.stream import FrameStream

__all__ = ["BytesSource", "DescriptorSource", "PairSource"]

_PIECE_BYTES = 1 << 18
_PATIENCE = 0.002  # seconds: what a slow iterable has given by then goes out, not held back for a full piece


class PairSource:
    """Entries or pairs from an iterable, framed by the piece.

    A piece begins as one pair and doubles as long as pairs come quickly, so that what a slow iterable
    gives is on its way at once, and a fast one is packed thousands at a time.
    """

    fileno = None

    def __init__(self, pairs: Iterable, *, with_entries: bool, max_item: int) -> None:
        self.n_pairs = 0
        self._pairs = iter(pairs)
        self._with_entries = with_entries
        self._max_item = max_item
        self._most = 1

    def read(self) -> bytes:
        """The next piece; raises TypeError or ValueError that names the index of a pair that cannot be encoded."""
        pairs = self._take()
        frames, n_pairs = _native.pack_pairs(pairs, self._max_item, self.n_pairs)
        self.n_pairs += n_pairs
        return frames

    def _take(self) -> list:
        pairs: list = []
        n_bytes = 0
        until = time.monotonic() + _PATIENCE
        for pair in self._pairs:
            if isinstance(pair, (bytes, str)) and self._with_entries:
                pair = (b"", pair)
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
        self._frames = iter(frames)
        self._stream = FrameStream(with_lists=False, max_item=max_item)

    @property
    def n_pairs(self) -> int:
        return self._stream.n_pairs

    def read(self) -> bytes:
        """The next piece; raises ProtocolError where the frames break FRAME."""
        views = (memoryview(piece).cast("B") for piece in self._frames)
        return self._checked(next((view for view in views if view.nbytes), memoryview(b"")))

    def _checked(self, piece):
        try:
            if piece:
                self._stream.check(piece)
            else:
                self._stream.close()
        except ProtocolError as fault:
            fault.add_note("this is in the input, not in what the worker wrote")
            raise
        return piece


class DescriptorSource(BytesSource):
    """Frames from a file descriptor: a pipe, a file, a terminal."""

    def __init__(self, fileno: int, *, max_item: int) -> None:
        super().__init__((), max_item=max_item)
        self.fileno = fileno
        self._room = bytearray(_PIECE_BYTES)

    def read(self) -> memoryview:
        """The next piece, valid until the next `read()`; raises as `BytesSource.read` does, and OSError."""
        n_bytes = os.readv(self.fileno, (self._room,))
        return self._checked(memoryview(self._room)[:n_bytes])


def _size(pair) -> int:
    try:
        return len(pair[0]) + len(pair[1])
    except (TypeError, IndexError, KeyError):
        return 0  # not a pair: pack_pairs() will say so
