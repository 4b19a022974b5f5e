"""Find a line of an input by its number in a part of it, after a failure: where it is in the input.

The lines before the part are counted only then, for a bounded time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from kvproto._record import Place
from kvproto.engine.plan import Split
from kvproto.errors import DataError
from kvproto.inputs.lines import BOM, line_blocks
from kvproto.inputs.unpacking import is_unpacked, unpack
from kvproto.protocol.frames import MAX_ITEM
from kvproto.storage.atomic import BLOCK

__all__ = ["locate_line"]

_SECONDS = 30.0  # for reading the input again


class _TooLong(Exception):
    """Reading the input again takes too long."""


def locate_line(
    split: Split, url: str, index: int, open_part: Callable[..., tuple[Any, Any]], can_unpack: bool
) -> Place:
    """Return the place of a line.

    Parameters
    ----------
    split : Split
        The part of the input.
    url : str
        The replica to read.
    index : int
        The number of the line in the part, from 0.
    open_part : callable
        Opens the lines that begin in a range, as `kvproto.inputs.schemes.open_input`.
    can_unpack : bool
        Whether compressed inputs are unpacked.

    Returns
    -------
    Place
        Without the line if the input cannot be read again in time.
    """
    unknown = Place(url, index, split.start)
    deadline = time.monotonic() + _SECONDS
    n_lines = n_bytes = 0
    try:
        if split.start:
            file, _ = open_part(url, 0, split.start)
            with file:
                for block in _blocks(file, url, deadline):
                    n_lines += _n_lines(block)
                    n_bytes += len(block)
        file, _ = open_part(url, split.start, split.end)
        with file, unpack(file, url) if can_unpack and not split.start else file as content:
            if not split.start and content.peek(len(BOM)).startswith(BOM):
                content.read(len(BOM))
                n_bytes = len(BOM)
            for block in _blocks(content, url, deadline):
                n_here = _n_lines(block)
                if index < n_here:
                    start, end = _line_of(block, index)
                    return Place(
                        url,
                        index,
                        split.start,
                        line=n_lines + index + 1,
                        start=n_bytes + start,
                        end=n_bytes + end,
                        is_unpacked=is_unpacked(content),
                    )
                index -= n_here
                n_lines += n_here
                n_bytes += len(block)
    except (_TooLong, DataError, OSError):  # the worker's error is what matters
        return unknown
    return unknown


def _blocks(file: Any, url: str, deadline: float) -> Iterator[bytes]:
    """Yield whole lines."""
    for block in line_blocks(file, url, BLOCK, MAX_ITEM):
        if time.monotonic() > deadline:
            raise _TooLong
        yield bytes(block)


def _n_lines(block: bytes) -> int:
    return block.count(b"\n") + (not block.endswith(b"\n"))


def _line_of(block: bytes, index: int) -> tuple[int, int]:
    """Return where a line of a block begins and ends."""
    start = 0
    for _ in range(index):
        start = block.index(b"\n", start) + 1
    end = block.find(b"\n", start) + 1
    return start, end or len(block)
