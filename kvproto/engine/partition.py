"""Partitions: the default partition function, and batches of pairs divided into partitions."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from kvproto.inputs.streams import name_of
from kvproto.protocol import native as _native

__all__ = ["Partitioner", "default_partition"]

_MAX_SEEN = 1 << 16  # keys whose partition is remembered


def default_partition(key: Any, nr_partitions: int, params: Any = None) -> int:
    """Return the partition of a key, the same in every process and run.

    Equal keys have the same partition (1 == 1.0 == True).

    Parameters
    ----------
    key : str, bytes, number, None or tuple of these
        The partition depends on the crc32 of bytes or of the UTF-8 of a str, the value of a number,
        or the items of a tuple. None counts as 0.
    nr_partitions : int
        At least 1.
    params : object
        Not used.

    Returns
    -------
    int
        From 0 to nr_partitions - 1.

    Raises
    ------
    TypeError
        For other keys; the job needs a partition function for them.
    """
    return _stable_hash(key) % nr_partitions


def _stable_hash(key: Any) -> int:
    if isinstance(key, str):
        try:
            return crc32(key.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:  # a surrogate that stands for no byte, such as from JSON
            return crc32(key.encode("utf-8", "surrogatepass"))
    if isinstance(key, (bytes, bytearray)):
        return crc32(key)
    if key is None:
        return 0
    if isinstance(key, (int, float, complex)) or _is_number(key):
        # Equal numbers have equal hashes, whatever their types and the hash seed; NaN does not.
        return hash(key) if key == key else 0
    if isinstance(key, tuple):
        hashes = (_stable_hash(item) & 0xFFFFFFFFFFFFFFFF for item in key)
        return crc32(b"".join(one.to_bytes(8, "little") for one in hashes))
    raise TypeError(
        "default_partition takes keys that are str, bytes, numbers, None or tuples of these, not "
        f"{type(key).__name__}: give the job a partition function for them"
    )


def _is_number(key: Any) -> bool:
    from numbers import Number  # noqa: PLC0415 (slow to load, and only decimals and fractions need it)

    return isinstance(key, Number)


class Partitioner:
    """Divides a batch of pairs into one list for each partition.

    Parameters
    ----------
    function : callable
        partition(key, n_partitions, params) -> int.
    n_partitions : int
        At least 1. Also an attribute.
    params : object
        Passed to the function.
    """

    def __init__(self, function: Any, n_partitions: int, params: Any) -> None:
        self.n_partitions = n_partitions
        self._function = function
        self._params = params
        self._default = _DefaultPartitions(n_partitions)

    def __call__(self, batch: list[tuple[Any, Any]]) -> list[list[tuple[Any, Any]]]:
        if self.n_partitions == 1:
            return [batch]
        parts: list[list[tuple[Any, Any]]] = [[] for _ in range(self.n_partitions)]
        if self.is_default:
            _native.deal_pairs(batch, parts, self._default)
        else:
            for pair in batch:
                parts[self.of(pair[0])].append(pair)
        return parts

    @property
    def is_default(self) -> bool:
        """Whether the function is `default_partition`."""
        return self._function is default_partition

    def of(self, key: Any) -> int:
        """Return the partition of a key by the function; ValueError unless there is such a one."""
        number: Any = self._function(key, self.n_partitions, self._params)
        if not isinstance(number, int) or not 0 <= number < self.n_partitions:
            raise ValueError(
                f"{name_of(self._function)} returned {number!r} for the key {key!r}: "
                f"a partition must be an int from 0 to {self.n_partitions - 1}"
            )
        return number


class _DefaultPartitions:
    """Remembers the partitions of the last keys, because keys repeat."""

    def __init__(self, n_partitions: int) -> None:
        self._n = n_partitions
        self._seen: dict[Any, int] = {}

    def __call__(self, key: Any) -> int:
        try:
            return self._seen[key]
        except TypeError:  # not hashable: an error says it, unless it is a bytearray
            return default_partition(key, self._n)
        except KeyError:
            if len(self._seen) > _MAX_SEEN:
                self._seen.clear()
            self._seen[key] = partition = default_partition(key, self._n)
            return partition
