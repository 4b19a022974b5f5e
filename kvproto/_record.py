"""The record of an error: the input pair at which a worker fails, and where it comes from."""

from __future__ import annotations

import codecs
from contextlib import suppress
from typing import NamedTuple

from kvproto._text import ROW_BYTES, dump_row, quoted_ascii

__all__ = ["Place", "Record", "place_of", "set_place"]


class Place(NamedTuple):
    """Where a record comes from.

    Attributes
    ----------
    input : str
        The URL or path of the input.
    entry : int
        Its index in the part of the input that the task reads, from 0.
    part : int
        The offset in bytes where this part begins.
    line : int or None
        The number of the line, from 1. None if the entries are not lines, or if it is not known.
    start, end : int or None
        The offsets in bytes where the line begins and ends, with its newline.
    is_unpacked : bool
        Whether the offsets are those in the content of a compressed input.
    """

    input: str
    entry: int
    part: int = 0
    line: int | None = None
    start: int | None = None
    end: int | None = None
    is_unpacked: bool = False

    def __str__(self) -> str:
        if self.start is None:
            part = f" of the part that begins at byte {self.part}" if self.part else ""
            return f"{self.input}, entry {self.entry} (counted from 0){part}"
        line = "" if self.line is None else f", line {self.line}"
        content = " of its content" if self.is_unpacked else ""
        return f"{self.input}{line}, bytes {self.start} to {self.end}{content}"


def set_place(error: BaseException, place: Place) -> None:
    """Note in an error of any class where the entry comes from on which a function failed."""
    with suppress(AttributeError):  # a class may refuse attributes
        error._kvproto_place = place  # type: ignore[attr-defined]


def place_of(error: BaseException) -> Place | None:
    """Return where the entry comes from, if `set_place` has noted that."""
    return getattr(error, "_kvproto_place", None)


class Record(NamedTuple):
    """The input pair at which a worker fails, which fresh workers have shown.

    Attributes
    ----------
    number : int
        Its index in the run, from 0.
    key, value : bytes
        The pair.
    first : int
        The index of the first pair of the shortest run of pairs that makes a fresh worker fail, and
        ends with this one: `number` if the worker fails on this record alone.
    place : Place or None
        Where it comes from, in a job.
    """

    number: int
    key: bytes
    value: bytes
    first: int
    place: Place | None = None

    def lines(self) -> list[str]:
        """Show it, for an error."""
        lines = [] if self.place is None else [f"input: {self.place}"]
        for name, item in (("key", self.key), ("value", self.value)):
            if item or name == "value":
                lines += _shown(name, item)
        return lines


_SHOWN_CHARACTERS = 200
_SHOWN_BYTES = 6 * ROW_BYTES
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def _shown(name: str, data: bytes) -> list[str]:
    """Show the beginning of an item: as quoted text on one line, or as the rows of a dump."""
    head = f"{name}, {len(data)} byte{'s' * (len(data) != 1)}:"
    text = _beginning(data)
    if text is not None:
        quoted = "".join(_ESCAPES.get(character, character) for character in text)
        n_more = len(data) - len(text.encode())
        return [f'{head} "{quoted}"' + (f" [cut: {n_more} more bytes]" if n_more else "")]
    rows = [head]
    for start in range(0, min(len(data), _SHOWN_BYTES), ROW_BYTES):
        row = data[start : min(start + ROW_BYTES, _SHOWN_BYTES)]
        rows += dump_row(start, row, quoted_ascii(row))
    n_more = len(data) - _SHOWN_BYTES
    return rows + ([f"[cut: {n_more} more bytes]"] if n_more > 0 else [])


def _beginning(data: bytes) -> str | None:
    """Return the first characters of a text in UTF-8; None for other bytes."""
    part = data[: 4 * _SHOWN_CHARACTERS]
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(part, final=len(part) == len(data))
    except UnicodeDecodeError:
        return None
    is_text = all(character.isprintable() or character in "\t\n\r" for character in text)
    return text[:_SHOWN_CHARACTERS] if is_text else None
