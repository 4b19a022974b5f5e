"""Sums over frames: of external programs, whose values are numbers as text, and typed ones.

`combine_frames`, `reduce_frames` and `reduce_typed` are what `sum_combiner` and `sum_reduce` do
where no pair needs to become an object. A value that is not written as the programs usually do
(" 7", "007", more than 18 digits), another object than an int, or a sum of more than 64 bits, is
left to Python, with the same result.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from functools import partial
from itertools import chain
from typing import Any, NamedTuple, Protocol

from kvproto.errors import DataError
from kvproto.protocol import native as _native
from kvproto.protocol.blocks import blocks_of
from kvproto.protocol.frames import MAX_ITEM, Pair, PairDecoder, decode_pairs, encode_pair
from kvproto.protocol.reference import FINE, Bytes, scan_pairs
from kvproto.storage.typed_records import Batch, TypedBatch, pairs_in

__all__ = [
    "FrameSums",
    "Stop",
    "add_value",
    "combine_frames",
    "new_sums",
    "reduce_frames",
    "reduce_typed",
    "sum_objects",
]

_COMBINED = 16 << 20  # bytes of memory for the sums of a combiner
_SIMPLE = re.compile(rb"-?[1-9][0-9]{0,17}|0")
_INT = re.compile(rb"i.{8}", re.DOTALL)
_MOST = 1 << 63
_KEY = 200  # bytes of memory of a key and its sum in Python
_SIZES = 8  # bytes of a frame besides its key and value


class Stop(IntEnum):
    """Why `FrameSums.add` has stopped, as in csrc/native/native.h."""

    MORE = 1  # no whole frame is left
    FULL = 2  # take the sums first
    ODD = 3  # the next value is not a simple number, or its sum has more than 64 bits
    OVER_LIMIT = 4
    NO_MEMORY = 5


def add_value(total: Any, value: Any, key: Any) -> Any:
    """Add a value to the sum of its key; the sum of numbers as text (bytes) is one, too.

    TypeError when they cannot be added, ValueError for text that is not a number.
    """
    if type(value) is not bytes:
        return total + value
    try:
        return b"%d" % (int(total) + int(value))
    except ValueError:
        raise ValueError(
            f"the value of the key {key!r:.100} cannot be added, as it is not a number: "
            f"{value!r:.100}"
        ) from None


def combine_frames(frames: Iterable[bytes]) -> Iterator[bytes]:
    """Sum the values of each key of frames, cut anywhere, in little memory; yields whole frames.

    A key may have several sums. Errors are as for `add_value`, and Truncated.
    """
    sums = new_sums(_COMBINED)
    begun = bytearray()
    for chunk in frames:
        begun += chunk
        n_taken, stop = sums.add(begun, 0)
        while stop != Stop.MORE:
            yield from sums.take()
            if stop == Stop.ODD:
                key, value, n_taken = _pair_at(begun, n_taken)
                yield encode_pair(key, add_value(0, value, key))
            n_taken, stop = sums.add(begun, n_taken)
        del begun[:n_taken]
    decode_pairs(begun)  # Truncated, if the last pair is
    yield from sums.take()


def reduce_frames(frames: Iterable[bytes]) -> Iterator[Pair]:
    """Sum the values of each key of frames, cut anywhere; yields keys with their sums.

    The keys are in the order in which they first came. Errors are as for `combine_frames`.
    """
    sums = new_sums(sys.maxsize)
    begun = bytearray()
    chunks = iter(frames)
    for chunk in chunks:
        begun += chunk
        n_taken, stop = sums.add(begun, 0)
        del begun[:n_taken]
        if stop != Stop.MORE:
            totals = dict(_pairs(sums.take()))
            for key, value in _pairs(chain([begun], chunks)):
                totals[key] = add_value(totals.get(key, 0), value, key)
            yield from totals.items()
            return
    decode_pairs(begun)  # Truncated, if the last pair is
    yield from _pairs(sums.take())


def reduce_typed(batches: Iterable[Batch]) -> Iterator[Pair]:
    """Sum the values of each key of typed batches; yields keys with their sums.

    The keys are in the order in which they first came. Errors are as for `sum_objects`.
    """
    sums = new_sums(sys.maxsize, is_typed=True)
    left = iter(batches)
    is_text = None
    for batch in left:
        odd = batch
        if isinstance(batch, TypedBatch) and is_text in (None, batch.is_text):
            is_text = batch.is_text
            n_taken, stop = sums.add(batch.frames, 0)
            if stop == Stop.MORE:
                continue
            odd = TypedBatch(batch.frames[n_taken:], batch.is_text)
        totals = dict(_typed_pairs(sums, is_text))
        yield from sum_objects(chain.from_iterable(map(pairs_in, chain([odd], left))), totals)
        return
    yield from _typed_pairs(sums, is_text)


def _typed_pairs(sums: FrameSums, is_text: bool | None) -> Iterator[Pair]:
    for frames in sums.take():
        yield from TypedBatch(frames, bool(is_text)).pairs()


def sum_objects(pairs: Iterator[Pair], sums: dict[Any, Any]) -> Iterator[Pair]:
    """Add the values of pairs of objects to sums; yields all sums. Raises as `add_value`."""
    while left := _native.sum_pairs(pairs, sums, sys.maxsize):
        for key, value in left:
            sums[key] = add_value(sums.get(key, 0), value, key)
    yield from sums.items()


def _pairs(frames: Iterable[Bytes]) -> Iterator[Pair]:
    decoder = PairDecoder()
    for chunk in frames:
        yield from decoder.feed(chunk)
    decoder.close()


def _pair_at(frames: Bytes, start: int) -> tuple[bytes, bytes, int]:
    """The pair at an offset, and the offset after it."""
    pairs: list[Pair] = []
    end, _ = _native.scan_pairs(frames, start, 1, MAX_ITEM, pairs)
    return *pairs[0], end


class FrameSums(Protocol):
    """Adds up values that are written as simple numbers, or typed ints."""

    def add(self, frames: bytes | bytearray, start: int) -> tuple[int, Stop]:
        """Add the whole frames from an offset on; returns where and why it stopped.

        Raises MemoryError, and DataError for a size over the limit.
        """

    def take(self) -> Iterator[bytes]:
        """Yield the sums as blocks of frames, in the order of the keys' first values; forget them.

        Raises MemoryError.
        """


def new_sums(max_bytes: int, is_typed: bool = False) -> FrameSums:
    """Make sums of numbers as text, or of typed ints, that use about max_bytes of memory."""
    kind = _NativeSums if _native.NATIVE else _ReferenceSums
    return kind(max_bytes, is_typed)


class _NativeSums:
    """kvproto_summer of csrc/native/frame_sums.c."""

    def __init__(self, max_bytes: int, is_typed: bool = False) -> None:
        summer = _native.lib.kvproto_summer_new(max_bytes, MAX_ITEM, is_typed)
        if summer == _native.ffi.NULL:
            raise _no_memory()
        self._summer = _native.ffi.gc(summer, _native.lib.kvproto_summer_free)
        self._stop = _native.ffi.new("int *")

    def add(self, frames: bytes | bytearray, start: int) -> tuple[int, Stop]:
        with memoryview(frames) as view, view[start:] as data:
            n_taken = _native.lib.kvproto_summer_add(
                self._summer, _native.ffi.from_buffer(data), len(data), self._stop
            )
        return start + n_taken, _checked(Stop(self._stop[0]))

    def take(self) -> Iterator[bytes]:
        yield from blocks_of(partial(_native.lib.kvproto_summer_take, self._summer))
        _native.lib.kvproto_summer_reset(self._summer)


class _Form(NamedTuple):
    """How numbers are written."""

    simple: re.Pattern[bytes]
    read: Callable[[bytes], int]
    write: Callable[[int], bytes]


_TEXT = _Form(_SIMPLE, int, b"%d".__mod__)
_TYPED = _Form(
    _INT,
    lambda value: int.from_bytes(value[1:], "little", signed=True),
    lambda total: b"i" + total.to_bytes(8, "little", signed=True),
)


class _ReferenceSums:
    def __init__(self, max_bytes: int, is_typed: bool = False) -> None:
        self._simple, self._read, self._write = _TEXT if not is_typed else _TYPED
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._sums: dict[bytes, int] = {}

    def add(self, frames: bytes | bytearray, start: int) -> tuple[int, Stop]:
        pairs: list[Pair] = []
        _, fault = scan_pairs(frames, start, len(frames), MAX_ITEM, pairs)
        for key, value in pairs:
            if self._n_bytes > self._max_bytes:
                return start, Stop.FULL
            if not self._simple.fullmatch(value):
                return start, Stop.ODD
            total = self._sums.get(key, 0) + self._read(value)
            if not -_MOST <= total < _MOST:
                return start, Stop.ODD
            self._n_bytes += 0 if key in self._sums else len(key) + _KEY
            self._sums[key] = total
            start += _SIZES + len(key) + len(value)
        return start, _checked(Stop.MORE if fault == FINE else Stop.OVER_LIMIT)

    def take(self) -> Iterator[bytes]:
        frames = [encode_pair(key, self._write(total)) for key, total in self._sums.items()]
        self._sums.clear()
        self._n_bytes = 0
        yield from frames


def _checked(stop: Stop) -> Stop:
    if stop == Stop.NO_MEMORY:
        raise _no_memory()
    if stop == Stop.OVER_LIMIT:
        raise DataError(f"the frames to sum are damaged: an item is over {MAX_ITEM} bytes")
    return stop


def _no_memory() -> MemoryError:
    return MemoryError("no memory for the sums: more partitions need less for each")
