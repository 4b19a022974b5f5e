"""Inspect data: find out its kind and whether it is valid, and describe it in lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from kvproto._text import ROW_BYTES, printable, quoted_text
from kvproto.errors import DataError
from kvproto.inputs.lines import check_has_lines
from kvproto.inspection.kinds import KINDS, Kind
from kvproto.inspection.rows import Chosen, raw, text_of
from kvproto.storage.records import RESULT_HEAD

__all__ = ["Inspection", "inspect_pieces"]

_HEAD = 512
"""Bytes at the beginning that tell what data is, or what it looks like."""


class Inspection(NamedTuple):
    """What was found.

    Attributes
    ----------
    is_valid : bool
        Whether the data is valid as the kind that was asked for, or as any kind.
    lines : iterator of str
        The description.
    """

    is_valid: bool
    lines: Iterator[str]


def inspect_pieces(
    pieces: Iterable[bytes], name: str, kind: str | None = None, chosen: Chosen | None = None
) -> Inspection:
    """Inspect data that arrives in pieces; memory does not grow with it.

    Parameters
    ----------
    pieces : iterable of bytes
        The data. It is read to the end, or to the first wrong byte.
    name : str
        What the data is called in the description.
    kind : str, optional
        A key of `KINDS`. By default each kind is tried.
    chosen : Chosen, optional
        The place to be shown, instead of the beginning and the end.

    Raises
    ------
    DataError
        The chosen place is not in the data.
    """
    pieces = iter(pieces)
    head = b""
    while len(head) < _HEAD and (piece := next(pieces, b"")):
        head += piece
    kinds = _tried(head, kind, chosen)
    for piece in chain([head] * bool(head), pieces):
        live = [one for one in kinds.values() if one.fault is None]
        for one in live:
            one.feed(piece)
        if all(one.fault is not None for one in live):
            break
    for one in kinds.values():
        if one.fault is None:
            one.close()
    valid = [one for one in kinds if kinds[one].fault is None]
    best = valid[0] if valid else max(kinds, key=lambda one: kinds[one].n_good)
    if not valid and kinds[best].n_good == 0 and kind is None:
        return Inspection(False, _of_unknown(name, kinds, head[:_HEAD]))
    if chosen is not None and not kinds[best].chosen_is_there():
        has = " and ".join(kinds[best].summary())
        raise DataError(f"{name} has no {chosen.kind} {chosen.number} (counted from 0): {has}")
    return Inspection(bool(valid), _of_kind(name, best, valid, kinds))


def _tried(head: bytes, kind: str | None, chosen: Chosen | None) -> dict[str, Kind]:
    if kind is not None:
        names = [kind]
    elif head.startswith(RESULT_HEAD):
        names = ["result"]
    else:
        names = [*["params", "stdin"] * head[:1].isdigit(), "pairs", "lists"]
    return {name: KINDS[name](chosen) for name in names}


def _of_kind(name: str, best: str, valid: list[str], kinds: dict[str, Kind]) -> Iterator[str]:
    kind, fault = kinds[best], kinds[best].fault
    yield printable(f"{name}: {kind.title}, {'valid' if fault is None else 'not valid'}")
    yield from (f"  {line}" for line in kind.summary())
    if fault is None:
        others = [other for other in valid[1:] if (best, other) != ("params", "stdin")]
        yield from (f"  also valid as {kinds[other].title}: --as {other}" for other in others)
    else:
        yield f"  the first wrong byte: {fault}"
        yield from (
            f"  as {kinds[other].title}: {kinds[other].fault}" for other in kinds if other != best
        )
    yield ""
    yield from text_of(kind.rows())
    if fault is not None:
        yield from text_of(raw(fault.data, fault.offset, fault.words))


def _of_unknown(name: str, kinds: dict[str, Kind], head: bytes) -> Iterator[str]:
    yield printable(f"{name}: unknown, not valid as any kind")
    yield from (f"  as {kind.title}: {kind.fault}" for kind in kinds.values())
    yield from (f"  {line}" for line in _looks(head))
    yield ""
    yield from text_of(raw(head, 0, quoted_text(head[:ROW_BYTES]), is_wrong=False))


def _looks(head: bytes) -> Iterator[str]:
    """What data of no kind looks like, by its first bytes."""
    try:
        check_has_lines(head, "it")
    except DataError as e:
        yield str(e).partition(";")[0].replace("it: ", "it ")
        return
    if head and not any(byte < 32 and byte not in b"\t\r\n" for byte in head):
        yield "it is text: `kvproto encode` makes frames of it"
