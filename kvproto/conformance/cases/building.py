"""What the tables of cases are built with: input as bytes, and the schedules that most of them use.

Its encoder is the kit's own, and what it makes goes through the kit's own decoder before a worker sees it.
"""

from __future__ import annotations

from collections.abc import Iterable

from kvproto.conformance.schedule import Answers, End, Exit, Schedule, Send, Step, Taken
from kvproto.conformance.setting import Setting

__all__ = ["SMALL", "ahead", "byte_by_byte", "item", "lockstep", "pair", "pairs_of", "stdin"]

Pair = tuple[bytes, bytes]

SMALL: tuple[Pair, ...] = ((b"a", b"1"), (b"b", b"2"), (b"c", b"3"))
"""Input for which nothing special is meant."""


def item(data: bytes) -> bytes:
    """An item: its size, and itself."""
    n = len(data)
    return bytes((n & 255, n >> 8 & 255, n >> 16 & 255, n >> 24)) + data


def pair(key: bytes, value: bytes) -> bytes:
    """A pair as it goes over the wire."""
    return item(key) + item(value)


def pairs_of(pairs: Iterable[Pair]) -> bytes:
    """Pairs as they go over the wire."""
    return b"".join(pair(*p) for p in pairs)


def stdin(setting: Setting, pairs: Iterable[Pair], *params: Pair) -> bytes:
    """The whole input of a worker: its parameters, `params` among them, and pairs."""
    return setting.head(*params) + pairs_of(pairs)


def ahead(setting: Setting, pairs: Iterable[Pair], *params: Pair, **details) -> Schedule:
    """All input at once, then end of file."""
    return Schedule((Send(stdin(setting, pairs, *params)), End(), Exit()), setting.mode, **details)


def lockstep(setting: Setting, pairs: Iterable[Pair]) -> Schedule:
    """Each pair when the answer to the one before is there."""
    steps: list[Step] = [Send(setting.head()), Taken()]
    for n, one in enumerate(pairs, 1):
        steps += [Send(pair(*one)), Answers(n)]
    return Schedule((*steps, End(), Exit()), setting.mode)


def byte_by_byte(data: bytes, setting: Setting, first: int = 1) -> Schedule:
    """Each byte when the one before has been read; `first` of them at once."""
    pieces = [data[:first], *(bytes([byte]) for byte in data[first:])]
    steps = [step for piece in pieces for step in (Send(piece), Taken())]
    return Schedule((*steps, End(), Exit()), setting.mode)
