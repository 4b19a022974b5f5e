"""The partitions of a map's output: pairs of Python objects divided among them and written.

`Parts` encodes batches of pairs. `TypedParts` writes pairs of simple types as typed frames, which
C code takes from the map and divides, and only other pairs in batches.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from itertools import islice
from typing import Any, Protocol, TypeAlias

from kvproto.engine.pair_source import PairSource
from kvproto.engine.partition import Partitioner
from kvproto.engine.spec import Pair
from kvproto.protocol import native as _native
from kvproto.storage.typed_records import pack_batch

__all__ = ["BatchEncoder", "Parts", "TypedParts", "Writer"]

_ROOM = 16 << 20  # bytes of all frames that are not written yet
_MIN_BATCH, _MAX_BATCH = 1 << 12, 1 << 15  # bytes; larger ones take longer to decode


class Writer(Protocol):
    """Takes encoded pairs for partitions."""

    def write(self, partition: int, data: Any, n_pairs: int) -> None:
        """Append what an encoder made of n_pairs pairs."""


class BatchEncoder(Protocol):
    """Encodes a batch of pairs for a writer; the next batch should have `n_wanted` pairs."""

    n_wanted: int

    def __call__(self, pairs: list[Pair]) -> Any: ...


class Parts:
    """Encodes batches of pairs for each partition.

    Parameters
    ----------
    partition : Partitioner
    encode : BatchEncoder
    writer : Writer
    """

    def __init__(self, partition: Partitioner, encode: BatchEncoder, writer: Writer) -> None:
        self._partition = partition
        self._encode = encode
        self._writer = writer

    def take(self, source: PairSource) -> None:
        """Take all pairs of a source."""
        for batch in source.batches(lambda: self._encode.n_wanted):
            self.deal(batch)

    def deal(self, pairs: list[Pair]) -> None:
        """Divide pairs among the partitions."""
        self.put(self._partition(pairs))

    def put(self, parts: list[list[Pair]]) -> None:
        """Add pairs that are divided already."""
        for number, pairs in enumerate(parts):
            self._write(number, pairs)

    def flush(self) -> None:
        """Write what is collected."""

    def _write(self, number: int, pairs: list[Pair]) -> None:
        while pairs:
            batch, pairs = pairs[: self._encode.n_wanted], pairs[self._encode.n_wanted :]
            self._writer.write(number, self._encode(batch), len(batch))


_Stop: TypeAlias = int | list[Any]


class TypedParts(Parts):
    """Collects typed frames for each partition.

    At a pair that has none, a batch of pairs goes through the encoder. All keys of the frames are
    str, or all bytes.
    """

    def __init__(self, partition: Partitioner, encode: BatchEncoder, writer: Writer) -> None:
        super().__init__(partition, encode, writer)
        n_parts = partition.n_partitions
        self._max_bytes = min(max(_ROOM // n_parts, _MIN_BATCH), _MAX_BATCH)
        self._frames = [bytearray() for _ in range(n_parts)]
        self._n_bytes, self._n_pairs = (array("Q", bytes(8 * n_parts)) for _ in range(2))
        self._is_text = True
        self._source: PairSource | None = None

    def take(self, source: PairSource) -> None:
        self._source = source
        while (stop := source.give(self._fill)) != -1:
            if isinstance(stop, int):
                self._empty(stop)
                continue
            left = source.checked(stop)
            more = source.batches(lambda: self._encode.n_wanted)
            self._deal_others(left + next(more, []))

    def deal(self, pairs: list[Pair]) -> None:
        left = iter(pairs)
        while (stop := self._fill(left)) != -1:
            if isinstance(stop, int):
                self._empty(stop)
            else:
                self._deal_others([*stop, *islice(left, self._encode.n_wanted)])

    def put(self, parts: list[list[Pair]]) -> None:
        for number, pairs in enumerate(parts):
            self._put(number, pairs)

    def flush(self) -> None:
        for number in range(len(self._frames)):
            self._empty(number)

    def _fill(self, pairs: Iterator[Any]) -> _Stop:
        return _native.deal_typed(
            pairs,
            self._frames,
            self._n_bytes,
            self._n_pairs,
            self._is_text,
            self._max_bytes,
            None if self._partition.is_default else self._owner,
        )

    def _owner(self, key: Any) -> int:
        """The partition of a key by the job's function, whose errors are not those of the map."""
        source = self._source
        if source is None:
            return self._partition.of(key)
        is_giving, source.is_giving = source.is_giving, False
        number = self._partition.of(key)
        source.is_giving = is_giving
        return number

    def _deal_others(self, pairs: list[Pair]) -> None:
        """Deal pairs, the first of which has no typed frame here."""
        if self._turns_for(pairs):
            self.deal(pairs)
        else:
            self.put(self._partition(pairs))

    def _put(self, number: int, pairs: list[Pair]) -> None:
        """Add pairs to one partition."""
        one = slice(number, number + 1)
        n_bytes, n_pairs = memoryview(self._n_bytes)[one], memoryview(self._n_pairs)[one]
        left = iter(pairs)
        while (
            stop := _native.deal_typed(
                left, self._frames[one], n_bytes, n_pairs, self._is_text, self._max_bytes, None
            )
        ) != -1:
            if isinstance(stop, int):
                self._empty(number)
                continue
            batch = [*stop, *islice(left, self._encode.n_wanted)]
            if self._turns_for(batch):
                self._put(number, batch)
            else:
                self._empty(number)
                self._write(number, batch)

    def _turns_for(self, pairs: list[Pair]) -> bool:
        """Whether the frames get the other type of keys, because these pairs have it."""
        other = bytes if self._is_text else str
        if any(type(key) is not other for key, _ in pairs):
            return False
        self.flush()
        self._is_text = not self._is_text
        return True

    def _empty(self, number: int) -> None:
        """Write the frames of a partition."""
        if not self._n_pairs[number]:
            return
        with memoryview(self._frames[number]) as frames:
            data = pack_batch(frames[: self._n_bytes[number]], self._is_text)
        self._writer.write(number, data, self._n_pairs[number])
        self._n_bytes[number] = self._n_pairs[number] = 0
        if len(self._frames[number]) > 4 * self._max_bytes:
            self._frames[number] = bytearray()
