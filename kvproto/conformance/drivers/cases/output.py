"""LIST-, MAP-, LIMITS-: output with wrong lists, or with a wrong number of them, is an error."""

from __future__ import annotations

from kvproto.conformance.drivers.case import DriverCase, echoed
from kvproto.conformance.drivers.hostile import ANSWERS, ECHO, SHORT, WHOLE, answering, bad, hostile
from kvproto.conformance.drivers.hostile.base import packed

__all__ = ["CASES"]

LAST = ANSWERS[-1]
LONGER = packed((b"key", b"value"))

KIB = 1000
"""Bytes; a limit of items that differs from the default."""


CUT = tuple(
    DriverCase(
        f"LIST-cut-{where}",
        "LIST-3",
        f"output that ends {words} is an error, exit status 0 or not",
        answering(output),
    )
    for where, words, output in (
        ("in-count", "inside num-pairs", LAST[:2]),
        ("behind-count", "right after num-pairs", LAST[:4]),
        ("in-size", "inside a size", LAST[:6]),
        ("in-key", "inside a key", LONGER[:9]),
        ("behind-key", "right after a key", LONGER[:11]),
        ("in-value", "inside a value", LONGER[:-1]),
        ("between-pairs", "between two pairs of a list", b"\2" + LAST[1:]),
    )
)

LIST = (
    *CUT,
    DriverCase(
        "LIST-count-low",
        "LIST-2",
        "a list with more pairs than its num-pairs says is an error",
        answering(LAST + LAST[4:]),
    ),
    DriverCase(
        "LIST-big-endian",
        "LIST-1",
        "a num-pairs in the wrong byte order is an error",
        answering(b"\0\0\0\1" + LAST[4:]),
    ),
    DriverCase(
        "LIST-no-count", "LIST-1", "a list without num-pairs is an error", answering(LAST[4:])
    ),
    DriverCase(
        "LIST-count-largest",
        "LIST-4 LIMITS-2",
        "num-pairs is 4294967295, and two pairs come: an error",
        answering(b"\xff\xff\xff\xff" + 2 * LAST[4:]),
        is_frugal=True,
    ),
    DriverCase(
        "LIST-count-large",
        "LIST-4",
        "num-pairs is 134217728, and two pairs come: an error, without memory for all",
        answering(b"\0\0\0\x08" + 2 * LAST[4:]),
        is_frugal=True,
    ),
    DriverCase(
        "LIST-banner",
        "MAP-3 REDUCE-4",
        "text before the first list is an error",
        answering(first=b"starting\n"),
    ),
    DriverCase(
        "LIST-text-between",
        "MAP-3 REDUCE-4",
        "text between two lists is an error",
        answering(b"1 done\n" + LAST),
    ),
    DriverCase(
        "LIST-text-last",
        "MAP-3 REDUCE-4",
        "text after the last list is an error",
        answering(LAST + b"done\n"),
    ),
    DriverCase(
        "LIST-word-last",
        "MAP-3 REDUCE-4",
        "four bytes of text after the last list are an error",
        answering(LAST + b"bye\n"),
    ),
)

MAP = (
    DriverCase(
        "MAP-too-many",
        "MAP-2",
        "an empty list too many is an error",
        answering(LAST + packed()),
        modes=("map",),
    ),
    DriverCase(
        "MAP-too-few", "MAP-2", "a list too few is an error", answering(b""), modes=("map",)
    ),
    DriverCase(
        "MAP-none",
        "MAP-2",
        "no list at all is an error",
        answering(b"", b"", b""),
        modes=("map",),
        limits={"idle": SHORT},
        is_started=None,
    ),
    DriverCase(
        "MAP-list-for-nothing",
        "MAP-2",
        "a list although there were no pairs is an error",
        hostile(bad.answers_unasked, data=packed()),
        entries=(),
        modes=("map",),
        is_started=None,
    ),
    DriverCase(
        "MAP-flood",
        "MAP-2",
        "endless lists are an error as soon as there is one too many",
        hostile(bad.floods, data=500 * packed()),
        modes=("map",),
        leaves_nothing=True,
    ),
    DriverCase(
        "MAP-unasked",
        "MAP-2",
        "answers that come before their pairs are refused or accepted, never lost",
        hostile(bad.answers_unasked, data=WHOLE),
        echoed,
        may_fail=True,
    ),
    DriverCase(
        "REDUCE-flood",
        "LIFECYCLE-6",
        "endless lists are ended by the total limit",
        hostile(bad.floods, data=500 * packed()),
        modes=("reduce",),
        limits={"total": 3 * SHORT},
        leaves_nothing=True,
        is_started=None,
    ),
)

LIMITS = (
    DriverCase(
        "LIMITS-key-too-large",
        "LIMITS-1",
        "a key size over 1 GiB is refused when its 4 bytes are there",
        hostile(bad.announces, data=b"\1\0\0\0\xff\xff\xff\xff"),
        is_frugal=True,
        leaves_nothing=True,
    ),
    DriverCase(
        "LIMITS-value-too-large",
        "LIMITS-1",
        "a value size of 1 GiB and one byte is refused when its 4 bytes are there",
        hostile(bad.announces, data=b"\1\0\0\0\1\0\0\0k\1\0\0\x40"),
        is_frugal=True,
        leaves_nothing=True,
    ),
    DriverCase(
        "LIMITS-settable",
        "LIMITS-1",
        "an item over a limit set by the user is refused",
        hostile(bad.announces, data=b"\1\0\0\0\1\0\0\0k\xe9\3\0\0"),
        level="SHOULD",
        max_item=KIB,
    ),
    DriverCase(
        "LIMITS-writer",
        "LIMITS-1",
        "a pair over a limit set by the user is not written",
        ECHO,
        level="SHOULD",
        max_item=KIB,
        entries=((b"k", b"v" * (KIB + 1)),),
        is_started=None,
    ),
    DriverCase(
        "LIMITS-exactly",
        "LIMITS-1",
        "items of exactly the limit go out and come back",
        ECHO,
        echoed,
        max_item=KIB,
        entries=((b"k" * KIB, b"v" * KIB),),
    ),
)

CASES = (*LIST, *MAP, *LIMITS)
