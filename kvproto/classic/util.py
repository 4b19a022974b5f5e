"""Small helpers for job functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

__all__ = ["kvgroup"]

V = TypeVar("V")


def kvgroup(kviter: Iterable[tuple[Any, V]]) -> Iterator[tuple[Any, Iterator[V]]]:
    """Group consecutive pairs with equal keys; sort the pairs first to get each key once.

    Yields
    ------
    (key, iterator of values)
    """
    for key, pairs in groupby(kviter, key=itemgetter(0)):
        yield key, (value for _, value in pairs)
