"""The rows of an annotated dump: the bytes of fields, what they are, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from kvproto._text import ROW_BYTES, counted, dump_row, quoted_text
from kvproto.inspection.window import (
    AT_END,
    WHOLE,
    Field,
    Piece,
    Window,
    advanced,
    fields,
    n_records,
    seek,
)
from kvproto.protocol.stream import FrameStream
from kvproto.storage.records import BATCH_HEAD

__all__ = ["Chosen", "Gap", "Row", "around", "ends", "raw", "text_of"]

ROWS_OF_AN_ITEM = 2
ROWS_OF_A_CHOSEN_ITEM = 20
ROWS_OF_A_FAULT = 4

AROUND = 3
"""How many records are shown on each side of a chosen one."""


class Chosen(NamedTuple):
    """A place to be shown: of a kind ("pair", "list" or "offset") and its number, from 0."""

    kind: str
    number: int

    def is_read(self, stream: FrameStream) -> bool:
        """Whether all of it has been read."""
        if self.kind == "offset":
            return stream.place().offset > self.number
        return (stream.n_lists if self.kind == "list" else stream.n_pairs) > self.number

    def record(self, pieces: Sequence[Piece]) -> tuple[int, FrameStream] | None:
        """Find where its record begins; None if it is not there."""
        if self.kind == "offset":
            return _record_at(pieces, self.number)
        return seek(
            pieces,
            lambda stream: (
                (stream.n_lists if self.kind == "list" else stream.n_pairs) >= self.number
            ),
        )


class Row(NamedTuple):
    """Bytes with their meaning; `n_bytes` is how many there are if only the first are in `data`."""

    offset: int
    data: bytes
    n_bytes: int
    words: str
    n_rows: int = ROWS_OF_AN_ITEM
    is_wrong: bool = False


class Gap(NamedTuple):
    """What is left out."""

    words: str


def text_of(rows: Iterable[Row | Gap]) -> Iterator[str]:
    """Yield the lines of a dump."""
    for row in rows:
        if isinstance(row, Gap):
            yield f"  ...   {row.words}"
            continue
        shown = row.data[: row.n_rows * ROW_BYTES]
        for at in range(0, max(len(shown), 1), ROW_BYTES):
            part = shown[at : at + ROW_BYTES]
            is_in_words = at < ROWS_OF_AN_ITEM * ROW_BYTES
            words = row.words if at == 0 else "" if is_in_words else quoted_text(part)
            yield from dump_row(row.offset + at, part, words, row.is_wrong and at == 0)
        if row.n_bytes > len(shown):
            yield f"  ...   {counted(row.n_bytes - len(shown), 'more byte')}"


def ends(window: Window, unit: str) -> Iterator[Row | Gap]:
    """Yield the rows of a stream: all of a short one, otherwise its first and last records."""
    end = window.offset if window.fault is None else window.fault.offset
    n_all = n_records(window.stream)
    if n_all <= WHOLE:
        yield from _rows(window.first, (window.start, window.first[0].before), end, unit)
        return
    gap = _with_records(window.first, AT_END)
    last = _from_record(window.last, n_all - AT_END)
    assert gap is not None
    yield from _rows(window.first, (window.start, window.first[0].before), gap[0], unit)
    yield _gap(gap, last, unit)
    yield from _rows(window.last, last, end, unit)


def around(window: Window, chosen: Chosen, unit: str) -> Iterator[Row | Gap]:
    """Yield the rows of a chosen record, and of some before it and after it."""
    pieces = window.around or window.last
    record = chosen.record(pieces)
    if record is None:
        return
    begin = _from_record(pieces, max(0, n_records(record[1]) - AROUND))
    n_after = n_records(record[1]) + 1 + AROUND
    end = _with_records(pieces, n_after)
    limit = window.offset if window.fault is None else window.fault.offset
    if begin[0] > window.start:
        yield _gap((window.start, window.first[0].before), begin, unit)
    number = record[1].place().record
    yield from _rows(pieces, begin, limit if end is None else end[0], unit, number)
    if end is not None and end[0] < limit:
        yield _gap(end, (window.offset, window.stream), unit)


def _with_records(pieces: Sequence[Piece], number: int) -> tuple[int, FrameStream] | None:
    """Where `number` records are complete."""
    return seek(pieces, lambda stream: n_records(stream) >= number)


def _record_at(pieces: Sequence[Piece], offset: int) -> tuple[int, FrameStream] | None:
    """Where the record with the byte at `offset` begins."""
    piece = next((piece for piece in reversed(pieces) if piece.offset <= offset), None)
    if piece is None:
        return None
    number = n_records(advanced(piece, offset - piece.offset))
    return _with_records(pieces, number)


def _from_record(pieces: Sequence[Piece], number: int) -> tuple[int, FrameStream]:
    """Where record `number` begins, or the first one after it that begins in the pieces."""
    while True:
        place = _with_records(pieces, number)
        assert place is not None
        offset, stream = place
        at = stream.place()
        if at.offset == offset and at.field in ("num-pairs", "key size"):
            return place
        number = n_records(stream) + 1


def _gap(begin: tuple[int, FrameStream], end: tuple[int, FrameStream], unit: str) -> Gap:
    n_pairs = end[1].n_pairs - begin[1].n_pairs
    n_lists = end[1].n_lists - begin[1].n_lists
    what = [counted(n_lists, "list")] * (unit == "list")
    what.append(counted(n_pairs, "batch" if unit == "batch" else "pair"))
    return Gap(f"{' and '.join(what)}, {counted(end[0] - begin[0], 'byte')}, left out")


def _rows(
    pieces: Sequence[Piece],
    start: tuple[int, FrameStream],
    end: int,
    unit: str,
    chosen: int | None = None,
) -> Iterator[Row]:
    """The fields from `start` up to the offset `end`."""
    begins = "num-pairs" if unit == "list" else "key size"
    for field in fields(pieces, start, end):
        words = _words(field, unit)
        if field.name == begins:
            words = f"{unit} {field.record:,}: {words}"
        elif field.name == "key size":
            words = f"pair {field.pair:,} of the list: {words}"
        n_rows = ROWS_OF_A_CHOSEN_ITEM if field.record == chosen else ROWS_OF_AN_ITEM
        yield Row(field.offset, field.data, field.n_bytes, words, n_rows)


def _words(field: Field, unit: str) -> str:
    """What a field is, and what is in it."""
    if field.name not in ("key", "value"):
        return f"{field.name} {field.number:,}"
    if unit == "batch" and field.name == "key" and field.n_bytes == BATCH_HEAD.size:
        n_pairs, crc = BATCH_HEAD.unpack(field.data)
        return f"key: {counted(n_pairs, 'pickled pair')}, crc32 {crc:08x}"
    return f"{field.name} {quoted_text(field.data)}"


def raw(data: bytes, offset: int, words: str, *, is_wrong: bool = True) -> Iterator[Row]:
    """Yield the rows of bytes without fields, usually from the first wrong one on."""
    yield Row(offset, data[:ROW_BYTES], len(data[:ROW_BYTES]), words, is_wrong=is_wrong)
    for at in range(ROW_BYTES, min(len(data), ROWS_OF_A_FAULT * ROW_BYTES), ROW_BYTES):
        part = data[at : at + ROW_BYTES]
        yield Row(offset + at, part, len(part), quoted_text(part))
