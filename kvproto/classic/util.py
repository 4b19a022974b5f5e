"""Small helpers for job functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

__all__ = ["kvgroup"]


def kvgroup(kviter: Iterable[tuple]) -> Iterator[tuple]:
    """Group consecutive pairs of equal keys: (key, iterator of values); sort first to have each key once."""
    for key, pairs in groupby(kviter, key=itemgetter(0)):
        yield key, (value for _, value in pairs)
