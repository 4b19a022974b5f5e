"""MAP- and REDUCE-: pairs of all shapes, in pieces of all sizes; the same cases in both modes."""

from __future__ import annotations

from kvproto.conformance.answers import Pair, pair
from kvproto.conformance.case import MODES, Case, Judge, Schedules, good_input
from kvproto.conformance.judges import fails, same_answers, same_as_itself
from kvproto.conformance.schedule import (
    SMALL,
    Pause,
    Resume,
    Schedule,
    Send,
    Setting,
    Taken,
    ahead,
    byte_by_byte,
    stdin,
    twice,
    until_exit,
)

__all__ = ["CASES"]

SIZES = (0, 1, 127, 128, 255, 256, 65535, 65536)
PAGE, PIPE, LARGE_PIPE = 1 << 12, 1 << 16, 1 << 20
AROUND = (-9, -8, -1, 0, 1)
"""Added to the size of a buffer, so that the value with its sizes just fits, or just does not."""

MANY_BYTES = 4 << 20
"""More than both pipes (at most 1 MiB each) and the buffers of a program can hold."""

LIKE_FRAMES = (
    b"\1\0\0\0k\1\0\0\0v",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\1\0\0\0" * 3,
    b"\0\0\0\1",
)
LIKE_TEXT = (
    b"0\n",
    b"**<ERR> no\n",
    b"3 key 5 value\n",
    b"key\tvalue\n",
    b"\r\n",
    b"\x1a",
    b"\x04",
    b"%s%n",
    b"EOF",
)


def _in_both(
    name: str,
    clauses: str,
    title: str,
    schedules: Schedules,
    judge: Judge = good_input,
    level: str = "MUST",
) -> tuple[Case, ...]:
    """Make the same case for both modes, MAP-name and REDUCE-name."""
    return tuple(
        Case(f"{mode.upper()}-{name}", clauses, title, schedules, judge, level=level)
        for mode in MODES
    )


def _then_one_more(*pairs: Pair) -> Schedules:
    """Send each of the pairs, and a plain one, which shows whether the worker is still in step."""
    return lambda setting: [ahead(setting, [p, (b"k", b"v")]) for p in pairs]


def _sizes(*sizes: int) -> Schedules:
    return lambda setting: [
        ahead(setting, [(b"k" * (size & ~7), b"v" * size), (b"k", b"v")]) for size in sizes
    ]


def _values_around(*sizes: int) -> Schedules:
    each = [size + more for size in sizes for more in AROUND]
    return lambda setting: [ahead(setting, [(b"", b"v" * size), (b"k", b"v")]) for size in each]


def _all_bytes(setting: Setting) -> list[Schedule]:
    every = bytes(range(256))
    return [ahead(setting, [(b"\0", b"\xff")]), ahead(setting, [(every, every[::-1])])]


def _two_pieces(setting: Setting) -> list[Schedule]:
    """Cut at each byte after the parameters (for those see PARAMS-apart)."""
    data, head = stdin(setting, SMALL[:2]), len(setting.head()) + 1
    return [
        until_exit(setting, Send(data[:at]), Taken(), Send(data[at:]))
        for at in range(head, len(data))
    ]


def _slow_reader(setting: Setting) -> list[Schedule]:
    """Read stdout only between the pairs, each of which fills the pipe."""
    pairs = [pair(b"%d" % i, bytes([i]) * LARGE_PIPE) for i in range(3)]
    pairs[0] = setting.head() + pairs[0]
    steps = [step for one in pairs for step in (Pause(), Send(one), Resume())]
    return [until_exit(setting, *steps)]


def _both_full(setting: Setting) -> list[Schedule]:
    pairs: list[Pair] = [(b"%d" % i, b"v" * 65536) for i in range(MANY_BYTES >> 16)]
    return [until_exit(setting, Pause(), Send(stdin(setting, pairs)), Resume())]


def _cut(setting: Setting) -> list[Schedule]:
    whole, head = pair(b"k", b"v"), setting.head()
    return [
        until_exit(setting, Send(head + before + whole[:n]), breaks="FRAME-4")
        for before in (b"", whole)
        for n in range(1, len(whole))
    ]


def _in_pieces(setting: Setting) -> list[Schedule]:
    pairs = (*SMALL, (b"", b"\n" * 300), (b"k" * 300, b""))
    data = stdin(setting, pairs)
    schedules = twice(setting, pairs)
    for size in (1, 3, 4, 7, 64):
        begins = [0, *range(len(setting.head()) + size, len(data), size)]
        pieces = [
            data[begin:end] for begin, end in zip(begins, [*begins[1:], len(data)], strict=True)
        ]
        steps = [step for piece in pieces for step in (Send(piece), Taken())]
        schedules.append(until_exit(setting, *steps))
    return schedules


CASES = (
    *_in_both(
        "no-pairs",
        "FRAME-4",
        "input without pairs is not an error",
        lambda setting: [ahead(setting, [])],
    ),
    *_in_both("empty-key", "FRAME-2", "a key may be empty", _then_one_more((b"", b"v"))),
    *_in_both("empty-value", "FRAME-2", "a value may be empty", _then_one_more((b"k", b""))),
    *_in_both(
        "empty-pair", "FRAME-2", "key and value may both be empty", _then_one_more((b"", b""))
    ),
    *_in_both("all-bytes", "FRAME-6", "items hold any bytes, text or not", _all_bytes),
    *_in_both(
        "frames-inside",
        "FRAME-2",
        "items that look like sizes or pairs are ordinary items",
        _then_one_more(*((like, like) for like in LIKE_FRAMES)),
    ),
    *_in_both(
        "text-inside",
        "FRAME-6",
        "items that look like parameters, messages or line ends are ordinary items",
        _then_one_more(*((like, like) for like in LIKE_TEXT)),
    ),
    *_in_both(
        "sizes",
        "FRAME-1",
        "items of 0, 1, 127, 128, 255, 256, 65535 and 65536 bytes",
        _sizes(*SIZES),
    ),
    *_in_both(
        "buffer-sizes",
        "FRAME-1",
        "values around the sizes of buffers and pipes: 4 KiB, 64 KiB, 1 MiB",
        _values_around(PAGE, PIPE, LARGE_PIPE),
    ),
    *_in_both(
        "size-16-mib",
        "FRAME-1 LIMITS-1",
        "a value of 16 MiB",
        lambda setting: [ahead(setting, [(b"k", b"0123456789abcdef" * (1 << 20)), (b"k", b"v")])],
    ),
    *_in_both(
        "tiny-pairs",
        "FRAME-3",
        "ten thousand empty pairs",
        lambda setting: [ahead(setting, [(b"", b"")] * 10_000)],
    ),
    *_in_both(
        "byte-by-byte",
        "FRAME-5",
        "input may come one byte at a time",
        lambda setting: [
            byte_by_byte(stdin(setting, SMALL[:n]), setting, len(setting.head()) + 1)
            for n in (1, 3)
        ],
    ),
    *_in_both(
        "two-pieces", "FRAME-5", "input may come in two pieces, cut at any byte", _two_pieces
    ),
    *_in_both(
        "slow-reader",
        "MAP-5 REDUCE-5",
        "output waits until it is read, and none of it is lost",
        _slow_reader,
    ),
    *_in_both(
        "both-full",
        "MAP-5 REDUCE-5",
        "both pipes may be full, and work continues once stdout is read",
        _both_full,
    ),
    *_in_both(
        "cut-input",
        "FRAME-4",
        "input that ends inside a pair is an error, at any byte",
        _cut,
        fails("its input ends inside a pair", "FRAME-4"),
    ),
    *_in_both(
        "same-again",
        "LIFECYCLE-9",
        "the same input gives the same output",
        twice,
        same_as_itself,
        level="SHOULD",
    ),
    *_in_both(
        "same-in-pieces",
        "FRAME-5",
        "its answers do not depend on how its input is cut into pieces",
        _in_pieces,
        same_answers("FRAME-5", "its answers depend on how its input is cut into pieces"),
    ),
)
