"""The job functions of the classic interface: what each is called with, ready-made ones, and the default partitioning.

`map`, `combiner`, `partition`, `reduce` and `reduce2` say what a job calls its functions with; they are not to be
called. As `map` is also a builtin, nothing else in this module may use that one. The functions for streams, and the
readers, are those of `kvproto.classic.task_io`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator

from kvproto.classic.task_io import (
    InputStream,
    OutputStream,
    chain_reader,
    chain_stream,
    default_stream,
    disco_input_stream,
    disco_output_stream,
    gzip_line_reader,
    gzip_line_stream,
    gzip_reader,
    gzip_stream,
    input_stream,
    map_input_stream,
    map_line_reader,
    map_output_stream,
    old_netstr_reader,
    output_stream,
    plain_output_stream,
    re_reader,
    reduce_input_stream,
    reduce_output_stream,
    string_input_stream,
    task_input_stream,
    task_output_stream,
)
from kvproto.engine.partition import default_partition
from kvproto.engine.spec import combines_batches
from kvproto.protocol import native as _native

__all__ = [
    "InputStream",
    "OutputStream",
    "chain_reader",
    "chain_stream",
    "default_partition",
    "default_stream",
    "disco_input_stream",
    "disco_output_stream",
    "gzip_line_reader",
    "gzip_line_stream",
    "gzip_reader",
    "gzip_stream",
    "init",
    "input_stream",
    "make_range_partition",
    "map_input_stream",
    "map_line_reader",
    "map_output_stream",
    "noop",
    "nop_map",
    "nop_reduce",
    "old_netstr_reader",
    "output_stream",
    "plain_output_stream",
    "re_reader",
    "reduce_input_stream",
    "reduce_output_stream",
    "string_input_stream",
    "sum_combiner",
    "sum_reduce",
    "task_input_stream",
    "task_output_stream",
]


# --- what a job calls its functions with -------------------------------------------------------


def map(entry, params) -> Iterable[tuple]:
    """Give the (key, value) pairs of one entry of the input: yield them, or return a list. Or an external program."""
    raise _interface("map")


def combiner(key, value, buffer: dict, done: bool, params) -> Iterable[tuple] | None:
    """Take a pair that the map gave; give pairs in its place, or None: nothing yet.

    key, value  the pair; None, None in the last call
    buffer      dict, for the combiner to keep what it likes in; each partition has its own. It must be cleared before
                it grows too large
    done        bool, whether this is the last call with this buffer; the combiner must give what it still holds. It is not
                called for a partition that never had a pair

    Only what a combiner gives gets any further.
    """
    raise _interface("combiner")


def partition(key, nr_partitions: int, params) -> int:
    """Give the partition of a key, from 0 to nr_partitions - 1: the same for equal keys, in every process."""
    raise _interface("partition")


def reduce(input_stream, output_stream, params) -> None:
    """Take the pairs of a partition, by iterating over input_stream, and output_stream.add(key, value) the results.

    Or an external program.
    """
    raise _interface("reduce")


def reduce2(input_stream, params) -> Iterable[tuple]:
    """The other form of a reduce: give the resulting (key, value) pairs, yield them or return a list."""
    raise _interface("reduce2")


def _interface(name: str) -> NotImplementedError:
    return NotImplementedError(
        f"{__name__}.{name} shows what such a function of a job is like, it is not one"
    )


def init(input_iter, params) -> None:
    """Prepare a task: called once, before its first entry. It may import, put things into params, and take entries off
    input_iter. This one, the default, does nothing.
    """


def noop(*args, **kwargs) -> None:
    """Do nothing, whatever it is called with."""


# --- partitioning ------------------------------------------------------------------------------


def make_range_partition(min_val, max_val) -> Callable:
    """Give a partition function that cuts the range from min_val to max_val into partitions of equal size, in order.

    Keys outside go to the first and the last one. Keys are numbers, or whatever can be subtracted like them, dates say;
    a str or bytes is taken for the number that it spells. ValueError when min_val is not less than max_val.
    """
    if not min_val < max_val:
        raise ValueError(f"make_range_partition: {min_val!r} is not less than {max_val!r}")
    size = max_val - min_val

    def range_partition(key, nr_partitions: int, params=None) -> int:
        place = _number(key) if isinstance(key, (str, bytes)) else key
        if place <= min_val:
            return 0
        if place >= max_val:
            return nr_partitions - 1
        try:
            number = int((place - min_val) * nr_partitions // size)
        except ValueError:
            raise ValueError(
                f"make_range_partition: the key {key!r} has no place in a range"
            ) from None
        return min(
            number, nr_partitions - 1
        )  # floats: what is just below max_val may be rounded up to it

    return range_partition


def _number(text: str | bytes) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"make_range_partition: the key {text!r} is no number") from None


# --- ready-made functions ----------------------------------------------------------------------


def nop_map(entry, params) -> Iterator[tuple]:
    """Map that gives each entry as it comes: a pair that a reader made, or an entry with an empty value."""
    yield entry if isinstance(entry, (tuple, list)) else (entry, "")


def nop_reduce(iter, out, params) -> None:
    """Reduce that gives each pair as it comes: one result file for each partition."""
    for key, value in iter:
        out.add(key, value)


_MAX_SUMS = 100_000


def _take_sums(pairs: Iterator[tuple], buffer: dict) -> list[tuple]:
    return _native.sum_pairs(pairs, buffer, _MAX_SUMS - 1)  # the pair after that empties the buffer


@combines_batches(_take_sums)
def sum_combiner(key, value, buffer: dict, done: bool, params):
    """Combiner that sums the values of each key; its buffer is let go at 100,000 keys."""
    if not done:
        buffer[key] = buffer.get(key, 0) + value
        if len(buffer) < _MAX_SUMS:
            return None
    sums = list(buffer.items())
    buffer.clear()
    return sums


def sum_reduce(iter, params) -> Iterator[tuple]:
    """Reduce that sums the values of each key."""
    sums: dict = {}
    pairs = iter.__iter__()
    while left := _native.sum_pairs(pairs, sums, sys.maxsize):
        for key, value in left:
            sums[key] = sums.get(key, 0) + value
    yield from sums.items()
