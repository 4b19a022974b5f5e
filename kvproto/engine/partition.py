"""The partition of a key, where the job has no function for it."""

from __future__ import annotations

from zlib import crc32

__all__ = ["default_partition"]


def default_partition(key, nr_partitions: int, params=None) -> int:
    """The partition of a key, the same in every process and run; equal keys go together (1 == 1.0 == True).

    bytes and str by the crc32 of their (UTF-8) bytes, numbers by their value, tuples by their items, None as 0.
    Raises TypeError for other keys: give a partition function of your own.
    """
    return _stable_hash(key) % nr_partitions


def _stable_hash(key) -> int:
    if isinstance(key, str):
        try:
            return crc32(key.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError:  # a surrogate that stands for no byte, from JSON or Windows say
            return crc32(key.encode("utf-8", "surrogatepass"))
    if isinstance(key, (bytes, bytearray)):
        return crc32(key)
    if key is None:
        return 0
    if isinstance(key, (int, float, complex)) or _is_number(key):
        return (
            hash(key) if key == key else 0
        )  # equal numbers hash alike whatever their type, without a seed; not a NaN
    if isinstance(key, tuple):
        return crc32(
            b"".join(
                (_stable_hash(item) & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "little") for item in key
            )
        )
    raise TypeError(
        f"default_partition takes keys that are str, bytes, numbers, None or tuples of these, not {type(key).__name__}: "
        "give the job a partition function for them"
    )


def _is_number(key) -> bool:
    from numbers import Number  # decimals and fractions: rare, so that the import is theirs

    return isinstance(key, Number)
