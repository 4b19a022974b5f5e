"""How many records of a job may be bad: a number, or a share of the records that its maps read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from kvproto._record import Record
from kvproto._text import counted
from kvproto.storage.bad_records import BadRecord

__all__ = ["MAX_BYTES", "NONE_BAD", "N_SHOWN", "BadLimit", "described", "too_many"]

MAX_BYTES = 64 << 20
"""The most bytes of bad records that a task keeps: 64 MiB."""

N_SHOWN = 10
"""How many bad records an error shows."""

_SHARE = re.compile(r"(\d{1,3})(?:\.(\d{1,12}))?\s*%", re.ASCII)
_READ_AHEAD = 1 << 19  # bytes that a task may have read, but not as records


class BadLimit(NamedTuple):
    """How many records may be bad.

    Attributes
    ----------
    text : str
        The limit as the job has it, such as "10" or "0.01%".
    n_bad, n_records : int
        So many of so many records. With n_records 0, n_bad of all.
    n_bytes : int
        The size of all inputs of the job, as far as it is known.
    """

    text: str = "0"
    n_bad: int = 0
    n_records: int = 0
    n_bytes: int = 0

    @classmethod
    def parse(cls, value: int | str) -> BadLimit:
        """Return the limit for a number from 0, or a share such as "0.01%"; ValueError."""
        text = str(value).strip()
        if text.isascii() and text.isdecimal():
            return cls(text, int(text))
        match = _SHARE.fullmatch(text)
        if match is not None:
            decimals = match[2] or ""
            n_bad, n_records = int(match[1] + decimals), 100 * 10 ** len(decimals)
            if n_bad <= n_records:
                return cls(text, n_bad, n_records) if n_bad else cls()
        raise ValueError(
            f"must be a number of records from 0, or a share such as '0.01%', not {value!r}"
        )

    def __bool__(self) -> bool:
        """Whether any record may be bad."""
        return self.n_bad > 0

    def is_over(self, n_bad: int, n_records: int) -> bool:
        """Whether so many bad ones are too many, of all records of the job."""
        if not self.n_records:
            return n_bad > self.n_bad
        return n_bad * self.n_records > n_records * self.n_bad

    def is_over_early(self, n_bad: int, n_records: int, n_bytes: int) -> bool:
        """Whether they are too many before all records are known.

        A share is then one of twice the records that the job should have: as many for each byte of
        its inputs as in the bytes that were read.
        """
        if not self.n_records:
            return n_bad > self.n_bad
        n_whole = max(1, n_bytes - _READ_AHEAD)
        if not self.n_bytes or n_bytes <= _READ_AHEAD:
            return False
        return self.is_over(n_bad, 2 * max(n_records, n_records * self.n_bytes // n_whole))

    def why(self, n_bad: int, n_records: int, readers: str) -> str:
        """Say that they are too many; `readers` is as "the maps have read"."""
        return (
            f"{counted(n_bad, 'bad record')} of {n_records:,} that {readers}, which is more than "
            f"max_bad_records={self.text}"
        )


NONE_BAD = BadLimit()
"""No record may be bad."""


def too_many(why: str, bad: Sequence[BadRecord]) -> str:
    """Return the text of the error for too many bad records, which shows the first ones."""
    shown = [f"  {line}" for one in bad[:N_SHOWN] for line in described(one)]
    advice = "correct the map or these records, or raise max_bad_records"
    return "\n".join([f"{why}; the first ones:", *shown, advice])


def described(one: BadRecord) -> list[str]:
    """Return the lines that show a bad record: where it is, the error, and what it has."""
    lines = [f"{one}: {one.error}"]
    if one.kind == "record":
        shown = Record(0, one.key, one.value, 0).lines()
        lines += ["  " + line for line in shown]
    return lines
