"""The functions of a job: their signatures, and ready-made ones.

`map`, `combiner`, `partition`, `reduce` and `reduce2` document the arguments of such functions; do
not call them. They hide the builtin `map` in this module. The functions for streams and the readers
come from `kvproto.classic.task_io`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kvproto.classic.frame_sums import (
    add_value,
    combine_frames,
    reduce_frames,
    reduce_typed,
    sum_objects,
)
from kvproto.engine.bulk import combines_batches, combines_frames, reduces_frames, reduces_typed
from kvproto.engine.partition import default_partition
from kvproto.inputs import readers
from kvproto.inputs.readers import *  # noqa: F403 (the names are listed once, there)
from kvproto.inputs.streams import InputStream, OutputStream
from kvproto.protocol import native as _native

__all__ = [
    "InputStream",
    "OutputStream",
    "default_partition",
    "init",
    "make_range_partition",
    "noop",
    "nop_map",
    "nop_reduce",
    "sum_combiner",
    "sum_reduce",
]
__all__ += readers.__all__


# --- the arguments of the functions of a job ---------------------------------------------------

Pair = tuple[Any, Any]


def map(entry: Any, params: Any) -> Iterable[Pair]:
    """Turn an entry of the input into (key, value) pairs: yield them, or return a list.

    A map may also be an external program.
    """
    raise _interface("map")


def combiner(
    key: Any, value: Any, buffer: dict[Any, Any], done: bool, params: Any
) -> Iterable[Pair] | None:
    """Take a pair from the map; return pairs in its place, or None for nothing yet.

    Only the pairs that a combiner returns are kept.

    Parameters
    ----------
    key, value : object
        The pair. None and None in the last call.
    buffer : dict
        The state of the combiner, one for each partition. Clear it before it grows too large.
    done : bool
        Whether this is the last call with this buffer. The combiner must return what it still
        keeps. There is no call for a partition without pairs.
    """
    raise _interface("combiner")


def partition(key: Any, nr_partitions: int, params: Any) -> int:
    """Return the partition of a key, from 0 to nr_partitions - 1.

    It must be the same for equal keys, in every process.
    """
    raise _interface("partition")


def reduce(input_stream: Iterable[Pair], output_stream: OutputStream, params: Any) -> None:
    """Read the pairs of a partition, and write results with ``output_stream.add(key, value)``.

    A reduce may also be an external program.
    """
    raise _interface("reduce")


def reduce2(input_stream: Iterable[Pair], params: Any) -> Iterable[Pair]:
    """Read the pairs of a partition, and yield the results, or return a list of them."""
    raise _interface("reduce2")


def _interface(name: str) -> NotImplementedError:
    return NotImplementedError(
        f"{__name__}.{name} only shows the interface of such a function; pass your own to a job"
    )


def init(input_iter: Iterator[Any], params: Any) -> None:
    """Prepare a task before its first entry. This function, the default, does nothing.

    An init function may import modules, put things into params, and take entries from input_iter.
    """


def noop(*args: object, **kwargs: object) -> None:
    """Do nothing, whatever the arguments are."""


# --- partitioning ------------------------------------------------------------------------------


def make_range_partition(min_val: Any, max_val: Any) -> Callable[..., int]:
    """Return a partition function that cuts a range into partitions of equal size, in order.

    Parameters
    ----------
    min_val, max_val : number
        The range. Anything that can be subtracted works, such as dates. Keys outside of the range
        go to the first or the last partition. Keys that are str or bytes are parsed as numbers.

    Raises
    ------
    ValueError
        If min_val is not less than max_val.
    """
    if not min_val < max_val:
        raise ValueError(f"make_range_partition: {min_val!r} is not less than {max_val!r}")
    size = max_val - min_val

    def range_partition(key: Any, nr_partitions: int, params: object = None) -> int:
        place = _number(key) if isinstance(key, (str, bytes)) else key
        if place <= min_val:
            return 0
        if place >= max_val:
            return nr_partitions - 1
        try:
            number = int((place - min_val) * nr_partitions // size)
        except ValueError:
            raise ValueError(
                f"make_range_partition: the key {key!r} cannot be placed in a range"
            ) from None
        return min(number, nr_partitions - 1)  # a float just below max_val may round up

    return range_partition


def _number(text: str | bytes) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"make_range_partition: the key {text!r} is not a number") from None


# --- ready-made functions ----------------------------------------------------------------------


def nop_map(entry: Any, params: object) -> Iterator[Any]:
    """Map that passes on a pair from a reader, or any other entry with an empty value."""
    yield entry if isinstance(entry, (tuple, list)) else (entry, "")


def nop_reduce(iter: Iterable[Pair], out: OutputStream, params: object) -> None:
    """Reduce that passes on each pair."""
    for key, value in iter:
        out.add(key, value)


_MAX_SUMS = 100_000


def _take_sums(pairs: Iterator[Pair], buffer: dict[Any, Any]) -> list[Pair]:
    return _native.sum_pairs(pairs, buffer, _MAX_SUMS - 1)  # the pair after that empties the buffer


@combines_batches(_take_sums)
@combines_frames(combine_frames)
def sum_combiner(
    key: Any, value: Any, buffer: dict[Any, Any], done: bool, params: object
) -> list[Pair] | None:
    """Combiner that sums the values of each key; it returns its sums when it has 100,000 keys.

    Values of external programs are decimal numbers as text (bytes), and so are their sums.
    """
    if not done:
        buffer[key] = add_value(buffer.get(key, 0), value, key)
        if len(buffer) < _MAX_SUMS:
            return None
    sums = list(buffer.items())
    buffer.clear()
    return sums


@reduces_frames(reduce_frames)
@reduces_typed(reduce_typed)
def sum_reduce(iter: Iterable[Pair], params: object) -> Iterator[Pair]:
    """Reduce that sums the values of each key.

    Values of external programs are decimal numbers as text (bytes), and so are their sums.
    """
    return sum_objects(iter.__iter__(), {})
