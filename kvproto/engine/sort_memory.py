"""Sort frames in memory: compiled where that is built, otherwise by a reference in Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from operator import itemgetter
from typing import Protocol

from kvproto.errors import DataError
from kvproto.protocol import native as _native
from kvproto.protocol.blocks import BLOCK, blocks_of
from kvproto.protocol.frames import MAX_ITEM, encode_pair
from kvproto.protocol.reference import FINE, Bytes, scan_pairs

__all__ = ["FrameSorter", "new_sorter", "to_frames", "to_records"]

_SIZES = 8  # bytes of a frame besides its key and value
_WRONG_ESCAPE = re.compile(b"\1(?![\3-\5])")
_PAIR = 200  # bytes of memory of a pair in Python, besides its key and value


class FrameSorter(Protocol):
    """Takes frames until its memory is full, and gives them back in the order of their keys.

    Equal keys keep their order. It always takes at least one pair.
    """

    @property
    def n_pairs(self) -> int:
        """Complete pairs that it has."""

    @property
    def n_left(self) -> int:
        """Bytes of an incomplete pair."""

    def add(self, data: Bytes) -> int:
        """Add frames, cut anywhere. Returns the bytes that were taken; fewer than all: it is full.

        Raises MemoryError, and DataError for a size over the limit.
        """

    def sorted(self) -> Iterator[bytes]:
        """Yield its pairs as blocks of whole frames, and forget them. Raises MemoryError."""


def new_sorter(max_bytes: int) -> FrameSorter:
    """Make a sorter that uses about max_bytes of memory."""
    return _NativeSorter(max_bytes) if _native.NATIVE else _ReferenceSorter(max_bytes)


class _NativeSorter:
    """kvproto_sorter of csrc/native/sort.c."""

    def __init__(self, max_bytes: int) -> None:
        sorter = _native.lib.kvproto_sorter_new(max_bytes, MAX_ITEM)
        if sorter == _native.ffi.NULL:
            raise _no_memory()
        self._sorter = _native.ffi.gc(sorter, _native.lib.kvproto_sorter_free)

    @property
    def n_pairs(self) -> int:
        return _native.lib.kvproto_sorter_n_pairs(self._sorter)

    @property
    def n_left(self) -> int:
        return _native.lib.kvproto_sorter_n_left(self._sorter)

    def add(self, data: Bytes) -> int:
        n_taken = _native.lib.kvproto_sorter_add(
            self._sorter, _native.ffi.from_buffer(data), len(data)
        )
        if n_taken < 0:
            raise _no_memory() if n_taken == -1 else _too_large()
        return n_taken

    def sorted(self) -> Iterator[bytes]:
        if _native.lib.kvproto_sorter_sort(self._sorter) != 0:
            raise _no_memory()
        yield from blocks_of(partial(_native.lib.kvproto_sorter_take, self._sorter))
        _native.lib.kvproto_sorter_reset(self._sorter)


class _ReferenceSorter:
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._begun = b""
        self._pairs: list[tuple[bytes, bytes]] = []

    @property
    def n_pairs(self) -> int:
        return len(self._pairs)

    @property
    def n_left(self) -> int:
        return len(self._begun)

    def add(self, data: Bytes) -> int:
        if self._pairs and self._n_bytes > self._max_bytes:
            return 0
        data_from_before = self._begun + bytes(data)
        n_before = len(self._pairs)
        size = len(data_from_before)
        n_taken, fault = scan_pairs(data_from_before, 0, size, MAX_ITEM, self._pairs)
        if fault != FINE:
            raise _too_large()
        self._begun = data_from_before[n_taken:]
        self._n_bytes += n_taken + _PAIR * (len(self._pairs) - n_before)
        return len(data)

    def sorted(self) -> Iterator[bytes]:
        self._pairs.sort(key=itemgetter(0))
        block = bytearray()
        for key, value in self._pairs:
            block += encode_pair(key, value)
            if len(block) >= BLOCK:
                yield bytes(block)
                block.clear()
        if block:
            yield bytes(block)
        self._pairs = []
        self._n_bytes = 0


def _no_memory() -> MemoryError:
    return MemoryError("no memory to sort in: a smaller sort_buffer_size needs less")


def _too_large() -> DataError:
    return DataError(
        f"the frames to sort are damaged: an item is over the limit of {MAX_ITEM} bytes"
    )


# --- records of the program `sort` ---------------------------------------------------------------


def to_records(frames: bytes) -> bytes:
    """Encode whole frames as records KEY 02 VALUE 00.

    The bytes 00, 01 and 02 of keys and values become 01 03, 01 04 and 01 05, which keeps the order
    of keys.
    """
    if _native.NATIVE:
        out = bytearray(2 * len(frames))
        n_bytes = _native.lib.kvproto_frames_to_records(
            _native.ffi.from_buffer(frames), len(frames), _native.ffi.from_buffer(out)
        )
        return bytes(memoryview(out)[:n_bytes])
    pairs: list[tuple[bytes, bytes]] = []
    scan_pairs(frames, 0, len(frames), MAX_ITEM, pairs)
    return b"".join([b"%b\2%b\0" % (_escaped(key), _escaped(value)) for key, value in pairs])


def to_frames(records: bytes) -> bytes:
    """Decode whole records. Raises ValueError for what `to_records` does not make."""
    if _native.NATIVE:
        out = bytearray(len(records) + (_SIZES - 2) * records.count(b"\0"))
        n_bytes = _native.lib.kvproto_records_to_frames(
            _native.ffi.from_buffer(records), len(records), _native.ffi.from_buffer(out)
        )
        if n_bytes < 0:
            raise ValueError("these are not records")
        return bytes(memoryview(out)[:n_bytes])
    *whole, rest = records.split(b"\0")
    pairs = [record.split(b"\2") for record in whole]
    if rest or any(len(pair) != 2 for pair in pairs):
        raise ValueError("these are not records")
    return b"".join([encode_pair(_unescaped(key), _unescaped(value)) for key, value in pairs])


def _escaped(data: bytes) -> bytes:
    return data.replace(b"\1", b"\1\4").replace(b"\0", b"\1\3").replace(b"\2", b"\1\5")


def _unescaped(data: bytes) -> bytes:
    if _WRONG_ESCAPE.search(data):
        raise ValueError("these are not records")
    return data.replace(b"\1\3", b"\0").replace(b"\1\5", b"\2").replace(b"\1\4", b"\1")
