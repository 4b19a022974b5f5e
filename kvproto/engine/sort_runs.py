"""Sort pairs of Python objects that do not fit into memory: write sorted runs to a file, and merge.

Keys come in ascending order by their own `<`; pairs with equal keys keep their order. The sort uses
about as much memory as the limit says, because it estimates the size of pairs from a sample. The
file has no name and is gone when this process ends. Keys that cannot be ordered, and NaN, raise an
error that shows them.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from operator import itemgetter
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, TypeAlias

from kvproto.errors import DataError
from kvproto.storage.atomic import naming
from kvproto.storage.records import OBJECTS, pack_objects, read_batches

__all__ = ["Pair", "no_order", "sort_in_runs"]

Pair: TypeAlias = tuple[Any, Any]

_FAN_IN = 16  # runs that are merged at once
_SAMPLED = 32  # one in so many pairs is measured with all that it refers to
_MAX_MEASURED = 10_000  # objects of one pair: with more, it refers to most of the process
_MAX_BATCH = 1024  # pairs
_BLOCK = 1 << 16  # bytes of a run that are read at a time
_PAIR_OVERHEAD = 24  # bytes for each pair: in the list, and in the working space of the sort

_key = itemgetter(0)
_value = itemgetter(1)


def sort_in_runs(
    batches: Iterable[list[Pair]], max_bytes: int, directory: str
) -> Iterator[list[Pair]]:
    """Sort batches of pairs by key.

    Parameters
    ----------
    batches : iterable of list of pairs
        The pairs.
    max_bytes : int
        The most bytes of pairs in memory; a single larger pair is allowed.
    directory : str
        The directory for the file, if the pairs do not fit.

    Yields
    ------
    list of pairs
        The next pairs in order.

    Raises
    ------
    TypeError
        For keys that cannot be ordered.
    JobError, DataError
        For a full disk; for a disk that fails.
    """
    types = _KeyTypes()
    loaded: list[Pair] = []
    n_bytes = 0
    spilled = None
    try:
        for batch in batches:
            types.check(batch)
            loaded += batch
            n_bytes += _estimated(batch)
            if n_bytes > max_bytes:
                # One batch of each run that is merged, and the merged batches, must fit too.
                n_wanted = min(
                    max(max_bytes * len(loaded) // (n_bytes * 4 * _FAN_IN), 1), _MAX_BATCH
                )
                spilled = spilled or _Runs(directory, types)
                spilled.add(_cut(_sorted(loaded, types), n_wanted))
                loaded, n_bytes = [], 0
        if spilled is None:
            yield from _cut(_sorted(loaded, types), _MAX_BATCH)
            return
        spilled.add(_cut(_sorted(loaded, types), n_wanted))
        del loaded, batch
        while len(spilled.runs) > _FAN_IN:
            fewer = _Runs(directory, types)
            for first in range(0, len(spilled.runs), _FAN_IN):
                merged = spilled.merged(spilled.runs[first : first + _FAN_IN])
                fewer.add(part for chunk in merged for part in _cut(chunk, n_wanted))
            spilled.close()
            spilled = fewer
        yield from spilled.merged(spilled.runs)
    finally:
        if spilled is not None:
            spilled.close()


class _KeyTypes:
    """The types of the keys so far, with an example of each, to raise an error early."""

    def __init__(self) -> None:
        self._examples: dict[type, object] = {}

    def check(self, batch: list[Pair]) -> None:
        """Raise TypeError for NaN, and for keys whose types cannot be ordered with each other."""
        types = dict.fromkeys(map(type, map(_key, batch)))  # a set that keeps the order
        for new in [one for one in types if one not in self._examples]:
            key = next(key for key, _ in batch if type(key) is new)
            if key is not None:
                _is_less(key, key)
            for other in self._examples.values():
                _is_less(other, key)
            self._examples[new] = key
        if any(issubclass(one, float) for one in types):
            for key, _ in batch:
                if key != key:
                    raise TypeError(
                        f"sort: the key {key!r} cannot be ordered; use another key instead"
                    )

    @property
    def have_order(self) -> bool:
        """Whether keys can be compared: if all keys are None, they are equal, but have no `<`."""
        return self._examples.keys() != {type(None)}


class _Run(NamedTuple):
    start: int
    n_bytes: int


class _Runs:
    """Sorted runs in a file without a name."""

    def __init__(self, directory: str, types: _KeyTypes) -> None:
        self.runs: list[_Run] = []
        self._types = types
        self._where = f"{directory} (the sort's file there)"
        with naming(self._where, "writing"):
            self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115

    def add(self, batches: Iterable[list[Pair]]) -> None:
        """Write one run, from sorted batches."""
        start = self._file.tell()
        for batch in batches:
            data = pack_objects(batch)
            with naming(self._where, "writing"):
                self._file.write(data)
        with naming(self._where, "writing"):
            self._file.flush()
        self.runs.append(_Run(start, self._file.tell() - start))

    def merged(self, runs: list[_Run]) -> Iterator[list[Pair]]:
        """Yield the pairs of consecutive runs in order.

        One batch of each run is in memory. The smallest of their last keys is a bound: all pairs
        below it are in memory. They are sorted again; for a few sorted lists, that is a merge.
        """
        left = [read_batches(OBJECTS, self._chunks(run), self._where) for run in runs]
        loaded: list[list[Pair]] = [[] for _ in runs]
        while True:
            for number, batch in enumerate(loaded):
                if not batch:
                    loaded[number] = next(left[number], [])
            active = [number for number, batch in enumerate(loaded) if batch]
            if not active:
                return
            if not self._types.have_order:
                yield loaded[active[0]]
                loaded[active[0]] = []
                continue
            yield _sorted(self._take(loaded, active), self._types)

    def _take(self, loaded: list[list[Pair]], active: list[int]) -> list[Pair]:
        """Remove from the batches the pairs that come before all pairs still in the file."""
        first = active[0]
        try:
            for number in active[1:]:
                if loaded[number][-1][0] < loaded[first][-1][0]:
                    first = number
            bound = loaded[first][-1][0]
            pairs = []
            for number in active:
                # `first` may have more keys that equal the bound: those of later runs must wait.
                bisect = bisect_right if number <= first else bisect_left
                n_taken = bisect(loaded[number], bound, key=_key)
                pairs += loaded[number][:n_taken]
                loaded[number] = loaded[number][n_taken:]
            return pairs
        except TypeError as e:
            _explain(e, chain.from_iterable(loaded))
            raise

    def _chunks(self, run: _Run) -> Iterator[bytes]:
        at, end = run.start, run.start + run.n_bytes
        while at < end:
            with naming(self._where, "reading"):
                self._file.seek(at)
                data = self._file.read(min(_BLOCK, end - at))
            if not data:
                raise DataError(f"{self._where} was cut short while it was in use")
            at += len(data)
            yield data

    def close(self) -> None:
        with suppress(OSError):  # of a full disk: nobody reads the rest
            self._file.close()


def _cut(pairs: list[Pair], n_wanted: int) -> Iterator[list[Pair]]:
    for first in range(0, len(pairs), n_wanted):
        yield pairs[first : first + n_wanted]


def _sorted(pairs: list[Pair], types: _KeyTypes) -> list[Pair]:
    """Sort the list and return it; TypeError shows two keys that cannot be ordered."""
    if types.have_order:
        try:
            pairs.sort(key=_key)
        except TypeError as e:
            _explain(e, pairs)
            raise
    return pairs


def _explain(error: TypeError, pairs: Iterable[Pair]) -> None:
    """Raise a TypeError that shows two keys, if comparing keys caused the error."""
    sorted((_Compared(key) for key, _ in pairs))


class _Compared:
    __slots__ = ("key",)

    def __init__(self, key: Any) -> None:
        self.key = key

    def __lt__(self, other: _Compared) -> bool:
        return _is_less(self.key, other.key)


def _is_less(key: Any, other: Any) -> bool:
    try:
        return bool(key < other)
    except TypeError as e:
        raise no_order(key, other) from e


def no_order(key: object, other: object) -> TypeError:
    """Make the error for two keys that cannot be ordered."""
    names = sorted({type(key).__name__, type(other).__name__})
    types = f"type {names[0]}" if len(names) == 1 else f"types {names[0]} and {names[1]}"
    return TypeError(
        f"sort: keys of {types} cannot be ordered: {key!r:.200} and {other!r:.200}; "
        "use keys that can be compared with each other, or do not use sort=True"
    )


def _estimated(batch: list[Pair]) -> int:
    """Estimate the bytes of a batch in memory: exact for its values, by a sample for the rest."""
    sample = batch[::_SAMPLED]
    deep = (
        sum(_n_bytes(pair) - sys.getsizeof(pair[1]) for pair in sample)
        * len(batch)
        // (len(sample) or 1)
    )
    return deep + sum(map(sys.getsizeof, map(_value, batch))) + _PAIR_OVERHEAD * len(batch)


def _n_bytes(thing: object) -> int:
    """The bytes of an object and of all that it refers to."""
    n_bytes = 0
    seen: set[int] = set()
    left = [thing]
    while left and len(seen) < _MAX_MEASURED:
        thing = left.pop()
        if id(thing) not in seen and not isinstance(thing, (type, ModuleType, FunctionType)):
            seen.add(id(thing))
            n_bytes += sys.getsizeof(thing)
            left += gc.get_referents(thing)
    return n_bytes
