"""From a map's output to the partitions: combine, partition, encode.

Pairs of Python objects go in batches through combiner and partition function. Frames of an external
program come here only when they were combined: otherwise its driver deals them to the partitions.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from sys import getsizeof
from typing import Any, Protocol

from kvproto.engine.bulk import BatchCombiner
from kvproto.engine.partition import Partitioner
from kvproto.engine.spec import External, Function, MapSpec, Pair, function_name
from kvproto.protocol.dealing import Dealer
from kvproto.storage.records import FRAMES, pack_frames, pack_objects

__all__ = [
    "BatchEncoder",
    "Encoder",
    "PairSource",
    "Writer",
    "check_finished",
    "iterable",
    "route_frames",
    "route_pairs",
]

_BATCH_BYTES = 1 << 20  # what a batch should come to, encoded
# Pairs: what stays in the processor's cache; 65,536 took more than twice as long.
_MAX_BATCH = 1 << 10
_STEP = 16  # pairs that are taken before their size is looked at
_SAMPLED = 5  # one of so many
_COMBINED = 128  # pairs that are combined at a time


class Writer(Protocol):
    """Takes encoded pairs for partitions."""

    def write(self, partition: int, data: Any, n_pairs: int) -> None:
        """Append what an encoder made of n_pairs pairs."""


class BatchEncoder(Protocol):
    """Encodes a batch of pairs for a writer; the next batch should have `n_wanted` pairs."""

    n_wanted: int

    def __call__(self, pairs: list[Pair]) -> Any: ...


class Encoder:
    """Encodes batches of pairs as records.

    Parameters
    ----------
    kind : str
        FRAMES or OBJECTS.
    function : callable, External or None
        What gave the pairs, for an error.

    Attributes
    ----------
    n_wanted : int
        Pairs that the next batch should have: about 1 MiB of them, 1 to 1024.
    """

    def __init__(self, kind: str, function: Function | External | None) -> None:
        self._kind = kind
        self._function = function
        self._n_pairs = 0
        self.n_wanted = _STEP

    def __call__(self, pairs: list[Pair]) -> bytes:
        try:
            if self._kind == FRAMES:
                data = pack_frames(pairs, self._n_pairs)
            else:
                data = pack_objects(pairs, self._n_pairs)
        except (TypeError, ValueError) as e:
            is_frames = self._kind == FRAMES
            fault = "cannot be sent to an external program" if is_frames else "cannot be pickled"
            name = function_name(self._function)
            raise type(e)(f"{name} returned a pair that {fault}: {e}") from None
        self._n_pairs += len(pairs)
        fitting = len(pairs) * _BATCH_BYTES // (len(data) or 1)
        self.n_wanted = min(max(fitting, 1), 8 * self.n_wanted, _MAX_BATCH)
        return data


class PairSource:
    """The pairs that a job function gives, taken in batches.

    Parameters
    ----------
    pairs : iterable
        What the function returned, or what calls it.
    function : callable, External or None
        For an error.

    Attributes
    ----------
    is_giving : bool
        Pairs are being taken. After an error: it came from where they are made, and not from what
        was done with them.
    """

    def __init__(self, pairs: Iterable[Any], function: Function | External | None) -> None:
        self._pairs = iter(pairs)
        self._function = function
        self.is_giving = False
        self._n_safe = _STEP

    def batches(self, n_wanted: Callable[[], int]) -> Iterator[list[Pair]]:
        """Yield lists of n_wanted() pairs; TypeError names the function that gave no pair."""
        while batch := self._take(n_wanted()):
            yield _pairs(batch, self._function)

    def left_by(self, combiner: BatchCombiner, buffer: dict[Any, Any]) -> list[Pair]:
        """Let a combiner `take` the pairs; returns what it left, TypeError when that is no pair."""
        self.is_giving = True
        left = [_pair(item, self._function) for item in combiner.take(self._pairs, buffer)]
        self.is_giving = False
        return left

    def _take(self, n_pairs: int) -> list[Any]:
        """About n_pairs; fewer where the memory for n_pairs of the largest would be too much."""
        self.is_giving = True  # and so it stays when this raises
        batch: list[Any] = []
        n_bytes = 0
        while (
            len(batch) < n_pairs
            and n_bytes < _BATCH_BYTES
            and (more := list(islice(self._pairs, self._n_safe)))
        ):
            batch += more
            sample = [pair for pair in more[::_SAMPLED] if type(pair) is tuple]
            n_bytes += _SAMPLED * sum([getsizeof(part) for pair in sample for part in pair])
        self._n_safe = 1 if n_bytes > _STEP * _BATCH_BYTES else _STEP
        self.is_giving = False
        return batch


def iterable(
    returned: Any, function: Function | External, of: str = "(key, value) pairs"
) -> Iterator[Any]:
    """Iterate over what a job function returned; TypeError that names the function."""
    try:
        return iter(returned)
    except TypeError:
        raise TypeError(
            f"{function_name(function)} returned {returned!r:.200}: "
            f"it must yield {of}, or return a list of them"
        ) from None


def check_finished(returned: Any, function: Function) -> None:
    """Raise TypeError when a function that must do its work at once returned a generator."""
    if (
        inspect.isgenerator(returned)
        or inspect.iscoroutine(returned)
        or inspect.isasyncgen(returned)
        or isinstance(returned, (map, filter))
    ):
        if inspect.iscoroutine(returned):
            returned.close()  # which would else warn that it was never awaited
        raise TypeError(
            f"{function_name(function)} returned {returned!r:.200}, which is never run: "
            "it must do its work when it is "
            "called. A reduce that yields its pairs takes two arguments, (iter, params)"
        )


def route_pairs(spec: MapSpec, source: PairSource, encode: BatchEncoder, writer: Writer) -> None:
    """Send pairs of Python objects to their partitions, through the combiner where there is one."""
    partition = Partitioner(spec.partition, spec.n_partitions, spec.params)
    if spec.combiner is None:
        for batch in source.batches(lambda: encode.n_wanted):
            _write(partition(batch), encode, writer)
    elif isinstance(spec.combiner, BatchCombiner):
        for batch in _combine_all(spec.combiner, spec.params, source):
            _write(partition(batch), encode, writer)
    else:
        combine = _Combining(spec.combiner, spec.n_partitions, spec.params)
        for batch in source.batches(lambda: _COMBINED):
            _write(combine(partition(batch)), encode, writer)
        _write(combine.last(), encode, writer)


def _combine_all(combiner: BatchCombiner, params: Any, source: PairSource) -> Iterator[list[Pair]]:
    """Combine with one buffer for all partitions, so that fewer keys need a partition."""
    buffer: dict[Any, Any] = {}
    while left := source.left_by(combiner, buffer):
        for key, value in left:
            yield list(combiner(key, value, buffer, False, params) or [])
    if buffer:
        yield list(combiner(None, None, buffer, True, params) or [])


def route_frames(chunks: Iterable[bytes], n_partitions: int, writer: Writer) -> None:
    """Send frames, cut anywhere, to the partitions that `default_partition` gives their keys."""
    dealer = Dealer(n_partitions, writer.write, with_lists=False)
    for chunk in chunks:
        dealer.feed(chunk)
    dealer.close()
    dealer.flush()


def _write(parts: list[list[Pair]], encode: BatchEncoder, writer: Writer) -> None:
    for partition, pairs in enumerate(parts):
        left = pairs
        while left:
            batch, left = left[: encode.n_wanted], left[encode.n_wanted :]
            writer.write(partition, encode(batch), len(batch))


class _Combining:
    """The job's combiner with a buffer for each partition."""

    def __init__(self, combiner: Function, n_partitions: int, params: Any) -> None:
        self._combiner = combiner
        self._params = params
        self._buffers: list[dict[Any, Any]] = [{} for _ in range(n_partitions)]
        # A partition that never had a pair has nothing to give at the end.
        self._used = [False] * n_partitions

    def __call__(self, parts: list[list[Pair]]) -> list[list[Pair]]:
        combiner, params = self._combiner, self._params
        combined = []
        for number, (pairs, buffer) in enumerate(zip(parts, self._buffers, strict=True)):
            self._used[number] |= bool(pairs)
            out: list[Any] = []
            for key, value in pairs:
                ready = combiner(key, value, buffer, False, params)
                if ready is not None:
                    out.extend(iterable(ready, combiner))
            combined.append(_pairs(out, combiner))
        return combined

    def last(self) -> list[list[Pair]]:
        """What the combiner still has to give when the map is done."""
        combiner, params = self._combiner, self._params
        ready = [
            combiner(None, None, buffer, True, params) if used else ()
            for buffer, used in zip(self._buffers, self._used, strict=True)
        ]
        return [_pairs(list(iterable(pairs or (), combiner)), combiner) for pairs in ready]


def _pairs(batch: list[Any], function: Function | External | None) -> list[Pair]:
    """The batch as tuples of two; TypeError names the function when something in it is no pair."""
    if batch and (set(map(type, batch)) != {tuple} or set(map(len, batch)) != {2}):
        return [_pair(item, function) for item in batch]
    return batch


def _pair(item: Any, function: Function | External | None) -> Pair:
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return item[0], item[1]
    raise TypeError(
        f"{function_name(function)} returned {item!r:.200}, which is not a (key, value) "
        "pair: return or yield tuples of two"
    )
