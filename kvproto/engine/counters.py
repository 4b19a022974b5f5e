"""Counters: numbers with names, which the tasks of a job add to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kvproto.errors import JobError

__all__ = ["MAX_COUNTERS", "Counters"]

MAX_COUNTERS = 1000
"""The most counters that a job can have."""

_NAME = re.compile("[A-Za-z0-9_.:-]{1,128}")
_LIMIT = 1 << 63


class Counters(Mapping[str, int]):
    """The counters of a task, or of a job: name -> sum."""

    def __init__(self) -> None:
        self._sums: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        return self._sums[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sums)

    def __len__(self) -> int:
        return len(self._sums)

    def count(self, name: str, n: int) -> None:
        """Add n to a counter, after checking both; ValueError or TypeError if they are wrong."""
        if not isinstance(name, str) or not isinstance(n, int):
            raise TypeError(f"count(name, n) needs a str and an int, not {name!r} and {n!r}")
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} cannot be the name of a counter: "
                "it needs 1 to 128 of the characters A-Z a-z 0-9 _ . : -"
            )
        if not -_LIMIT <= n < _LIMIT:
            raise ValueError(f"counter {name}: {n} does not fit in 64 bits")
        self.add(name, int(n))

    def add(self, name: str, n: int) -> None:
        """Add n to a counter. JobError if there are too many counters."""
        before = self._sums.get(name)
        if before is None and len(self._sums) >= MAX_COUNTERS:
            raise JobError(
                f"counter {name} is one too many: a job can have {MAX_COUNTERS:,} counters; "
                "count what differs from record to record in pairs"
            )
        self._sums[name] = (before or 0) + n

    def update(self, others: Mapping[str, int]) -> None:
        """Add the sums of others."""
        for name, n in others.items():
            self.add(name, n)
