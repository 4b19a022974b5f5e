"""The last part of a map's input, kept so that the pairs without an answer can be played again.

It keeps the pieces as they were sent, without a copy, and drops those that are answered.
"""

from __future__ import annotations

import collections
from itertools import accumulate
from typing import TYPE_CHECKING

from kvproto.driver.source import DescriptorSource, Source
from kvproto.protocol.frames import PairDecoder

if TYPE_CHECKING:
    from array import array

__all__ = ["MAX_WINDOW", "Window", "pair_offsets"]

MAX_WINDOW = 64 << 20
"""The most bytes of memory for the pieces; the oldest ones are dropped first."""

_HISTORY = 1 << 20  # bytes that are answered, and kept: they may be part of the cause
_SMALL = 1 << 15  # bytes of a piece that is copied, so that the source can reuse its memory
_OVERHEAD = 512  # bytes of memory for a piece besides its bytes
_SCANNED = 1 << 20


class Window:
    """The pairs without an answer, and some before them.

    Parameters
    ----------
    source : Source
        The source of the pieces, which gets each one back when it is dropped.
    n_before : int
        How many pairs of the whole input come before those of the source; errors count them.

    Attributes
    ----------
    source_error : Exception or None
        The error that ended the input, when it was read on after a failure of the worker.
    """

    def __init__(self, source: Source, n_before: int = 0) -> None:
        self.n_before = n_before
        self.source_error: Exception | None = None
        self._source = source
        self._pieces: collections.deque[tuple[int, memoryview]] = collections.deque()
        # Pairs and bytes before a boundary between two pairs, the last one of each piece: those
        # that are answered, and those that are not.
        self._answered = collections.deque([(0, 0)])
        self._due: collections.deque[tuple[int, int]] = collections.deque()
        self._n_bytes = self._n_kept = 0

    def add(self, piece: memoryview) -> memoryview:
        """Keep the piece that the source has returned last; return it, or a copy instead."""
        is_owned = isinstance(self._source, DescriptorSource) and len(piece) >= _SMALL
        if not is_owned and not isinstance(piece.obj, bytes):
            # A caller may use its memory again, and a small piece has a large room.
            copy = memoryview(bytes(piece))
            self._source.release(piece)
            piece = copy
        self._pieces.append((self._n_bytes, piece))
        self._n_bytes += len(piece)
        self._due.append((self._source.n_pairs, self._source.pair_offset))
        self._n_kept += _cost(piece)
        while self._n_kept > MAX_WINDOW:
            self._drop()
            begin = self._pieces[0][0] if self._pieces else self._n_bytes
            for marks in self._answered, self._due:
                while marks and marks[0][1] < begin:
                    marks.popleft()
        return piece

    def answered(self, n_lists: int) -> None:
        """Drop the pieces that nobody needs once the first `n_lists` pairs are answered."""
        if not self._due or self._due[0][0] > n_lists:
            return
        marks, pieces = self._answered, self._pieces
        while self._due and self._due[0][0] <= n_lists:
            marks.append(self._due.popleft())
        until = marks[-1][1] - _HISTORY
        while len(marks) > 1 and marks[1][1] <= until:
            marks.popleft()
        while len(pieces) > 1 and pieces[1][0] <= marks[0][1]:
            self._drop()

    def frames(self) -> tuple[int, int, bytes]:
        """Return the number of the first pair that is kept, its offset, and the bytes from there.

        Without a boundary between pairs there are no bytes.
        """
        marks = self._answered or self._due
        if not marks:
            return self._source.n_pairs, self._n_bytes, b""
        first, start = marks[0]
        return (
            first,
            start,
            b"".join(piece[max(0, start - begin) :] for begin, piece in self._pieces),
        )

    def _drop(self) -> None:
        _, piece = self._pieces.popleft()
        self._n_kept -= _cost(piece)
        self._source.release(piece)


def _cost(piece: memoryview) -> int:
    """Bytes of memory that a piece keeps."""
    room = piece.obj if isinstance(piece.obj, (bytes, bytearray)) else piece
    return len(room) + _OVERHEAD


def pair_offsets(frames: bytes) -> array[int]:
    """Return where each complete pair begins, and where the last one ends."""
    from array import array  # noqa: PLC0415  only after a failure

    decoder = PairDecoder(max_item=0xFFFFFFFF)
    offsets, view = array("Q", [0]), memoryview(frames)
    for start in range(0, len(view), _SCANNED):
        pairs = decoder.feed(view[start : start + _SCANNED])
        sizes = (8 + len(key) + len(value) for key, value in pairs)
        offsets.extend(list(accumulate(sizes, initial=offsets[-1]))[1:])
    return offsets
