"""What job functions give: pairs, which are taken in batches or by C code; errors for the rest."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from sys import getsizeof
from typing import Any, TypeVar

from kvproto.engine.spec import External, Function, Pair, function_name

__all__ = ["BATCH_BYTES", "FIRST_BATCH", "PairSource", "as_pairs", "check_finished", "iterable"]

BATCH_BYTES = 1 << 20
"""Bytes that a batch of pairs should come to: 1 MiB."""

FIRST_BATCH = 16
"""Pairs of a batch while nothing is known of their size."""

_SAMPLED = 5  # one of so many

T = TypeVar("T")


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
        self._n_safe = FIRST_BATCH

    def batches(self, n_wanted: Callable[[], int]) -> Iterator[list[Pair]]:
        """Yield lists of n_wanted() pairs; TypeError names the function that gave no pair."""
        while batch := self._take(n_wanted()):
            yield as_pairs(batch, self._function)

    def give(self, take: Callable[[Iterator[Any]], T]) -> T:
        """Return what `take` makes of the iterator of the pairs."""
        self.is_giving = True  # and so it stays when this raises
        taken = take(self._pairs)
        self.is_giving = False
        return taken

    def checked(self, items: list[Any]) -> list[Pair]:
        """Return the last items that were given; TypeError when one of them is no pair."""
        self.is_giving = True
        pairs = [_pair(item, self._function) for item in items]
        self.is_giving = False
        return pairs

    def _take(self, n_pairs: int) -> list[Any]:
        """About n_pairs; fewer where the memory for n_pairs of the largest would be too much."""
        self.is_giving = True  # and so it stays when this raises
        batch: list[Any] = []
        n_bytes = 0
        while (
            len(batch) < n_pairs
            and n_bytes < BATCH_BYTES
            and (more := list(islice(self._pairs, self._n_safe)))
        ):
            batch += more
            sample = [pair for pair in more[::_SAMPLED] if type(pair) is tuple]
            n_bytes += _SAMPLED * sum([getsizeof(part) for pair in sample for part in pair])
        self._n_safe = 1 if n_bytes > FIRST_BATCH * BATCH_BYTES else FIRST_BATCH
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


def as_pairs(batch: list[Any], function: Function | External | None) -> list[Pair]:
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
