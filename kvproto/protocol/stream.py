"""Streams of frames, checked as they pass by: no object per pair, no buffering of pairs.

What moves framed bytes (the driver's bulk path) feeds every piece through here to know how many pairs
and lists went by and to refuse what breaks the framing, at the byte. No I/O.
Implements FRAME, LIST and LIMITS-1 of PROTOCOL.md, as `wire` does, with the same errors.
"""

from __future__ import annotations

from kvproto.errors import ItemTooLarge, ProtocolError, Truncated
from kvproto.protocol import native as _native
from kvproto.protocol.frames import MAX_ITEM, ListDecoder, PairDecoder, encode_pairs

__all__ = ["FrameStream"]

_FIELDS = ("num-pairs", "key size", "key", "value size", "value")


class _NativeStream:
    """The compiled walker behind a Python face."""

    def __init__(self, *, with_lists: bool, max_item: int = MAX_ITEM) -> None:
        self._walker = _native.ffi.new("disco_walker *")
        self._n_kept = _native.ffi.new("size_t *")
        self._room = bytearray()
        self._fault: ItemTooLarge | None = None
        _native.lib.disco_walk_start(self._walker, with_lists, max_item)

    @property
    def n_pairs(self) -> int:
        """Complete pairs that went by."""
        return self._walker.n_pairs

    @property
    def n_lists(self) -> int:
        """Complete result lists that went by; 0 in a stream of bare pairs."""
        return self._walker.n_lists

    def feed(self, data) -> memoryview:
        """Take the next bytes (cut anywhere); returns them less the num-pairs fields: bare pairs, cut anywhere.

        What it returns is valid until the next call: memory that is used again costs no page faults.

        Raises ItemTooLarge; its `decoded` is [the bytes of complete pairs and parts before the fault].
        """
        kept = self._walk(data, keep=True)
        return memoryview(self._room)[:kept]

    def check(self, data) -> None:
        """As `feed`, for a stream that goes on as it is: returns nothing."""
        self._walk(data, keep=False)

    def close(self) -> None:
        """Say that the stream has ended. Raises Truncated when it ended inside an element."""
        walker = self._walker
        field = _FIELDS[walker.field]
        if walker.had == 0 and not walker.in_list and field in ("num-pairs", "key size"):
            return
        in_a_list = walker.with_lists and (
            field == "num-pairs" or (field == "key size" and not walker.had)
        )
        raise Truncated(
            field=field,
            offset=walker.field_offset,
            wanted=walker.wanted,
            had=walker.had,
            clause="LIST-3" if in_a_list else "FRAME-4",
            context=self._list_under_way(),
        )

    def _list_under_way(self) -> str:
        # Only where the list ends between two of its pairs: elsewhere the field says it all.
        walker = self._walker
        if not walker.in_list or walker.had or _FIELDS[walker.field] != "key size":
            return ""
        return f"; the result list has {walker.num_pairs - walker.pairs_left} of its {walker.num_pairs} pairs"

    def list_under_way(self) -> tuple[int, int] | None:
        """(offset, num-pairs) of the result list that has begun and is not complete; None between lists."""
        walker = self._walker
        return (walker.list_offset, walker.num_pairs) if walker.in_list else None

    def _walk(self, data, *, keep: bool) -> int:
        if self._fault is not None:
            raise self._fault
        ffi, walker = _native.ffi, self._walker
        if keep and len(self._room) < len(data):
            self._room = bytearray(len(data))
        room = ffi.from_buffer(self._room) if keep else ffi.NULL
        status = _native.lib.disco_walk(
            walker, ffi.from_buffer(data), len(data), room, self._n_kept
        )
        if status == _native.lib.DISCO_TOO_LARGE:
            fault = ItemTooLarge(
                field=_FIELDS[walker.field],
                offset=walker.field_offset,
                size=walker.wanted,
                limit=walker.max_item,
            )
            fault.decoded = [bytes(memoryview(self._room)[: self._n_kept[0]])] if keep else []
            self._fault = fault
            raise fault
        return self._n_kept[0]


class _ReferenceStream:
    """The same by way of the decoders, where nothing is compiled; it holds a result list until it is complete."""

    def __init__(self, *, with_lists: bool, max_item: int = MAX_ITEM) -> None:
        self._decoder = (
            ListDecoder(max_item=max_item) if with_lists else PairDecoder(max_item=max_item)
        )
        self._with_lists = with_lists
        self.n_pairs = 0
        self.n_lists = 0

    def feed(self, data) -> memoryview:
        try:
            return memoryview(self._take(self._decoder.feed(data)))
        except ProtocolError as fault:
            fault.decoded = [self._take(fault.decoded)]
            raise

    def check(self, data) -> None:
        self.feed(data)

    def close(self) -> None:
        self._decoder.close()

    def list_under_way(self) -> tuple[int, int] | None:
        return self._decoder.list_under_way()

    def _take(self, decoded: list) -> bytes:
        lists = decoded if self._with_lists else [decoded]
        self.n_lists += len(decoded) if self._with_lists else 0
        self.n_pairs += sum(map(len, lists))
        return b"".join(encode_pairs(pairs, max_item=0xFFFFFFFF) for pairs in lists)


FrameStream = _NativeStream if _native.NATIVE else _ReferenceStream
"""A stream of frames: FrameStream(with_lists=..., max_item=...) with feed, check, close,
n_pairs, n_lists, list_under_way."""
