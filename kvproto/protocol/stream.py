"""Streams of frames, checked as they pass by, without an object for a pair.

What moves framed bytes (the driver's fastest path) feeds every piece through here to count the
pairs and lists, and to refuse bytes that break the framing. No I/O.
Implements FRAME, LIST and LIMITS-1 of PROTOCOL.md with the errors of `frames`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kvproto.errors import ItemTooLarge, ProtocolError, Truncated
from kvproto.protocol import native as _native
from kvproto.protocol.frames import MAX_ITEM, ListDecoder, Pair, PairDecoder, encode_pairs

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["FrameStream"]

_FIELDS = ("num-pairs", "key size", "key", "value size", "value")


class FrameStream:
    """A stream of pairs or of result lists.

    Parameters
    ----------
    with_lists : bool
        Result lists, not bare pairs.
    max_item : int
        Limit of an item in bytes, without its 4-byte size.
    """

    def __new__(cls, *, with_lists: bool, max_item: int = MAX_ITEM) -> FrameStream:
        kind = _NativeStream if _native.NATIVE else _ReferenceStream
        return super().__new__(kind if cls is FrameStream else cls)

    @property
    def n_pairs(self) -> int:
        """Complete pairs that went by."""
        raise NotImplementedError

    @property
    def n_lists(self) -> int:
        """Complete result lists that went by; 0 in a stream of bare pairs."""
        raise NotImplementedError

    def feed(self, data: Buffer) -> memoryview:
        """Take the next bytes, cut anywhere; return them without the num-pairs fields.

        What it returns is valid until the next call.

        Raises
        ------
        ItemTooLarge
            Its `decoded` is [the bytes of pairs before the fault].
        """
        raise NotImplementedError

    def check(self, data: Buffer) -> None:
        """As `feed`, but return nothing."""
        raise NotImplementedError

    def close(self) -> None:
        """Take the end of the stream. Raises Truncated when it ends inside an element."""
        raise NotImplementedError

    def list_under_way(self) -> tuple[int, int] | None:
        """Return (offset, num-pairs) of the list that is not complete; None between lists."""
        raise NotImplementedError


class _NativeStream(FrameStream):
    """The compiled walker."""

    def __init__(self, *, with_lists: bool, max_item: int = MAX_ITEM) -> None:
        self._walker = _native.ffi.new("disco_walker *")
        self._n_kept = _native.ffi.new("size_t *")
        self._room = bytearray()  # used again, since fresh memory costs page faults
        self._fault: ItemTooLarge | None = None
        _native.lib.disco_walk_start(self._walker, with_lists, max_item)

    @property
    def n_pairs(self) -> int:
        return self._walker.n_pairs

    @property
    def n_lists(self) -> int:
        return self._walker.n_lists

    def feed(self, data: Buffer) -> memoryview:
        kept = self._walk(memoryview(data), keep=True)
        return memoryview(self._room)[:kept]

    def check(self, data: Buffer) -> None:
        self._walk(memoryview(data), keep=False)

    def close(self) -> None:
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
            context=self._progress_of_list(),
        )

    def _progress_of_list(self) -> str:
        # Only where the list ends between two of its pairs: elsewhere the field says it all.
        walker = self._walker
        if not walker.in_list or walker.had or _FIELDS[walker.field] != "key size":
            return ""
        n_pairs = walker.num_pairs - walker.pairs_left
        return f"; the result list has {n_pairs} of its {walker.num_pairs} pairs"

    def list_under_way(self) -> tuple[int, int] | None:
        walker = self._walker
        return (walker.list_offset, walker.num_pairs) if walker.in_list else None

    def _walk(self, data: memoryview, *, keep: bool) -> int:
        if self._fault is not None:
            raise self._fault
        ffi, walker = _native.ffi, self._walker
        if keep and len(self._room) < data.nbytes:
            self._room = bytearray(data.nbytes)
        room = ffi.from_buffer(self._room) if keep else ffi.NULL
        status = _native.lib.disco_walk(
            walker, ffi.from_buffer(data), data.nbytes, room, self._n_kept
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


class _ReferenceStream(FrameStream):
    """The same with the decoders. It holds a result list until the list is complete."""

    def __init__(self, *, with_lists: bool, max_item: int = MAX_ITEM) -> None:
        self._lists = ListDecoder(max_item=max_item) if with_lists else None
        self._pairs = PairDecoder(max_item=max_item)
        self._n_pairs = self._n_lists = 0

    @property
    def n_pairs(self) -> int:
        return self._n_pairs

    @property
    def n_lists(self) -> int:
        return self._n_lists

    def feed(self, data: Buffer) -> memoryview:
        try:
            if self._lists is None:
                return memoryview(self._frames([self._pairs.feed(data)]))
            return memoryview(self._frames(self._lists.feed(data)))
        except ProtocolError as fault:
            lists = [fault.decoded] if self._lists is None else fault.decoded
            fault.decoded = [self._frames(lists)]
            raise

    def check(self, data: Buffer) -> None:
        self.feed(data)

    def close(self) -> None:
        (self._lists or self._pairs).close()

    def list_under_way(self) -> tuple[int, int] | None:
        return self._lists.list_under_way() if self._lists is not None else None

    def _frames(self, lists: Iterable[list[Pair]]) -> bytes:
        frames = []
        for pairs in lists:
            self._n_lists += self._lists is not None
            self._n_pairs += len(pairs)
            frames.append(encode_pairs(pairs, max_item=0xFFFFFFFF))
        return b"".join(frames)
