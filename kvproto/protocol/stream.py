"""Check streams of frames without creating an object for each pair.

The driver's fastest path feeds its input and output through a `FrameStream`, which counts pairs and
lists and rejects bytes that break the framing. No I/O. Implements FRAME, LIST and LIMITS-1 of
PROTOCOL.md, with the errors of `frames`.
"""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, NamedTuple, Self

from kvproto.errors import ItemTooLarge, ProtocolError, Truncated
from kvproto.protocol import native as _native
from kvproto.protocol.frames import MAX_ITEM, ListDecoder, Pair, PairDecoder, encode_pairs

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["FrameStream", "NativeStream", "Place", "ReferenceStream"]

_FIELDS = ("num-pairs", "key size", "key", "value size", "value")


class Place(NamedTuple):
    """The field that a stream is at.

    Attributes
    ----------
    field : str
        "num-pairs", "key size", "key", "value size" or "value".
    offset : int
        Where the field begins in the stream.
    wanted, had : int
        The bytes of the field, and how many of them were taken.
    pair, record : int
        The number of its pair, from 0: in its list, if the stream has lists. The number of its
        list or, in a stream of bare pairs, of its pair.
    """

    field: str
    offset: int
    wanted: int
    had: int
    pair: int
    record: int


class FrameStream:
    """A stream of pairs or of result lists.

    Parameters
    ----------
    with_lists : bool
        Whether it is a stream of result lists or of bare pairs.
    max_item : int
        Limit of an item in bytes, without its 4-byte size.
    offset : int
        The offset of the first byte, which all offsets include.
    """

    def __new__(cls, *, with_lists: bool, max_item: int = MAX_ITEM, offset: int = 0) -> FrameStream:
        kind = NativeStream if _native.NATIVE else ReferenceStream
        return super().__new__(kind if cls is FrameStream else cls)

    @property
    def n_pairs(self) -> int:
        """The number of complete pairs so far."""
        raise NotImplementedError

    @property
    def n_lists(self) -> int:
        """The number of complete result lists so far; 0 in a stream of bare pairs."""
        raise NotImplementedError

    @property
    def pair_offset(self) -> int:
        """Bytes before the first incomplete pair of a stream of bare pairs."""
        raise NotImplementedError

    def feed(self, data: Buffer) -> memoryview:
        """Check the next bytes, cut anywhere, and return them without the num-pairs fields.

        Returns
        -------
        memoryview
            Valid until the next call.

        Raises
        ------
        ItemTooLarge
            Its `decoded` is [the bytes of the pairs before the fault].
        """
        raise NotImplementedError

    def check(self, data: Buffer) -> None:
        """Check the next bytes as `feed` does, but return nothing."""
        raise NotImplementedError

    def close(self) -> None:
        """Mark the end of the stream. Raises Truncated when it ends inside an element."""
        raise NotImplementedError

    def list_under_way(self) -> tuple[int, int] | None:
        """Return (offset, num-pairs) of the incomplete list, or None between lists."""
        raise NotImplementedError

    def place(self) -> Place:
        """Return the field that the next byte belongs to. Empty items have no bytes."""
        raise NotImplementedError

    def copy(self) -> Self:
        """Return a stream in the same state."""
        raise NotImplementedError


class NativeStream(FrameStream):
    """A stream over the compiled walker.

    Attributes
    ----------
    walker : cdata
        The disco_walker.
    """

    def __init__(self, *, with_lists: bool, max_item: int = MAX_ITEM, offset: int = 0) -> None:
        self.walker = _native.ffi.new("disco_walker *")
        self._n_kept = _native.ffi.new("size_t *")
        self._room = bytearray()  # reused: fresh memory costs page faults
        self._fault: ItemTooLarge | None = None
        _native.lib.disco_walk_start(self.walker, with_lists, max_item)
        self.walker.offset = self.walker.field_offset = offset

    @property
    def n_pairs(self) -> int:
        return self.walker.n_pairs

    @property
    def n_lists(self) -> int:
        return self.walker.n_lists

    @property
    def pair_offset(self) -> int:
        return self.walker.pair_offset

    def feed(self, data: Buffer) -> memoryview:
        n_kept = self._walk(memoryview(data), keep=True)
        return memoryview(self._room)[:n_kept]

    def check(self, data: Buffer) -> None:
        self._walk(memoryview(data), keep=False)

    def close(self) -> None:
        walker = self.walker
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
        # Only for a list that ends between two pairs: otherwise the field explains the error.
        walker = self.walker
        if not walker.in_list or walker.had or _FIELDS[walker.field] != "key size":
            return ""
        n_pairs = walker.num_pairs - walker.pairs_left
        return f"; the result list has {n_pairs} of its {walker.num_pairs} pairs"

    def list_under_way(self) -> tuple[int, int] | None:
        walker = self.walker
        return (walker.list_offset, walker.num_pairs) if walker.in_list else None

    def place(self) -> Place:
        walker = self.walker
        pair = record = walker.n_pairs
        if walker.with_lists:
            pair = walker.num_pairs - walker.pairs_left if walker.in_list else 0
            record = walker.n_lists
        field = _FIELDS[walker.field]
        return Place(field, walker.field_offset, walker.wanted, walker.had, pair, record)

    def copy(self) -> NativeStream:
        other = NativeStream(with_lists=False)
        other.walker[0] = self.walker[0]
        other._fault = self._fault
        return other

    def _walk(self, data: memoryview, *, keep: bool) -> int:
        self.check_fault()
        ffi, walker = _native.ffi, self.walker
        if keep and len(self._room) < data.nbytes:
            self._room = bytearray(data.nbytes)
        room = ffi.from_buffer(self._room) if keep else ffi.NULL
        status = _native.lib.disco_walk(
            walker, ffi.from_buffer(data), data.nbytes, room, self._n_kept
        )
        if status == _native.lib.DISCO_TOO_LARGE:
            fault = self.too_large()
            fault.decoded = [bytes(memoryview(self._room)[: self._n_kept[0]])] if keep else []
            raise fault
        return self._n_kept[0]

    def check_fault(self) -> None:
        """Raise the error of an earlier call, if there was one."""
        if self._fault is not None:
            raise self._fault

    def too_large(self) -> ItemTooLarge:
        """Return the error for the current field. Every later call raises it too."""
        walker = self.walker
        self._fault = ItemTooLarge(
            field=_FIELDS[walker.field],
            offset=walker.field_offset,
            size=walker.wanted,
            limit=walker.max_item,
        )
        return self._fault


class _Pairs(PairDecoder):
    """A decoder that shows the incomplete field."""

    def field_under_way(self) -> tuple[str, int, int, int]:
        return self._field_under_way()


class _Lists(ListDecoder):
    """A decoder that shows the incomplete field, and the complete pairs of the incomplete list."""

    def field_under_way(self) -> tuple[str, int, int, int]:
        return self._field_under_way()

    def pairs_under_way(self) -> list[Pair]:
        return self._pairs or []


class ReferenceStream(FrameStream):
    """A stream over the decoders."""

    def __init__(self, *, with_lists: bool, max_item: int = MAX_ITEM, offset: int = 0) -> None:
        self._list_decoder = _Lists(max_item=max_item) if with_lists else None
        self._pair_decoder = _Pairs(max_item=max_item)
        (self._list_decoder or self._pair_decoder).offset = offset
        self._n_pairs = self._n_lists = 0
        self._n_returned = 0  # pairs of the incomplete list

    @property
    def n_pairs(self) -> int:
        return self._n_pairs

    @property
    def n_lists(self) -> int:
        return self._n_lists

    @property
    def pair_offset(self) -> int:
        return self._pair_decoder.offset

    def feed(self, data: Buffer) -> memoryview:
        try:
            if self._list_decoder is None:
                return memoryview(self._encoded(self._pair_decoder.feed(data)))
            return memoryview(self._encoded(self._new_pairs(self._list_decoder.feed(data))))
        except ProtocolError as fault:
            is_list = self._list_decoder is not None
            pairs = self._new_pairs(fault.decoded) if is_list else fault.decoded
            fault.decoded = [self._encoded(pairs)]
            raise

    def check(self, data: Buffer) -> None:
        self.feed(data)

    def close(self) -> None:
        (self._list_decoder or self._pair_decoder).close()

    def list_under_way(self) -> tuple[int, int] | None:
        return self._list_decoder.list_under_way() if self._list_decoder is not None else None

    def place(self) -> Place:
        if self._list_decoder is None:
            return Place(*self._pair_decoder.field_under_way(), self._n_pairs, self._n_pairs)
        return Place(*self._list_decoder.field_under_way(), self._n_returned, self._n_lists)

    def copy(self) -> ReferenceStream:
        other = ReferenceStream(with_lists=False)
        vars(other).update(copy.deepcopy(vars(self)))
        return other

    def _new_pairs(self, lists: list[list[Pair]]) -> list[Pair]:
        """Return the pairs of complete lists, and of the incomplete one, without those returned."""
        assert self._list_decoder is not None
        under_way = self._list_decoder.pairs_under_way()
        pairs = list(itertools.chain(*lists, under_way))[self._n_returned :]
        self._n_lists += len(lists)
        self._n_returned = len(under_way)
        return pairs

    def _encoded(self, pairs: list[Pair]) -> bytes:
        self._n_pairs += len(pairs)
        return encode_pairs(pairs, max_item=0xFFFFFFFF)
