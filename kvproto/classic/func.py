"""Ready-made job functions of the classic interface, and the default partitioning."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from zlib import crc32

from kvproto import _native

__all__ = ["default_partition", "nop_map", "nop_reduce", "sum_combiner", "sum_reduce"]


_MAX_SUMS = 100_000


def default_partition(key, nr_partitions: int, params=None) -> int:
    """The partition of a key, the same in every process and run; equal keys go together (1 == 1.0 == True).

    bytes and str by the crc32 of their (UTF-8) bytes, numbers by their value, tuples by their items, None as 0.
    Raises TypeError for other keys: give a partition function of your own.
    """
    return _stable_hash(key) % nr_partitions


def _stable_hash(key) -> int:
    if isinstance(key, str):
        return crc32(key.encode("utf-8", "surrogateescape"))
    if isinstance(key, (bytes, bytearray)):
        return crc32(key)
    if key is None:
        return 0
    if isinstance(key, (int, float, complex)) or _is_number(key):
        return hash(key) if key == key else 0  # equal numbers hash alike whatever their type, without a seed; not a NaN
    if isinstance(key, tuple):
        return crc32(b"".join((_stable_hash(item) & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little") for item in key))
    raise TypeError(
        f"default_partition takes keys that are str, bytes, numbers, None or tuples of these, not {type(key).__name__}: "
        "give the job a partition function for them"
    )


def _is_number(key) -> bool:
    from numbers import Number  # decimals and fractions: rare, so that the import is theirs

    return isinstance(key, Number)


def nop_map(entry, params) -> Iterator[tuple]:
    """Map that gives each entry as it comes: a pair that a reader made, or an entry with an empty value."""
    yield entry if isinstance(entry, tuple) else (entry, "")


def nop_reduce(iter, out, params) -> None:
    """Reduce that gives each pair as it comes: one result file for each partition."""
    for key, value in iter:
        out.add(key, value)


def sum_combiner(key, value, buffer: dict, done: bool, params):
    """Combiner that sums the values of each key; its buffer is let go at 100,000 keys."""
    if not done:
        buffer[key] = buffer.get(key, 0) + value
        if len(buffer) < _MAX_SUMS:
            return None
    sums = list(buffer.items())
    buffer.clear()
    return sums


def _take_sums(pairs: Iterator, buffer: dict) -> list:
    return _native.sum_pairs(pairs, buffer, _MAX_SUMS - 1)  # the pair after that empties the buffer


sum_combiner.take = _take_sums  # the engine's way in: see `route_pairs`


def sum_reduce(iter, params) -> Iterator[tuple]:
    """Reduce that sums the values of each key."""
    sums: dict = {}
    pairs = iter.__iter__()
    while left := _native.sum_pairs(pairs, sums, sys.maxsize):
        for key, value in left:
            sums[key] = sums.get(key, 0) + value
    yield from sums.items()
