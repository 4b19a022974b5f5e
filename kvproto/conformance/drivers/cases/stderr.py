"""STDERR-: what a worker writes to stderr, and how much."""

from __future__ import annotations

from typing import Any

from kvproto.conformance.drivers.case import DriverCase, echoed
from kvproto.conformance.drivers.hostile import ALL_BYTES, SHORT, bad, hostile
from kvproto.conformance.drivers.request import Message

__all__ = ["CASES"]

BYTES = ALL_BYTES.replace(b"\n", b"")
LINE = b"y" * 191
CUT_AT = 65536


def _kept(
    name: str, clauses: str, title: str, messages: tuple[Message, ...], data: bytes, **options: Any
) -> DriverCase:
    """A good worker, whose lines must be passed on."""
    return DriverCase(
        f"STDERR-{name}",
        clauses,
        title,
        hostile(bad.says, data=data, **options),
        echoed,
        messages=messages,
    )


CASES = (
    _kept(
        "messages",
        "STDERR-2",
        "the tag and one space are dropped, the rest of a line stays",
        (
            Message("MSG", b"hi"),
            Message("MSG", b"hi"),
            Message("MSG", b" two"),
            Message("MSG", b""),
            Message("MSG", b"cr \r"),
        ),
        b"**<MSG> hi\n**<MSG>hi\n**<MSG>  two\n**<MSG>\n**<MSG> cr \r\n",
    ),
    _kept(
        "untagged",
        "STDERR-5",
        "lines without a tag are passed on unchanged",
        (
            Message("", b" **<MSG> no"),
            Message("", b"**<msg> no"),
            Message("", b""),
            Message("", b"* oops \r"),
        ),
        b" **<MSG> no\n**<msg> no\n\n* oops \r\n",
    ),
    _kept(
        "error-inside",
        "STDERR-1",
        "a tag that is not at the start of its line is not a tag",
        (Message("", b" **<ERR> no"), Message("", b"x**<ERR> no"), Message("MSG", b"**<ERR> no")),
        b" **<ERR> no\nx**<ERR> no\n**<MSG> **<ERR> no\n",
    ),
    _kept(
        "all-bytes",
        "STDERR-2",
        "text of any bytes is passed on",
        (Message("MSG", BYTES), Message("", BYTES)),
        b"**<MSG> " + BYTES + b"\n" + BYTES + b"\n",
    ),
    _kept(
        "unended",
        "STDERR-3",
        "a last line without a newline is passed on",
        (Message("MSG", b"bye"),),
        b"**<MSG> bye",
    ),
    _kept(
        "heard-flood",
        "STDERR-8",
        "2 MB of messages in the middle of a list block nothing, and none is lost",
        (Message("MSG", LINE),) * 10000,
        (b"**<MSG> " + LINE + b"\n") * 20,
        times=500,
    ),
    _kept(
        "flood-untagged",
        "STDERR-8",
        "2 MB without tags in the middle of a list block nothing, and no line is lost",
        (Message("", LINE),) * 10000,
        (LINE + b"\n") * 20,
        times=500,
    ),
    _kept(
        "long-line",
        "STDERR-6 LIMITS-3",
        "a line of 300 KB is not an error, and a cut is reported",
        (Message("MSG", b"x" * 300000),),
        b"x" * 1000,
        times=300,
        first=b"**<MSG> ",
        last=b"\n",
    ),
    _kept(
        "longest-line",
        "LIMITS-3",
        "a text of 64 KiB is kept whole",
        (Message("MSG", b"x" * CUT_AT),),
        b"x" * 1024,
        times=64,
        first=b"**<MSG> ",
        last=b"\n",
    ),
    _kept(
        "endless-line",
        "STDERR-6",
        "4 MB without a newline are not an error",
        (Message("", b"x" * 4000000),),
        b"x" * 1000,
        times=4000,
    ),
    _kept(
        "behind-a-cut",
        "STDERR-6",
        "the line after one that was cut is passed on",
        (Message("", b"x" * 300000), Message("MSG", b"next")),
        b"x" * 1000,
        times=300,
        last=b"\n**<MSG> next\n",
    ),
    DriverCase(
        "STDERR-closed",
        "STDERR-8",
        "a worker may close its stderr",
        hostile(bad.silent),
        echoed,
        messages=(),
    ),
    DriverCase(
        "STDERR-heard-error",
        "STDERR-7",
        "an ERR line is an error, whatever the exit status and the output",
        hostile(bad.says, data=b"**<ERR> no\n"),
        messages=(Message("ERR", b"no"),),
    ),
    DriverCase(
        "STDERR-error-unended",
        "STDERR-7 STDERR-3",
        "an ERR line without a newline is an error",
        hostile(bad.says, data=b"**<ERR>no"),
        messages=(Message("ERR", b"no"),),
    ),
    DriverCase(
        "STDERR-error-in-pieces",
        "STDERR-7",
        "an ERR line that comes in pieces is an error",
        hostile(bad.says_in_pieces, pieces=(b"**<E", b"RR> n", b"o\n"), seconds=0.05),
        messages=(Message("ERR", b"no"),),
    ),
    DriverCase(
        "STDERR-error-long",
        "STDERR-7 STDERR-6",
        "an ERR line that is cut is an error",
        hostile(bad.says, data=b"x" * 1000, times=300, first=b"**<ERR> ", last=b"\n"),
        messages=(Message("ERR", b"x" * 300000),),
    ),
    DriverCase(
        "STDERR-error-and-stays",
        "LIFECYCLE-6",
        "a worker that does not exit after its ERR line is ended by the grace limit",
        hostile(bad.says_and_hangs, data=b"**<ERR> no\n"),
        limits={"grace": SHORT},
        is_started=None,
        leaves_nothing=True,
    ),
)
