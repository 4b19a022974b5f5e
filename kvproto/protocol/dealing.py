"""Distribute pairs to partitions without creating an object for each pair.

A `Dealer` checks the framing as `FrameStream` does, drops num-pairs, and appends each pair to the
buffer of its partition, all in one pass. Full buffers go to a function of the caller. No I/O.
Implements FRAME, LIST and LIMITS-1 of PROTOCOL.md, with the errors of `frames`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from zlib import crc32

from kvproto.errors import ItemTooLarge
from kvproto.protocol import native as _native
from kvproto.protocol.frames import MAX_ITEM, decode_pairs, encode_pair
from kvproto.protocol.stream import FrameStream, NativeStream, ReferenceStream

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Dealer", "NativeDealer", "ReferenceDealer", "Write"]

_ROOM = 16 << 20  # bytes of all buffers
_MIN_BUFFER = 1 << 12
_MAX_BUFFER = 1 << 20  # larger ones would not stay in the processor's cache

Write = Callable[[int, memoryview, int], object]


class Dealer:
    """Deals the pairs of a stream of pairs or of result lists to partitions.

    The partition of a pair is crc32(key) % n_partitions.

    Parameters
    ----------
    n_partitions : int
        At least 1.
    write : callable
        write(partition, data, n_pairs) takes the next bytes of a partition. They are valid only
        during the call, may end inside a pair, and contain the end of n_pairs pairs.
    with_lists : bool
        Whether it is a stream of result lists or of bare pairs.
    max_item : int
        Limit of an item in bytes, without its 4-byte size.
    buffer_bytes : int, optional
        Bytes of the buffer of each partition.
    """

    def __new__(
        cls,
        n_partitions: int,
        write: Write,
        *,
        with_lists: bool,
        max_item: int = MAX_ITEM,
        buffer_bytes: int | None = None,
    ) -> Dealer:
        kind = NativeDealer if _native.NATIVE else ReferenceDealer
        return super().__new__(kind if cls is Dealer else cls)

    def __init__(
        self,
        n_partitions: int,
        write: Write,
        *,
        with_lists: bool,
        max_item: int = MAX_ITEM,
        buffer_bytes: int | None = None,
    ) -> None:
        if n_partitions < 1:
            raise ValueError(f"n_partitions must be at least 1, not {n_partitions}")
        self._n_partitions = n_partitions
        self._write = write
        self._capacity = buffer_bytes or min(max(_ROOM // n_partitions, _MIN_BUFFER), _MAX_BUFFER)
        self._stream: FrameStream = self._begin(with_lists, max_item)

    @property
    def n_pairs(self) -> int:
        """The number of complete pairs so far."""
        return self._stream.n_pairs

    @property
    def n_lists(self) -> int:
        """The number of complete result lists so far."""
        return self._stream.n_lists

    def feed(self, data: Buffer) -> None:
        """Check and deal the next bytes, cut anywhere.

        Raises
        ------
        ItemTooLarge
            An item is over the limit. Every later call raises the same error.
        """
        raise NotImplementedError

    def flush(self) -> None:
        """Write what is in the buffers."""
        for partition in range(self._n_partitions):
            self._empty(partition)

    def close(self) -> None:
        """Mark the end of the stream. Raises Truncated when it ends inside an element."""
        self._stream.close()

    def list_under_way(self) -> tuple[int, int] | None:
        """Return (offset, num-pairs) of the incomplete list, or None between lists."""
        return self._stream.list_under_way()

    def _begin(self, with_lists: bool, max_item: int) -> FrameStream:
        """Set up the buffers; return what checks the stream."""
        raise NotImplementedError

    def _empty(self, partition: int) -> None:
        """Write what is in a buffer, if anything is."""
        raise NotImplementedError


class NativeDealer(Dealer):
    """Over the compiled kvproto_deal()."""

    _stream: NativeStream

    def _begin(self, with_lists: bool, max_item: int) -> NativeStream:
        ffi = _native.ffi
        stream = NativeStream(with_lists=with_lists, max_item=max_item)
        uncleared = ffi.new_allocator(should_clear_after_alloc=False)
        self._room = uncleared("unsigned char[]", self._n_partitions * self._capacity)
        self._n_bytes = ffi.new("size_t[]", self._n_partitions)
        self._n_pairs = ffi.new("uint64_t[]", self._n_partitions)
        self._dealer = ffi.new("kvproto_dealer *")
        dealer = self._dealer
        dealer.walker, dealer.n_partitions = stream.walker, self._n_partitions
        dealer.capacity, dealer.room = self._capacity, self._room
        dealer.n_bytes, dealer.n_pairs = self._n_bytes, self._n_pairs
        self._key = bytearray()
        self._n_taken = ffi.new("size_t *")
        return stream

    def feed(self, data: Buffer) -> None:
        self._stream.check_fault()
        ffi, lib, dealer = _native.ffi, _native.lib, self._dealer
        view = ffi.from_buffer(data)
        at, n_bytes = 0, len(view)
        while True:
            dealt = lib.kvproto_deal(dealer, view + at, n_bytes - at, self._n_taken)
            at += self._n_taken[0]
            if dealt == lib.KVPROTO_DEALT:
                return
            if dealt == lib.KVPROTO_DEAL_TOO_LARGE:
                raise self._stream.too_large()
            if dealt == lib.KVPROTO_DEAL_FULL:
                self._empty(dealer.owner)
            else:
                self._enlarge_key()

    def _enlarge_key(self) -> None:
        key = bytearray(max(2 * len(self._key), 64))
        key[: len(self._key)] = self._key
        self._key = key
        self._key_view = _native.ffi.from_buffer("unsigned char[]", key)
        self._dealer.key, self._dealer.key_room = self._key_view, len(key)

    def _empty(self, partition: int) -> None:
        n_bytes, n_pairs = self._n_bytes[partition], self._n_pairs[partition]
        if n_bytes:
            start = self._room + partition * self._capacity
            self._n_bytes[partition] = self._n_pairs[partition] = 0
            self._write(partition, memoryview(_native.ffi.buffer(start, n_bytes)), n_pairs)


class ReferenceDealer(Dealer):
    """Over the decoders, one pair at a time."""

    def _begin(self, with_lists: bool, max_item: int) -> ReferenceStream:
        self._buffers = [bytearray() for _ in range(self._n_partitions)]
        self._n_pairs = [0] * self._n_partitions
        self._fault: ItemTooLarge | None = None
        return ReferenceStream(with_lists=with_lists, max_item=max_item)

    def feed(self, data: Buffer) -> None:
        if self._fault is not None:
            raise self._fault
        try:
            self._deal(bytes(self._stream.feed(data)))
        except ItemTooLarge as fault:
            self._fault = fault
            self._deal(fault.decoded[0])
            raise

    def _deal(self, frames: bytes) -> None:
        for key, value in decode_pairs(frames, max_item=0xFFFFFFFF):
            partition = crc32(key) % self._n_partitions
            self._buffers[partition] += encode_pair(key, value, max_item=0xFFFFFFFF)
            self._n_pairs[partition] += 1
            if len(self._buffers[partition]) >= self._capacity:
                self._empty(partition)

    def _empty(self, partition: int) -> None:
        data, n_pairs = self._buffers[partition], self._n_pairs[partition]
        if data:
            self._buffers[partition], self._n_pairs[partition] = bytearray(), 0
            self._write(partition, memoryview(data), n_pairs)
