"""How the kit shows bytes and text to people.

Each line of a dump is a field with its meaning, and the first wrong byte is marked. Text from a
worker is readable, and cannot control a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kvproto._text import ROW_BYTES, dump_row, quoted_ascii, shortened, visible
from kvproto.conformance.answers import Stdin, Stream

__all__ = ["of_input", "of_output", "plural", "quoted", "shown"]

LINES_OF_AN_ITEM = 2
LINES = 24
"""The most lines of a dump; others, from its middle, are counted."""

RECORDS = 12
"""The pairs or lists at each end of a long stream that are shown."""

_HIDDEN = -1


class _Line(NamedTuple):
    offset: int
    data: bytes
    words: str


def of_input(data: bytes, wrong: int | None = None) -> list[str]:
    """Dump stdin: parameters, then pairs; plain bytes from offset `wrong`, which is marked."""
    good = data if wrong is None else data[:wrong]
    read = Stdin(good)
    if not read.n_params:
        return _marked(list(_raw(good, 0)), data, wrong)
    head = _item(good[: read.n_params], 0, "parameters" if read.params else "no parameters")
    return _marked([*head, *_explained(read.pairs, read.n_params)], data, wrong)


def of_output(data: bytes, wrong: int | None) -> list[str]:
    """Dump stdout as result lists; `wrong` as in `of_input`."""
    return _marked(
        list(_explained(Stream("lists", data if wrong is None else data[:wrong]), 0)), data, wrong
    )


def _marked(lines: list[_Line], data: bytes, wrong: int | None) -> list[str]:
    if wrong is not None:
        lines += list(_raw(data[wrong:], wrong)) or [_Line(wrong, b"", "the end")]
    return _shown(lines, wrong)


def _explained(stream: Stream, base: int) -> Iterator[_Line]:
    """Make a line for each field; of many records only for the first and last ones."""
    n = stream.n_records
    if n <= 2 * RECORDS:
        yield from _of_fields(stream, base, 0, n + 1)
        return
    yield from _of_fields(stream, base, 0, RECORDS)
    yield _Line(_HIDDEN, b"", f"{n - 2 * RECORDS} {stream.kind} left out")
    yield from _of_fields(stream, base, n - RECORDS, n + 1)


def _of_fields(stream: Stream, base: int, first: int, last: int) -> Iterator[_Line]:
    unit = "pair" if stream.kind == "pairs" else "list"
    first_name = "key size" if stream.kind == "pairs" else "num-pairs"
    for field in stream.fields(first, last):
        data = bytes(stream.data[field.offset : field.offset + field.wanted])
        offset = base + field.offset
        if len(data) < field.wanted:
            if data:
                yield from _item(data, offset, f"{field.name}, {len(data)} of {field.wanted} bytes")
        elif field.number >= 0:
            record = f"{unit} {field.record}: " if field.name == first_name else ""
            yield _Line(offset, data, f"{record}{field.name} {field.number}")
        elif data:
            yield from _item(data, offset, f"{field.name} {quoted_ascii(data)}")


def _item(data: bytes, offset: int, words: str) -> Iterator[_Line]:
    shown = data[: ROW_BYTES * LINES_OF_AN_ITEM]
    for at in range(0, len(shown), ROW_BYTES):
        yield _Line(offset + at, shown[at : at + ROW_BYTES], words if at == 0 else "")
    if len(data) > len(shown):
        yield _Line(_HIDDEN, b"", f"{len(data) - len(shown)} more bytes")


def _raw(data: bytes, offset: int) -> Iterator[_Line]:
    for at in range(0, min(len(data), ROW_BYTES * LINES), ROW_BYTES):
        piece = data[at : at + ROW_BYTES]
        yield _Line(offset + at, piece, quoted_ascii(piece))
    if len(data) > ROW_BYTES * LINES:
        yield _Line(_HIDDEN, b"", f"{len(data) - ROW_BYTES * LINES} more bytes")


def _shown(lines: list[_Line], wrong: int | None) -> list[str]:
    """Render the lines; if there are too many, the first ones and those around the wrong byte."""
    n = len(lines)
    keep: Iterable[int] = range(n)
    if n > LINES:
        at = next((i for i, line in enumerate(lines) if line.offset == wrong), n - 1)
        keep = sorted({*range(6), *range(max(0, at - 8), min(n, at + 8))})
    texts, before = [], -1
    for i in keep:
        if i > before + 1:
            texts.append(f"        ... {i - before - 1} lines left out")
        before = i
        texts += _as_text(lines[i], wrong)
    if before < n - 1:
        texts.append(f"        ... {n - 1 - before} lines left out")
    return texts


def _as_text(line: _Line, wrong: int | None) -> list[str]:
    if line.offset == _HIDDEN:
        return [f"        ... {line.words}"]
    return dump_row(line.offset, line.data, line.words, line.offset == wrong)


def quoted(line: bytes, most: int = 50) -> str:
    """Quote a line that a worker wrote, shortened."""
    text = (
        visible(line.decode("utf-8", "backslashreplace")).replace("\n", "\\n").replace("\t", "\\t")
    )
    return f"'{shortened(text, most)}'"


def shown(data: bytes, most: int = 12) -> str:
    """Show bytes in hexadecimal, shortened."""
    return data[:most].hex(" ") + " ..." * (len(data) > most) if data else "nothing"


def plural(n: int, unit: str) -> str:
    """Say how many of something, as "1 pair" or "2 pairs"."""
    return f"{n} {unit}{'s' * (n != 1)}"
