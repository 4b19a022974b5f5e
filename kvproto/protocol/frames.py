"""The wire: pairs and result lists, to bytes and back.

Sans-I/O: bytes in, values out; "not yet" is an empty answer, end of file is `close()`. Sizes are
u32 little-endian on every host. Item limits are checked when the size is there, before anything is
kept for it. Implements FRAME, LIST and LIMITS-1 of PROTOCOL.md.
"""

from __future__ import annotations

from collections.abc import Iterable

from kvproto.errors import ItemTooLarge, ProtocolError, Truncated
from kvproto.protocol import native as _native
from kvproto.protocol.reference import FINE, KEY_TOO_LARGE, U32

__all__ = [
    "MAX_ITEM",
    "ListDecoder",
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

Pair = tuple[bytes, bytes]


def encode_pair(key: bytes | str, value: bytes | str, *, max_item: int = MAX_ITEM) -> bytes:
    """Encode one pair: key item, value item; str as UTF-8 (FRAME-1 to FRAME-3).

    Raises TypeError for anything but bytes and str, ValueError for an item over max_item bytes.
    """
    return _native.pack_pairs(((key, value),), _checked_limit(max_item))[0]


def encode_pairs(
    pairs: Iterable[tuple[bytes | str, bytes | str]], *, max_item: int = MAX_ITEM
) -> bytes:
    """Encode an iterable of (key, value) pairs one behind the other, without a count (FRAME-3).

    Raises TypeError or ValueError that names the index of the pair at fault.
    """
    return _native.pack_pairs(pairs, _checked_limit(max_item))[0]


def encode_list(
    pairs: Iterable[tuple[bytes | str, bytes | str]], *, max_item: int = MAX_ITEM
) -> bytes:
    """Encode one result list: u32 num-pairs, then the pairs (LIST-1, LIST-2). Raises as `encode_pairs` does."""
    frames, n_pairs = _native.pack_pairs(pairs, _checked_limit(max_item))
    if n_pairs > 0xFFFFFFFF:
        raise ValueError(f"a result list holds at most 4294967295 pairs, not {n_pairs}")
    return U32.pack(n_pairs) + frames


def decode_pairs(data, *, max_item: int = MAX_ITEM) -> list[Pair]:
    """Decode a whole stream of pairs (a bytes-like object) to a list of (bytes, bytes).

    Raises Truncated when data ends inside a pair, ItemTooLarge for an item over max_item bytes;
    both carry `offset` and the pairs `decoded` before it (FRAME-4, LIMITS-1).
    """
    return _decode_whole(PairDecoder(max_item=max_item), data)


def decode_lists(data, *, max_item: int = MAX_ITEM) -> list[list[Pair]]:
    """Decode a whole stream of result lists to a list of lists of (bytes, bytes). Raises as `decode_pairs` does (LIST-3)."""
    return _decode_whole(ListDecoder(max_item=max_item), data)


def _decode_whole(decoder: _Decoder, data) -> list:
    decoded = decoder.feed(data)
    try:
        decoder.close()
    except ProtocolError as e:
        e.decoded = decoded
        raise
    return decoded


class _Decoder:
    """What both decoders share: bytes kept for later, the offset, and an error that stays.

    feed(data)  give bytes as they come, cut anywhere; returns what they complete
    close()     end of file; raises Truncated unless it falls on a boundary
    offset      bytes of the stream up to the first that is not part of a complete element
    """

    def __init__(self, *, max_item: int = MAX_ITEM) -> None:
        self.max_item = _checked_limit(max_item)
        self.offset = 0
        self._kept = bytearray()
        self._fault: ProtocolError | None = None
        self._closed = False

    def feed(self, data) -> list:
        """Take bytes (any bytes-like object, cut anywhere) and return the elements they complete.

        Raises ItemTooLarge as soon as the 4 bytes of the size are there; the error's `decoded` holds
        what this call had completed. Every later call raises the same error again.
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
        out: list = []
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
        """Say that the stream has ended. Raises Truncated when it ended inside an element (FRAME-4, LIST-3)."""
        if self._fault is not None:
            raise self._fault
        self._closed = True
        missing = self._missing()
        if missing is not None:
            raise missing

    def _scan(self, data, out: list) -> tuple[int, int]:
        raise AssertionError("PairDecoder and ListDecoder say how")

    def _missing(self) -> Truncated | None:
        raise AssertionError("PairDecoder and ListDecoder say when")

    def _too_large(self, data, position: int, fault: int) -> ItemTooLarge:
        field = "key size" if fault == KEY_TOO_LARGE else "value size"
        if fault != KEY_TOO_LARGE:
            position_of_size = position + 4 + U32.unpack_from(data, position)[0]
        else:
            position_of_size = position
        return ItemTooLarge(
            field=field,
            offset=self.offset + position_of_size,
            size=U32.unpack_from(data, position_of_size)[0],
            limit=self.max_item,
        )

    def _missing_of_pair(self) -> Truncated:
        """Say which field of the pair that begins at self.offset is cut short."""
        kept, at = self._kept, 0
        for field in ("key", "value"):
            had = len(kept) - at
            if had < 4:
                return self._truncated(f"{field} size", at, 4, had, "FRAME-4")
            size = U32.unpack_from(kept, at)[0]
            at += 4
            if len(kept) - at < size:
                return self._truncated(field, at, size, len(kept) - at, "FRAME-4")
            at += size
        raise AssertionError("a complete pair is never kept")

    def _truncated(self, field: str, at: int, wanted: int, had: int, clause: str) -> Truncated:
        return Truncated(
            field=field, offset=self.offset + at, wanted=wanted, had=had, clause=clause
        )


class PairDecoder(_Decoder):
    """Decode pairs from bytes as they come: `feed(data)` -> list of (bytes, bytes), `close()` at end of file.

    max_item   int, bytes: an item over it is ItemTooLarge
    Memory: what is fed and not yet complete, at most one pair and one feed.
    """

    def _scan(self, data, out: list) -> tuple[int, int]:
        return _native.scan_pairs(data, 0, _NO_LIMIT, self.max_item, out)

    def _missing(self) -> Truncated | None:
        return self._missing_of_pair() if self._kept else None


class ListDecoder(_Decoder):
    """Decode result lists from bytes as they come: `feed(data)` -> list of lists of pairs, `close()` at end of file.

    num-pairs is never allocated for (LIST-4): a list grows by the pairs that are there.
    """

    def __init__(self, *, max_item: int = MAX_ITEM) -> None:
        super().__init__(max_item=max_item)
        self._pairs: list[Pair] | None = None
        self._pairs_left = 0

    def list_under_way(self) -> tuple[int, int] | None:
        """(offset, num-pairs) of the result list that has begun and is not complete; None between lists."""
        if self._pairs is None:
            return None
        n_bytes = 4 + sum(8 + len(key) + len(value) for key, value in self._pairs)
        return self.offset - n_bytes, len(self._pairs) + self._pairs_left

    def _scan(self, data, out: list) -> tuple[int, int]:
        position, self._pairs, self._pairs_left, fault = _native.scan_lists(
            data, 0, self._pairs, self._pairs_left, self.max_item, out
        )
        return position, fault

    def _missing(self) -> Truncated | None:
        if self._pairs is None:
            return (
                self._truncated("num-pairs", 0, 4, len(self._kept), "LIST-3")
                if self._kept
                else None
            )
        if self._kept:
            return self._missing_of_pair()
        return Truncated(
            field="key size",
            offset=self.offset,
            wanted=4,
            had=0,
            clause="LIST-3",
            context=f"; the result list has {len(self._pairs)} of its {len(self._pairs) + self._pairs_left} pairs",
        )


def _checked_limit(max_item: int) -> int:
    if not isinstance(max_item, int) or not 0 <= max_item <= 0xFFFFFFFF:
        raise ValueError(f"max_item is a number of bytes from 0 to 4294967295, not {max_item!r}")
    return max_item
