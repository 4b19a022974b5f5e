"""What the tables of cases for drivers are built with."""

from __future__ import annotations

from collections.abc import Callable

from kvproto.conformance.cases.building import SMALL
from kvproto.conformance.drivers.hostile import Hostile, good, stdout
from kvproto.conformance.drivers.hostile.base import packed

__all__ = [
    "ALL_BYTES",
    "ANSWERS",
    "ECHO",
    "MANY",
    "SHORT",
    "SMALL",
    "WHOLE",
    "answering",
    "hostile",
]

SHORT = 0.3
"""Seconds, of a limit that is to run out."""

ALL_BYTES = bytes(range(256))

MANY = tuple((b"key %d" % n, bytes([n]) * 65536) for n in range(40))
"""Input of 2.5 MiB: more than pipes hold."""

ANSWERS = [packed(pair) for pair in SMALL]
"""What a worker writes for SMALL that gives each pair back."""

WHOLE = b"".join(ANSWERS)


def hostile(function: Callable, **options) -> Hostile:
    """A worker."""
    return Hostile(function, options)


def answering(*last: bytes, **options) -> Hostile:
    """A worker that gives SMALL back, but the last answers are these."""
    return Hostile(
        stdout.answers, {"outputs": [*ANSWERS[: len(SMALL) - len(last)], *last], **options}
    )


ECHO = hostile(good.echo)
