"""MAP- and REDUCE-: pairs of all shapes in all pieces. The same questions are asked in both modes."""

from __future__ import annotations

from collections.abc import Callable

from kvproto.conformance.case import Case, each
from kvproto.conformance.cases.building import PARAMS, SMALL, Pair, ahead, byte_by_byte, pair, stdin
from kvproto.conformance.oracle import must_fail
from kvproto.conformance.schedule import End, Exit, Pause, Resume, Schedule, Send

__all__ = ["CASES"]

SIZES = (0, 1, 127, 128, 255, 256, 65535, 65536)

MANY_BYTES = 4 << 20
"""More than both pipes hold, of 1 MiB each at most, and what a program buffers besides."""


def _in_both(name: str, level: str, clauses: str, title: str, schedules: Callable[[str], list[Schedule]], **details):
    return tuple(
        Case(f"{mode.upper()}-{name}", level, clauses, title, schedules, modes=(mode,), **details)
        for mode in ("map", "reduce")
    )


def _all_bytes(mode: str) -> list[Schedule]:
    every = bytes(range(256))
    return [ahead(mode, [(b"\0", b"\xff")]), ahead(mode, [(every, every[::-1])])]


def _sizes(mode: str) -> list[Schedule]:
    return [ahead(mode, [(b"k" * size, b"v" * size), (b"k", b"v")]) for size in SIZES]


def _slow_reader(mode: str) -> list[Schedule]:
    pairs: list[Pair] = [(b"%d" % i, b"v" * 65536) for i in range(MANY_BYTES >> 16)]
    return [Schedule((Pause(), Send(stdin(pairs)), Resume(), End(), Exit()), mode)]


def _cut(mode: str) -> list[Schedule]:
    whole = pair(b"k", b"v")
    return [Schedule((Send(PARAMS + whole[:n]), End(), Exit()), mode, breaks="FRAME-4") for n in range(1, len(whole))]


CASES = (
    *_in_both("no-pairs", "MUST", "FRAME-4", "no input is no error", lambda mode: [ahead(mode, [])]),
    *_in_both(
        "empty-items", "MUST", "FRAME-2", "keys, values and both may be empty",
        lambda mode: [ahead(mode, [p, (b"k", b"v")]) for p in ((b"", b"v"), (b"k", b""), (b"", b""))],
    ),
    *_in_both("all-bytes", "MUST", "FRAME-6", "items hold any bytes, text or not", _all_bytes),
    *_in_both("sizes", "MUST", "FRAME-1", "items of 0, 1, 127, 128, 255, 256, 65535 and 65536 bytes", _sizes),
    *_in_both(
        "byte-by-byte", "MUST", "FRAME-5", "input may come one byte at a time",
        lambda mode: [byte_by_byte(mode, SMALL[:n]) for n in (1, 3)],
    ),
    *_in_both(
        "slow-reader", "MUST", "MAP-5 REDUCE-5", "output waits until it is read, and none of it is lost", _slow_reader
    ),
    *_in_both(
        "cut-input", "MUST", "FRAME-4", "input that ends inside a pair is an error, at each byte of it", _cut,
        judge=each(lambda trace: must_fail(trace, "its input ends inside a pair", "FRAME-4")),
    ),
)  # fmt: skip
