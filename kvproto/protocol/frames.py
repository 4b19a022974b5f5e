"""Frames: pairs and result lists, to bytes and back.

No I/O: `feed` takes bytes and returns the elements that they complete; `close` marks end of file.
Sizes are u32 little-endian on every host. The limit of an item is checked as soon as its size is
complete, before its bytes are buffered. Implements FRAME, LIST and LIMITS-1 of PROTOCOL.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from kvproto.errors import ItemTooLarge, ProtocolError, Truncated
from kvproto.protocol import native as _native
from kvproto.protocol.reference import FINE, KEY_TOO_LARGE, U32, Bytes, Pair

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "MAX_ITEM",
    "ListDecoder",
    "Pair",
    "PairDecoder",
    "decode_lists",
    "decode_pairs",
    "encode_list",
    "encode_pair",
    "encode_pairs",
]

MAX_ITEM = 1 << 30
"""The default limit of an item: 1 GiB, counted without its 4-byte size (LIMITS-1)."""

_NO_LIMIT = (1 << 62) - 1

Element = TypeVar("Element")


def encode_pair(key: bytes | str, value: bytes | str, *, max_item: int = MAX_ITEM) -> bytes:
    """Encode one pair: the key item, then the value item.

    Parameters
    ----------
    key, value : bytes or str
        A str is encoded as UTF-8.
    max_item : int
        Limit of an item in bytes, without its 4-byte size.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError
        An item is neither bytes nor str.
    ValueError
        An item is over the limit.

    Notes
    -----
    Implements FRAME-1 to FRAME-3.
    """
    return _native.pack_pairs(((key, value),), _checked_limit(max_item))[0]


def encode_pairs(
    pairs: Iterable[tuple[bytes | str, bytes | str]], *, max_item: int = MAX_ITEM
) -> bytes:
    """Encode pairs one after the other, without a count (FRAME-3).

    Parameters
    ----------
    pairs : iterable of (key, value)
        Keys and values are bytes or str.
    max_item : int
        Limit of an item in bytes, without its 4-byte size.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError, ValueError
        As `encode_pair`; the message names the index of the pair.
    """
    return _native.pack_pairs(pairs, _checked_limit(max_item))[0]


def encode_list(
    pairs: Iterable[tuple[bytes | str, bytes | str]], *, max_item: int = MAX_ITEM
) -> bytes:
    """Encode one result list: u32 num-pairs, then the pairs (LIST-1, LIST-2).

    Parameters
    ----------
    pairs : iterable of (key, value)
        Keys and values are bytes or str.
    max_item : int
        Limit of an item in bytes, without its 4-byte size.

    Returns
    -------
    bytes

    Raises
    ------
    TypeError, ValueError
        As `encode_pair`; the message names the index of the pair. ValueError also for 2**32 pairs
        or more.
    """
    frames, n_pairs = _native.pack_pairs(pairs, _checked_limit(max_item))
    if n_pairs > 0xFFFFFFFF:
        raise ValueError(f"a result list can have at most 4294967295 pairs, not {n_pairs}")
    return U32.pack(n_pairs) + frames


def decode_pairs(data: Buffer, *, max_item: int = MAX_ITEM) -> list[Pair]:
    """Decode a whole stream of pairs.

    Parameters
    ----------
    data : bytes-like
    max_item : int
        Limit of an item in bytes, without its 4-byte size.

    Returns
    -------
    list of (bytes, bytes)

    Raises
    ------
    Truncated
        The data ends inside a pair (FRAME-4).
    ItemTooLarge
        An item is over the limit (LIMITS-1).

    Notes
    -----
    Both errors have the `offset` and, as `decoded`, the pairs before it.
    """
    return _decode_whole(PairDecoder(max_item=max_item), data)


def decode_lists(data: Buffer, *, max_item: int = MAX_ITEM) -> list[list[Pair]]:
    """Decode a whole stream of result lists.

    Parameters
    ----------
    data : bytes-like
    max_item : int
        Limit of an item in bytes, without its 4-byte size.

    Returns
    -------
    list of list of (bytes, bytes)

    Raises
    ------
    Truncated
        The data ends inside a list (FRAME-4, LIST-3).
    ItemTooLarge
        An item is over the limit (LIMITS-1).

    Notes
    -----
    Both errors have the `offset` and, as `decoded`, the lists before it.
    """
    return _decode_whole(ListDecoder(max_item=max_item), data)


def _decode_whole(decoder: _Decoder[Element], data: Buffer) -> list[Element]:
    decoded = decoder.feed(data)
    try:
        decoder.close()
    except ProtocolError as e:
        e.decoded = decoded
        raise
    return decoded


class _Decoder(ABC, Generic[Element]):
    """The buffer, the offset and the error of a decoder."""

    def __init__(self, *, max_item: int = MAX_ITEM) -> None:
        self.max_item = _checked_limit(max_item)
        self.offset = 0
        self._kept = bytearray()
        self._fault: ProtocolError | None = None
        self._closed = False

    def feed(self, data: Buffer) -> list[Element]:
        """Decode the next bytes, cut anywhere.

        Parameters
        ----------
        data : bytes-like

        Returns
        -------
        list
            The elements that these bytes complete.

        Raises
        ------
        ItemTooLarge
            As soon as the 4 bytes of a size over the limit are complete. `decoded` has the elements
            that this call completed. Every later call raises the same error.
        """
        if self._closed:
            raise ValueError("feed() after close()")
        if self._fault is not None:
            raise self._fault
        if self._kept:
            self._kept += data
            data = self._kept
        elif not isinstance(data, (bytes, bytearray)):
            data = memoryview(data).cast("B")
        out: list[Element] = []
        position, fault = self._scan(data, out)
        if fault != FINE:
            self._fault = self._too_large(data, position, fault)
            self._fault.decoded = out
            self.offset += position
            raise self._fault
        self.offset += position
        if data is self._kept:
            del self._kept[:position]
        elif position < len(data):
            self._kept += memoryview(data)[position:]
        return out

    def close(self) -> None:
        """Mark the end of the stream.

        Raises
        ------
        Truncated
            The stream ends inside an element (FRAME-4, LIST-3).
        """
        if self._fault is not None:
            raise self._fault
        self._closed = True
        if (missing := self._missing()) is not None:
            raise missing

    @abstractmethod
    def _scan(self, data: Bytes, out: list[Element]) -> tuple[int, int]:
        """Append the complete elements to `out`; return where they end, and a fault."""

    @abstractmethod
    def _missing(self) -> Truncated | None:
        """Say what the end of the stream cuts short; None between elements."""

    def _too_large(self, data: Bytes, position: int, fault: int) -> ItemTooLarge:
        field = "key size"
        if fault != KEY_TOO_LARGE:
            field = "value size"
            position += 4 + U32.unpack_from(data, position)[0]
        return ItemTooLarge(
            field=field,
            offset=self.offset + position,
            size=U32.unpack_from(data, position)[0],
            limit=self.max_item,
        )

    def _field_under_way(self) -> tuple[str, int, int, int]:
        """Return the field that the next byte belongs to: name, offset, bytes wanted and had."""
        kept, at = self._kept, 0
        for field in ("key", "value"):
            had = len(kept) - at
            if had < 4:
                return f"{field} size", self.offset + at, 4, had
            size = U32.unpack_from(kept, at)[0]
            at += 4
            if len(kept) - at < size:
                return field, self.offset + at, size, len(kept) - at
            at += size
        raise AssertionError("a complete pair is never kept")

    def _truncated(self, clause: str) -> Truncated:
        field, offset, wanted, had = self._field_under_way()
        return Truncated(field=field, offset=offset, wanted=wanted, had=had, clause=clause)


class PairDecoder(_Decoder[Pair]):
    """A decoder for a stream of pairs: `feed` it bytes, and `close` it at end of file.

    Parameters
    ----------
    max_item : int
        Limit of an item in bytes, without its 4-byte size.

    Attributes
    ----------
    offset : int
        Bytes of the stream before the first incomplete pair.

    Notes
    -----
    The decoder buffers at most one pair and the bytes of one `feed`.
    """

    def _scan(self, data: Bytes, out: list[Pair]) -> tuple[int, int]:
        return _native.scan_pairs(data, 0, _NO_LIMIT, self.max_item, out)

    def _missing(self) -> Truncated | None:
        return self._truncated("FRAME-4") if self._kept else None


class ListDecoder(_Decoder[list[Pair]]):
    """A decoder for a stream of result lists: `feed` it bytes, and `close` it at end of file.

    Parameters
    ----------
    max_item : int
        Limit of an item in bytes, without its 4-byte size.

    Attributes
    ----------
    offset : int
        Bytes of the stream before the first incomplete element.
    n_lists : int
        The number of complete result lists so far.

    Notes
    -----
    A list grows as its pairs arrive; num-pairs never sizes an allocation (LIST-4).
    """

    def __init__(self, *, max_item: int = MAX_ITEM) -> None:
        super().__init__(max_item=max_item)
        self.n_lists = 0
        self._pairs: list[Pair] | None = None
        self._pairs_left = 0

    def list_under_way(self) -> tuple[int, int] | None:
        """Return (offset, num-pairs) of the incomplete list, or None between lists."""
        if self._pairs is None:
            return None
        n_bytes = 4 + sum(8 + len(key) + len(value) for key, value in self._pairs)
        return self.offset - n_bytes, len(self._pairs) + self._pairs_left

    def _scan(self, data: Bytes, out: list[list[Pair]]) -> tuple[int, int]:
        position, self._pairs, self._pairs_left, fault = _native.scan_lists(
            data, 0, self._pairs, self._pairs_left, self.max_item, out
        )
        self.n_lists += len(out)
        return position, fault

    def _field_under_way(self) -> tuple[str, int, int, int]:
        if self._pairs is None:
            return "num-pairs", self.offset, 4, len(self._kept)
        return super()._field_under_way()

    def _missing(self) -> Truncated | None:
        n_kept = len(self._kept)
        if self._pairs is None:
            return self._truncated("LIST-3") if n_kept else None
        if n_kept:
            return self._truncated("FRAME-4")
        n_pairs = len(self._pairs)
        return Truncated(
            field="key size",
            offset=self.offset,
            wanted=4,
            had=0,
            clause="LIST-3",
            context=f"; the result list has {n_pairs} of its {n_pairs + self._pairs_left} pairs",
        )


def _checked_limit(max_item: int) -> int:
    if not isinstance(max_item, int) or not 0 <= max_item <= 0xFFFFFFFF:
        raise ValueError(
            f"max_item must be a number of bytes from 0 to 4294967295, not {max_item!r}"
        )
    return max_item
