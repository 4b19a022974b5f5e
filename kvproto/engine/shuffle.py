"""From a map's output to the partitions: combine, partition, encode.

Pairs of Python objects go in batches through combiner and partition function. Frames of an external
program come here only when they were combined: otherwise its driver deals them to the partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kvproto.engine.bulk import BatchCombiner
from kvproto.engine.pair_source import BATCH_BYTES, FIRST_BATCH, PairSource, as_pairs, iterable
from kvproto.engine.partition import Partitioner
from kvproto.engine.parts import BatchEncoder, Parts, TypedParts, Writer
from kvproto.engine.spec import External, Function, MapSpec, Pair, function_name
from kvproto.protocol.dealing import Dealer
from kvproto.storage.records import FRAMES, TYPED, pack_frames, pack_objects
from kvproto.storage.typed_records import pack_pickles

__all__ = ["Encoder", "route_frames", "route_pairs"]

# Pairs: what stays in the processor's cache; 65,536 took more than twice as long.
_MAX_BATCH = 1 << 10
_COMBINED = 128  # pairs that are combined at a time


class Encoder:
    """Encodes batches of pairs as records.

    Parameters
    ----------
    kind : str
        FRAMES, OBJECTS, or TYPED: as pickles, where pairs have no typed frames.
    function : callable, External or None
        What gave the pairs, for an error.

    Attributes
    ----------
    n_wanted : int
        Pairs that the next batch should have: about 1 MiB of them, 1 to 1024.
    """

    def __init__(self, kind: str, function: Function | External | None) -> None:
        packs = {FRAMES: pack_frames, TYPED: pack_pickles}
        self._pack: Callable[[list[Pair], int], bytes] = packs.get(kind, pack_objects)
        self._function = function
        self._n_pairs = 0
        self.n_wanted = FIRST_BATCH

    def __call__(self, pairs: list[Pair]) -> bytes:
        try:
            data = self._pack(pairs, self._n_pairs)
        except (TypeError, ValueError) as e:
            is_frames = self._pack is pack_frames
            fault = "cannot be sent to an external program" if is_frames else "cannot be pickled"
            name = function_name(self._function)
            raise type(e)(f"{name} returned a pair that {fault}: {e}") from None
        self._n_pairs += len(pairs)
        fitting = len(pairs) * BATCH_BYTES // (len(data) or 1)
        self.n_wanted = min(max(fitting, 1), 8 * self.n_wanted, _MAX_BATCH)
        return data


def route_pairs(spec: MapSpec, source: PairSource, encode: BatchEncoder, writer: Writer) -> None:
    """Send pairs of Python objects to their partitions, through the combiner where there is one."""
    partition = Partitioner(spec.partition, spec.n_partitions, spec.params)
    kind = TypedParts if spec.kind == TYPED else Parts
    parts = kind(partition, encode, writer)
    if spec.combiner is None:
        parts.take(source)
    elif isinstance(spec.combiner, BatchCombiner):
        for batch in _combine_all(spec.combiner, spec.params, source):
            parts.deal(batch)
    else:
        combine = _Combining(spec.combiner, spec.n_partitions, spec.params)
        for batch in source.batches(lambda: _COMBINED):
            parts.put(combine(partition(batch)))
        parts.put(combine.last())
    parts.flush()


def _combine_all(combiner: BatchCombiner, params: Any, source: PairSource) -> Iterator[list[Pair]]:
    """Combine with one buffer for all partitions, so that fewer keys need a partition."""
    buffer: dict[Any, Any] = {}
    while left := source.checked(source.give(lambda pairs: combiner.take(pairs, buffer))):
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
            combined.append(as_pairs(out, combiner))
        return combined

    def last(self) -> list[list[Pair]]:
        """What the combiner still has to give when the map is done."""
        combiner, params = self._combiner, self._params
        ready = [
            combiner(None, None, buffer, True, params) if used else ()
            for buffer, used in zip(self._buffers, self._used, strict=True)
        ]
        return [as_pairs(list(iterable(pairs or (), combiner)), combiner) for pairs in ready]
