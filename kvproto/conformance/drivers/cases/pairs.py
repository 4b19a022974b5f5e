"""FRAME-, LIST-, MAP-, REDUCE-: pairs go to a good worker, and its result lists come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvproto.conformance.drivers.case import DriverCase, DriverFinding, Play, echoed
from kvproto.conformance.drivers.hostile import ALL_BYTES, ECHO, MANY, SMALL, good, hostile
from kvproto.conformance.drivers.request import Entry, Lists, Request

__all__ = ["CASES"]

SIZES = (0, 1, 127, 128, 255, 256, 257, 32767, 32768, 65535, 65536, 65537)


def _times(n: int) -> Callable[[Request], Lists]:
    return lambda request: [[pair] * n for pair in request.pairs]


def _of_sizes(*sizes: int) -> Callable[[Request], Lists]:
    return lambda request: [[(b"k", bytes(size))] for size in sizes]


def _empty(request: Request) -> Lists:
    return [[] for _ in request.pairs]


def _argument(case: DriverCase, play: Play) -> DriverFinding | None:
    wanted, got = [play.request.mode], play.noted("arguments")[1:]
    if got == wanted:
        return None
    return case.finding(
        play,
        "arguments",
        "the worker is not started with its mode as the only argument",
        f"{wanted}",
        f"{got}",
    )


def _echoed(
    name: str, clauses: str, title: str, entries: tuple[Entry, ...], **details: Any
) -> DriverCase:
    return DriverCase(name, clauses, title, ECHO, echoed, entries=entries, **details)


FRAME = (
    _echoed(
        "FRAME-pairs",
        "FRAME-3",
        "pairs go out and their lists come back",
        SMALL,
        reports=("wrong pairs",),
    ),
    _echoed(
        "FRAME-all-bytes",
        "FRAME-6",
        "keys and values of any bytes go out and come back",
        ((ALL_BYTES, b""), (b"\0", b"\r\n"), (b"\n \t", b"\xff\xfe"), (b"", ALL_BYTES[::-1])),
    ),
    _echoed(
        "FRAME-text",
        "FRAME-6",
        "text goes out as UTF-8",
        (("na\u00efve", "\u2603"), ("\U0001f40d", b"\xe9")),
    ),
    _echoed(
        "FRAME-empty-items",
        "FRAME-2",
        "keys and values may be empty",
        ((b"", b""), (b"k", b"v"), (b"", b"v"), (b"k", b"")),
    ),
    _echoed(
        "FRAME-sizes",
        "FRAME-1",
        "sizes of one, two and three bytes",
        tuple((b"k", b"v" * size) for size in SIZES),
    ),
    _echoed("FRAME-large", "FRAME-2", "an item of 3 MiB", ((b"k", b"v" * (3 << 20)), (b"", b""))),
    DriverCase(
        "FRAME-bytewise", "FRAME-5", "output may come byte by byte", hostile(good.bytewise), echoed
    ),
    DriverCase(
        "FRAME-pause",
        "FRAME-5",
        "a worker may pause in the middle of a list",
        hostile(good.pauses, seconds=0.15),
        echoed,
    ),
    DriverCase(
        "FRAME-both-ways",
        "MAP-5 REDUCE-5",
        "a lot goes in both directions at once",
        hostile(good.expands, n=2),
        _times(2),
        entries=MANY,
    ),
)

LIST = (
    DriverCase("LIST-empty", "LIST-2", "lists of no pairs", hostile(good.empties), _empty),
    DriverCase(
        "LIST-long", "LIST-2", "lists of 5000 pairs", hostile(good.expands, n=5000), _times(5000)
    ),
    _echoed("LIST-many", "LIST-2", "10000 lists", tuple((b"%d" % n, b"") for n in range(10000))),
)

MAP = (
    DriverCase(
        "MAP-argument",
        "MAP-1",
        "the mode is the only argument",
        hostile(good.looks_around),
        echoed,
        checks=(_argument,),
    ),
    DriverCase(
        "MAP-batches",
        "MAP-5",
        "a worker may answer only when it has to wait for more",
        hostile(good.in_batches),
        echoed,
        entries=MANY,
    ),
    _echoed(
        "MAP-entries",
        "MAP-7",
        "an entry that is one string becomes a value with an empty key",
        ("line\n", b"\xff", ("k", "v")),
        modes=("map",),
    ),
    _echoed("MAP-no-entries", "MAP-2", "no pairs, no lists", (), modes=("map",), is_started=None),
    _echoed(
        "MAP-end-of-file",
        "MAP-6",
        "stdin is closed after the last pair",
        SMALL,
        modes=("map",),
        reports=("no end of file", "end of file too soon"),
    ),
)

REDUCE = (
    DriverCase(
        "REDUCE-argument",
        "REDUCE-1",
        "the mode is the only argument",
        hostile(good.looks_around),
        echoed,
        checks=(_argument,),
    ),
    DriverCase(
        "REDUCE-writes-first",
        "REDUCE-5",
        "a worker may write much before it reads anything",
        hostile(good.ahead, n=40, size=65536),
        _of_sizes(*[65536] * 40),
        entries=MANY,
    ),
    DriverCase(
        "REDUCE-quiet",
        "REDUCE-3",
        "a worker may pause after end of file and then write",
        hostile(good.at_the_end, sizes=(1, 2), seconds=0.15),
        _of_sizes(1, 2),
    ),
    DriverCase(
        "REDUCE-tail",
        "REDUCE-3",
        "everything that a worker has written when it exits is read",
        hostile(good.at_the_end, sizes=(3 << 20, 60000), seconds=0),
        _of_sizes(3 << 20, 60000),
    ),
    DriverCase(
        "REDUCE-nothing",
        "REDUCE-2",
        "a worker may write nothing at all",
        hostile(good.at_the_end, sizes=(), seconds=0),
        _of_sizes(),
    ),
    _echoed(
        "REDUCE-no-entries",
        "REDUCE-2",
        "no pairs, no lists",
        (),
        modes=("reduce",),
        is_started=None,
    ),
    _echoed(
        "REDUCE-end-of-file",
        "REDUCE-5",
        "stdin is closed after the last pair",
        SMALL,
        modes=("reduce",),
        reports=("no end of file", "end of file too soon"),
    ),
)

CASES = (*FRAME, *LIST, *MAP, *REDUCE)
