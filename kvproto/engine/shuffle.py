"""From a map's output to the partitions: combine, partition, encode.

Two ways. Pairs as Python objects go in batches through combiner and partition function. Frames of an
external program are routed as bytes when the partition function is the default one: no pair becomes an object.
A writer is anything with `write(partition, data, n_pairs)`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from sys import getsizeof

from kvproto.engine.partition import default_partition
from kvproto.engine.spec import External, JobSpec, function_name
from kvproto.protocol import native as _native
from kvproto.protocol.stream import FrameStream
from kvproto.storage.atomic import BLOCK
from kvproto.storage.records import FRAMES, pack_frames, pack_objects

__all__ = [
    "Encoder",
    "PairSource",
    "check_finished",
    "is_default_routing",
    "iterable",
    "route_frames",
    "route_pairs",
    "write_counted",
]

_BATCH_BYTES = 1 << 20  # what a batch should come to, encoded
_MAX_BATCH = (
    1 << 10
)  # pairs: what stays in the processor's cache; 65,536 took more than twice as long
_STEP = 16  # pairs that are taken before their size is looked at
_SAMPLED = 5  # one of so many
_COMBINED = 128  # pairs that are held to be combined


class Encoder:
    """Encode batches of pairs of one kind; knows how long a batch should be.

    kind      FRAMES or OBJECTS
    function  what gave the pairs, for an error
    n_wanted  int, pairs that the next batch should have: about 1 MiB of them, 1 to 1024
    """

    def __init__(self, kind: str, function) -> None:
        self._kind = kind
        self._function = function
        self._n_pairs = 0
        self.n_wanted = 16

    def __call__(self, pairs: list) -> bytes:
        is_frames = self._kind == FRAMES
        pack, fault = (
            (pack_frames, "an external program cannot be sent")
            if is_frames
            else (pack_objects, "cannot be pickled")
        )
        try:
            data = pack(pairs, self._n_pairs)
        except (TypeError, ValueError) as e:
            raise type(e)(
                f"{function_name(self._function)} gave a pair that {fault}: {e}"
            ) from None
        self._n_pairs += len(pairs)
        fitting = len(pairs) * _BATCH_BYTES // (len(data) or 1)
        self.n_wanted = min(max(fitting, 1), 8 * self.n_wanted, _MAX_BATCH)
        return data


class PairSource:
    """The pairs that a job function gives, taken in batches.

    pairs      iterable that the function made, or that calls it
    function   for an error
    is_giving  bool: pairs are being taken. After an error: it came from where they are made, and not from what
               was done with a batch of them
    """

    def __init__(self, pairs: Iterable, function) -> None:
        self._pairs = iter(pairs)
        self._function = function
        self.is_giving = False
        self._n_safe = _STEP

    def batches(self, n_wanted: Callable[[], int]) -> Iterator[list[tuple]]:
        """Yield lists of n_wanted() pairs; TypeError names the function when it gave what is no pair."""
        while batch := self._take(n_wanted()):
            yield _pairs(batch, self._function)

    def left_by(self, take: Callable[[Iterator, dict], list], buffer: dict) -> list[tuple]:
        """Let `take` (see `route_pairs`) have the pairs; returns what it left, TypeError when that is no pair."""
        self.is_giving = True
        left = [_pair(item, self._function) for item in take(self._pairs, buffer)]
        self.is_giving = False
        return left

    def _take(self, n_pairs: int) -> list:
        """About n_pairs; fewer when they are so large that memory would be for the largest of them n_pairs times."""
        self.is_giving = True  # and so it stays when this raises
        batch: list = []
        n_bytes = 0
        while (
            len(batch) < n_pairs
            and n_bytes < _BATCH_BYTES
            and (more := list(islice(self._pairs, self._n_safe)))
        ):
            batch += more
            n_bytes += _SAMPLED * sum(
                [
                    getsizeof(part)
                    for pair in more[::_SAMPLED]
                    if type(pair) is tuple
                    for part in pair
                ]
            )
        self._n_safe = 1 if n_bytes > _STEP * _BATCH_BYTES else _STEP
        self.is_giving = False
        return batch


def iterable(given, function, of: str = "(key, value) pairs") -> Iterator:
    """Iterate over what a job function returned; TypeError that names the function when that cannot be done."""
    try:
        return iter(given)
    except TypeError:
        raise TypeError(
            f"{function_name(function)} returned {given!r:.200}: it must yield {of}, or return a list of them"
        ) from None


def check_finished(given, function) -> None:
    """Raise TypeError when a job function that is to do its work when it is called returned what has not begun yet."""
    if (
        inspect.isgenerator(given)
        or inspect.iscoroutine(given)
        or inspect.isasyncgen(given)
        or isinstance(given, (map, filter))
    ):
        if inspect.iscoroutine(given):
            given.close()  # which would else warn that it was never awaited
        raise TypeError(
            f"{function_name(function)} returned {given!r:.200}, which nobody runs: it must do its work when it is called. "
            "A reduce that yields its pairs takes two arguments, (iter, params)"
        )


def route_pairs(spec: JobSpec, source: PairSource, encode, writer) -> None:
    """Send pairs of Python objects to their partitions, through the combiner where there is one.

    encode  an Encoder, or what stands for one
    A combiner may have an attribute `take`, as `sum_combiner` has: take(pairs, buffer) -> list combines pairs from the
    iterator as long as that is simple, and returns in a list the one that it took and left, which then goes the usual
    way; an empty list at the end. What it raises must come from the iterator.
    """
    partition = _Partitioner(spec)
    if spec.combiner is None:
        for batch in source.batches(lambda: encode.n_wanted):
            _write(partition(batch), encode, writer)
    elif hasattr(spec.combiner, "take"):
        for batch in _combine_all(spec, source):
            _write(partition(batch), encode, writer)
    else:
        combine = _Combiner(spec)
        for batch in source.batches(lambda: _COMBINED):
            _write(combine(partition(batch)), encode, writer)
        _write(combine.last(), encode, writer)


def _combine_all(spec: JobSpec, source: PairSource) -> Iterator[list[tuple]]:
    """Combine with one buffer for all partitions: equal keys meet all the same, and fewer keys need a partition."""
    buffer: dict = {}
    while left := source.left_by(spec.combiner.take, buffer):
        for key, value in left:
            yield spec.combiner(key, value, buffer, False, spec.params) or []
    if buffer:
        yield spec.combiner(None, None, buffer, True, spec.params) or []


def route_frames(chunks: Iterable[bytes], n_partitions: int, writer) -> None:
    """Send frames, cut anywhere, to the partitions that `default_partition` gives their keys."""
    if n_partitions == 1:
        write_counted(chunks, 0, writer)
        return
    counters = [FrameStream(with_lists=False) for _ in range(n_partitions)]
    for datas in _split(chunks, n_partitions):
        for partition, (data, counter) in enumerate(zip(datas, counters)):
            if data:
                _write_frames(data, counter, partition, writer)


def write_counted(chunks: Iterable[bytes], partition: int, writer) -> None:
    """Write frames, cut anywhere, as they come; pairs are counted on the way."""
    counter = FrameStream(with_lists=False)
    for data in chunks:
        _write_frames(data, counter, partition, writer)


def _write_frames(data: bytes, counter: FrameStream, partition: int, writer) -> None:
    before = counter.n_pairs
    counter.check(data)
    writer.write(partition, data, counter.n_pairs - before)


def _split(chunks: Iterable[bytes], n_partitions: int) -> Iterator[list[bytes]]:
    held = bytearray()
    wanted = BLOCK
    for chunk in chunks:
        held += chunk
        if len(held) >= wanted:
            datas, n_taken = _native.split_frames(held, n_partitions)
            del held[:n_taken]
            wanted = max(BLOCK, 2 * len(held))
            yield datas
    if held:
        yield _native.split_frames(held, n_partitions)[0]


def _write(parts: list[list], encode: Encoder, writer) -> None:
    for partition, pairs in enumerate(parts):
        while pairs:
            batch, pairs = pairs[: encode.n_wanted], pairs[encode.n_wanted :]
            writer.write(partition, encode(batch), len(batch))


class _Partitioner:
    """Cut a batch into one list for each partition."""

    def __init__(self, spec: JobSpec) -> None:
        self._spec = spec
        self._n = spec.n_partitions
        self._default = _DefaultPartitions(self._n)

    def __call__(self, batch: list[tuple]) -> list[list]:
        if self._n == 1:
            return [batch]
        parts: list[list] = [[] for _ in range(self._n)]
        if self._spec.partition is default_partition:
            _native.deal_pairs(batch, parts, self._default)
        else:
            for pair in batch:
                parts[self._checked(pair[0])].append(pair)
        return parts

    def _checked(self, key) -> int:
        number = self._spec.partition(key, self._n, self._spec.params)
        if not isinstance(number, int) or not 0 <= number < self._n:
            raise ValueError(
                f"{function_name(self._spec.partition)} gave {number!r} for the key {key!r}: "
                f"a partition is an int from 0 to {self._n - 1}"
            )
        return number


class _DefaultPartitions:
    """`default_partition` of the keys seen lately: keys repeat. Equal keys have equal partitions, so a dict will do."""

    def __init__(self, n_partitions: int) -> None:
        self._n = n_partitions
        self._seen: dict = {}

    def __call__(self, key) -> int:
        try:
            return self._seen[key]
        except TypeError:  # not hashable: most such keys have no partition, and that says why
            return default_partition(key, self._n)
        except KeyError:
            if len(self._seen) > 1 << 16:
                self._seen.clear()
            self._seen[key] = partition = default_partition(key, self._n)
            return partition


class _Combiner:
    """The user's combiner with a buffer for each partition."""

    def __init__(self, spec: JobSpec) -> None:
        self._combiner = spec.combiner
        self._params = spec.params
        self._buffers: list[dict] = [{} for _ in range(spec.n_partitions)]
        self._used = [
            False
        ] * spec.n_partitions  # a partition that never had a pair has nothing to give at the end

    def __call__(self, parts: list[list]) -> list[list]:
        combiner, params = self._combiner, self._params
        combined = []
        for number, (pairs, buffer) in enumerate(zip(parts, self._buffers)):
            self._used[number] |= bool(pairs)
            out: list = []
            for key, value in pairs:
                ready = combiner(key, value, buffer, False, params)
                if ready is not None:
                    out.extend(iterable(ready, combiner))
            combined.append(_pairs(out, combiner))
        return combined

    def last(self) -> list[list]:
        """What the combiner still has to give when the map is done."""
        combiner, params = self._combiner, self._params
        buffers = zip(self._buffers, self._used)
        ready = [
            combiner(None, None, buffer, True, params) if used else () for buffer, used in buffers
        ]
        return [_pairs(list(iterable(pairs or (), combiner)), combiner) for pairs in ready]


def _pairs(batch: list, function) -> list[tuple]:
    """The batch as tuples of two; TypeError names the function when something in it is no pair."""
    if batch and (set(map(type, batch)) != {tuple} or set(map(len, batch)) != {2}):
        return [_pair(item, function) for item in batch]
    return batch


def _pair(item, function) -> tuple:
    if isinstance(item, (tuple, list)) and len(item) == 2:
        return tuple(item)
    raise TypeError(
        f"{function_name(function)} gave {item!r:.200}, which is no (key, value) pair: give tuples of two"
    )


def is_default_routing(spec: JobSpec) -> bool:
    """Whether the map's output can be routed as frames, without making pairs."""
    if not isinstance(spec.map, External) or spec.combiner is not None or spec.map_output_stream:
        return False
    return spec.n_partitions == 1 or spec.partition is default_partition
