"""STDERR-: what a worker writes to stderr, and how much."""

from __future__ import annotations

from typing import Any

from kvproto.conformance.drivers.case import DriverCase, echoed
from kvproto.conformance.drivers.hostile import ALL_BYTES, SHORT, Hostile, hostile
from kvproto.conformance.drivers.hostile import bad as stderr
from kvproto.conformance.drivers.request import Said

__all__ = ["CASES"]

BYTES = ALL_BYTES.replace(b"\n", b"")
LINE = b"y" * 191
CUT_AT = 65536


def _kept(
    name: str, clauses: str, title: str, said: tuple[Said, ...], data: bytes, **options: Any
) -> DriverCase:
    """Lines of a good worker that must be handed on."""
    return DriverCase(
        f"STDERR-{name}",
        "MUST",
        clauses,
        title,
        hostile(stderr.says, data=data, **options),
        echoed,
        said=said,
    )


def _fails(
    name: str,
    clauses: str,
    title: str,
    worker: Hostile,
    said: tuple[Said, ...] | None = None,
    **details: Any,
) -> DriverCase:
    return DriverCase(f"STDERR-{name}", "MUST", clauses, title, worker, said=said, **details)


CASES = (
    _kept(
        "messages",
        "STDERR-2",
        "the tag and one space are dropped, the rest of a line stays",
        (
            Said("MSG", b"hi"),
            Said("MSG", b"hi"),
            Said("MSG", b" two"),
            Said("MSG", b""),
            Said("MSG", b"cr \r"),
        ),
        b"**<MSG> hi\n**<MSG>hi\n**<MSG>  two\n**<MSG>\n**<MSG> cr \r\n",
    ),
    _kept(
        "untagged",
        "STDERR-5",
        "lines without a tag are handed on as they are",
        (Said("", b" **<MSG> no"), Said("", b"**<msg> no"), Said("", b""), Said("", b"* oops \r")),
        b" **<MSG> no\n**<msg> no\n\n* oops \r\n",
    ),
    _kept(
        "error-inside",
        "STDERR-1",
        "a tag that is not at the start of its line is not a tag",
        (Said("", b" **<ERR> no"), Said("", b"x**<ERR> no"), Said("MSG", b"**<ERR> no")),
        b" **<ERR> no\nx**<ERR> no\n**<MSG> **<ERR> no\n",
    ),
    _kept(
        "all-bytes",
        "STDERR-2",
        "text of any bytes is handed on",
        (Said("MSG", BYTES), Said("", BYTES)),
        b"**<MSG> " + BYTES + b"\n" + BYTES + b"\n",
    ),
    _kept(
        "unended",
        "STDERR-3",
        "a last line without a newline is handed on",
        (Said("MSG", b"bye"),),
        b"**<MSG> bye",
    ),
    _kept(
        "heard-flood",
        "STDERR-8",
        "2 MB of messages in the middle of a list block nothing, and none is lost",
        (Said("MSG", LINE),) * 10000,
        (b"**<MSG> " + LINE + b"\n") * 20,
        times=500,
    ),
    _kept(
        "flood-untagged",
        "STDERR-8",
        "2 MB without tags in the middle of a list block nothing, and no line is lost",
        (Said("", LINE),) * 10000,
        (LINE + b"\n") * 20,
        times=500,
    ),
    _kept(
        "long-line",
        "STDERR-6 LIMITS-3",
        "a line of 300 KB is not an error, and a cut is reported",
        (Said("MSG", b"x" * 300000),),
        b"x" * 1000,
        times=300,
        first=b"**<MSG> ",
        last=b"\n",
    ),
    _kept(
        "longest-line",
        "LIMITS-3",
        "a text of 64 KiB is kept whole",
        (Said("MSG", b"x" * CUT_AT),),
        b"x" * 1024,
        times=64,
        first=b"**<MSG> ",
        last=b"\n",
    ),
    _kept(
        "endless-line",
        "STDERR-6",
        "4 MB without a newline are not an error",
        (Said("", b"x" * 4000000),),
        b"x" * 1000,
        times=4000,
    ),
    _kept(
        "behind-a-cut",
        "STDERR-6",
        "the line after one that was cut is handed on",
        (Said("", b"x" * 300000), Said("MSG", b"next")),
        b"x" * 1000,
        times=300,
        last=b"\n**<MSG> next\n",
    ),
    DriverCase(
        "STDERR-closed",
        "MUST",
        "STDERR-8",
        "a worker may close its stderr",
        hostile(stderr.silent),
        echoed,
        said=(),
    ),
    _fails(
        "heard-error",
        "STDERR-7",
        "an ERR line is an error, whatever the exit status and the output",
        hostile(stderr.says, data=b"**<ERR> no\n"),
        (Said("ERR", b"no"),),
    ),
    _fails(
        "error-unended",
        "STDERR-7 STDERR-3",
        "an ERR line without a newline is an error",
        hostile(stderr.says, data=b"**<ERR>no"),
        (Said("ERR", b"no"),),
    ),
    _fails(
        "error-in-pieces",
        "STDERR-7",
        "an ERR line that comes in pieces is an error",
        hostile(stderr.says_in_pieces, pieces=(b"**<E", b"RR> n", b"o\n"), seconds=0.05),
        (Said("ERR", b"no"),),
    ),
    _fails(
        "error-long",
        "STDERR-7 STDERR-6",
        "an ERR line that is cut is an error",
        hostile(stderr.says, data=b"x" * 1000, times=300, first=b"**<ERR> ", last=b"\n"),
        (Said("ERR", b"x" * 300000),),
    ),
    _fails(
        "error-and-stays",
        "LIFECYCLE-6",
        "a worker that does not exit after its ERR line is ended by the grace limit",
        hostile(stderr.says_and_hangs, data=b"**<ERR> no\n"),
        limits={"grace": SHORT},
        is_started=None,
        leaves_nothing=True,
    ),
)
