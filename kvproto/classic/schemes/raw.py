"""`raw://`: the address itself is the data, as UTF-8.

No size is told beforehand: what a few bytes stand for may take long to compute, so that each of these inputs is a task.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from kvproto.classic.schemes import Input

__all__ = ["find", "open"]


def find(url: str) -> list[Input]:
    """The address, as a task of its own."""
    return [Input(url, None, False)]


def open(url: str, start: int, end: int | None) -> tuple[BinaryIO, int]:
    """The data behind `raw://`."""
    data = _data(url)
    return io.BytesIO(data), len(data)


def _data(url: str) -> bytes:
    return url.removeprefix("raw://").encode("utf-8", "surrogateescape")
