"""Check a stream of frames that may be far larger than memory, and keep the parts to be shown.

A `Window` checks each piece with a `FrameStream`, at the speed of that. It keeps the pieces with
the first records, the last ones and those around a chosen place, each with a copy of the stream
before it. `fields` later goes through them field by field. Pieces inside of a large item are not
kept, so that memory stays bounded whatever the sizes are. No I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from kvproto.errors import ProtocolError
from kvproto.protocol.frames import MAX_ITEM
from kvproto.protocol.stream import FrameStream

__all__ = ["AT_END", "WHOLE", "Field", "Piece", "Window", "advanced", "fields", "n_records", "seek"]

WHOLE = 24
"""The most records, pairs and lists, of a stream that is shown whole."""

AT_END = 6
"""How many records are shown at each end of a longer one."""

KEPT_BYTES = 1 << 10
"""The most bytes of a field that are kept."""


class Piece(NamedTuple):
    """Bytes of a stream: their offset, and the stream before them."""

    offset: int
    data: bytes
    before: FrameStream


class Field(NamedTuple):
    """A field of a stream.

    Attributes
    ----------
    name : str
        "num-pairs", "key size", "key", "value size" or "value".
    offset, n_bytes : int
        Where it begins, and its length.
    data : bytes
        Its first KEPT_BYTES.
    pair, record : int
        The number of its pair, in its list if there are lists; and that of its list, or its pair.
    """

    name: str
    offset: int
    n_bytes: int
    data: bytes
    pair: int
    record: int

    @property
    def number(self) -> int:
        """The number in a size or num-pairs."""
        return int.from_bytes(self.data, "little")


class Window:
    """Checks a stream of frames, and keeps the part of it that is shown.

    Parameters
    ----------
    with_lists : bool
        Whether it is a stream of result lists or of bare pairs.
    offset : int
        The offset of its first byte.
    chosen : callable, optional
        chosen(stream) is true as soon as the place to be shown has been read.

    Attributes
    ----------
    stream : FrameStream
        The stream so far.
    fault : ProtocolError or None
        What is wrong with it.
    offset : int
        The offset of the next byte.
    first, around, last : sequence of Piece
        The pieces with the first records, those around the chosen place, and the last ones.
    """

    def __init__(
        self,
        *,
        with_lists: bool,
        offset: int = 0,
        chosen: Callable[[FrameStream], bool] | None = None,
    ) -> None:
        self.stream = FrameStream(with_lists=with_lists, max_item=MAX_ITEM, offset=offset)
        self.start = self.offset = offset
        self.fault: ProtocolError | None = None
        self.first: list[Piece] = []
        self.around: list[Piece] = []
        self.last: deque[Piece] = deque()
        self._chosen = chosen
        self._n_chosen = -1

    def feed(self, data: bytes) -> None:
        """Check the next bytes, cut anywhere; do nothing once there is a fault."""
        if self.fault is not None:
            return
        piece = Piece(self.offset, data, self.stream.copy())
        try:
            self.stream.check(data)
        except ProtocolError as fault:
            self.fault = fault
        self.offset += len(data)
        self._keep(piece)

    def close(self) -> None:
        """Mark the end of the stream."""
        if self.fault is None:
            try:
                self.stream.close()
            except ProtocolError as fault:
                self.fault = fault

    def has_only_a_huge_list(self) -> bool:
        """Whether it begins with a list of more pairs than programs write into one."""
        under_way = self.stream.list_under_way()
        return self.stream.n_lists == 0 and under_way is not None and under_way[1] > 1 << 24

    def bytes_at(self, offset: int) -> bytes:
        """Return the bytes from an offset in the last pieces on, as far as they were kept."""
        data = b""
        for piece in self.last:
            begin = max(0, offset + len(data) - piece.offset)
            if piece.offset <= offset + len(data) and len(data) < KEPT_BYTES:
                data += piece.data[begin : begin + KEPT_BYTES]
        return data

    def _keep(self, piece: Piece) -> None:
        n_before, n_now = n_records(piece.before), n_records(self.stream)
        place = self.stream.place()
        if place.offset + KEPT_BYTES < piece.offset and self.fault is None:
            return  # all of it is inside of one item, and none of it is shown
        if n_before < WHOLE:
            self.first.append(piece)
        self.last.append(piece)
        if self._n_chosen >= 0:
            if n_before <= self._n_chosen + AT_END:
                self.around.append(piece)
        elif self._chosen is not None and self._chosen(self.stream):
            self.around = list(self.last)  # the place may be at the beginning of this piece
            self._n_chosen = n_now
        while len(self.last) > 1 and n_now - n_records(self.last[1].before) > AT_END:
            self.last.popleft()


def n_records(stream: FrameStream) -> int:
    """Return the number of complete pairs and lists."""
    return stream.n_pairs + stream.n_lists


def seek(
    pieces: Sequence[Piece], reached: Callable[[FrameStream], bool]
) -> tuple[int, FrameStream] | None:
    """Find the first byte before which `reached` is true, in pieces that follow one another.

    Returns
    -------
    tuple of (int, FrameStream), or None
        Its offset and the stream before it. None if `reached` is never true.
    """
    for piece in pieces:
        if reached(piece.before):
            return piece.offset, piece.before.copy()
        if not reached(advanced(piece, len(piece.data))):
            continue
        low, high = 0, len(piece.data)  # it is not reached before byte low, but before byte high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if reached(advanced(piece, middle)) else (middle, high)
        return piece.offset + high, advanced(piece, high)
    return None


def advanced(piece: Piece, n_bytes: int) -> FrameStream:
    """Return the stream after the first n_bytes of a piece, or at its fault."""
    stream = piece.before.copy()
    with suppress(ProtocolError):
        stream.check(memoryview(piece.data)[:n_bytes])
    return stream


def fields(
    pieces: Sequence[Piece], start: tuple[int, FrameStream], end: int | None = None
) -> Iterator[Field]:
    """Yield the complete fields from a boundary between fields on, up to the offset `end`.

    Only the bytes that were kept are there: an item may lack its last ones.
    """
    at, stream = start
    kept = b""
    for piece in pieces:
        if piece.offset + len(piece.data) <= at:
            continue
        if piece.offset > at:  # the pieces before this one were inside of an item
            at, stream = piece.offset, piece.before.copy()
        left = memoryview(piece.data)[at - piece.offset :]
        while left:
            place = stream.place()
            if end is not None and place.offset >= end:
                return
            taken = left[: place.wanted - place.had]
            kept = (b"" if place.had == 0 else kept) + bytes(taken[:KEPT_BYTES])
            stream.check(taken)
            if place.had + len(taken) == place.wanted:
                data = kept[:KEPT_BYTES]
                yield Field(place.field, place.offset, place.wanted, data, place.pair, place.record)
            left = left[len(taken) :]
            at += len(taken)
