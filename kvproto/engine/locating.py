"""Find lines of an input by their numbers in a part of it, after a failure: where they are.

The lines before the part are counted only then, for a bounded time.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kvproto._record import Place
from kvproto.engine.plan import Split
from kvproto.errors import DataError
from kvproto.inputs.lines import BOM, line_blocks
from kvproto.inputs.unpacking import is_unpacked, unpack
from kvproto.protocol.frames import MAX_ITEM
from kvproto.storage.atomic import BLOCK

__all__ = ["locate_lines"]

_SECONDS = 30.0  # for reading the input again


class _TooLong(Exception):
    """Reading the input again takes too long."""


def locate_lines(
    split: Split,
    url: str,
    indexes: Sequence[int],
    open_part: Callable[..., tuple[Any, Any]],
    can_unpack: bool,
) -> list[Place]:
    """Return the places of lines.

    Parameters
    ----------
    split : Split
        The part of the input.
    url : str
        The replica to read.
    indexes : sequence of int
        The numbers of the lines in the part, from 0, in ascending order.
    open_part : callable
        Opens the lines that begin in a range, as `kvproto.inputs.schemes.open_input`.
    can_unpack : bool
        Whether compressed inputs are unpacked.

    Returns
    -------
    list of Place
        Those that could not be read again in time are without the line.
    """
    places = [Place(url, index, split.start) for index in indexes]
    try:
        for at, place in enumerate(_placed(split, url, places, open_part, can_unpack)):
            places[at] = place
    except (_TooLong, DataError, OSError):  # the error of the map is what matters
        pass
    return places


def _placed(
    split: Split,
    url: str,
    places: Sequence[Place],
    open_part: Callable[..., tuple[Any, Any]],
    can_unpack: bool,
) -> Iterator[Place]:
    """Yield the same places with their lines."""
    deadline = time.monotonic() + _SECONDS
    n_before = n_bytes = n_lines = (
        0  # lines before the part; bytes, and lines of it, before a block
    )
    if split.start:
        file, _ = open_part(url, 0, split.start)
        with file:
            for block in _blocks(file, url, deadline):
                n_before += _n_lines(block)
                n_bytes += len(block)
    left = collections.deque(places)
    file, _ = open_part(url, split.start, split.end)
    with file, unpack(file, url) if can_unpack and not split.start else file as content:
        if not split.start and content.peek(len(BOM)).startswith(BOM):
            content.read(len(BOM))
            n_bytes = len(BOM)
        for block in _blocks(content, url, deadline):
            n_here = _n_lines(block)
            number, start = n_lines, 0  # of a line, and where it begins in the block
            while left and left[0].entry < n_lines + n_here:
                for _ in range(left[0].entry - number):
                    start = block.index(b"\n", start) + 1
                place = left.popleft()
                number = place.entry
                end = block.find(b"\n", start) + 1 or len(block)
                yield place._replace(
                    line=n_before + number + 1,
                    start=n_bytes + start,
                    end=n_bytes + end,
                    is_unpacked=is_unpacked(content),
                )
            if not left:
                return
            n_lines += n_here
            n_bytes += len(block)


def _blocks(file: Any, url: str, deadline: float) -> Iterator[bytes]:
    """Yield whole lines."""
    for block in line_blocks(file, url, BLOCK, MAX_ITEM):
        if time.monotonic() > deadline:
            raise _TooLong
        yield bytes(block)


def _n_lines(block: bytes) -> int:
    return block.count(b"\n") + (not block.endswith(b"\n"))
