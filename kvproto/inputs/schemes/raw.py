"""`raw://`: the address itself is the data, as UTF-8.

No size is told beforehand: what a few bytes stand for may take long to compute, so that each of these inputs is a task.
"""

from __future__ import annotations

from io import BufferedReader, BytesIO

from kvproto.inputs.schemes import Input, Tell

__all__ = ["find", "open"]


def find(url: str, tell: Tell) -> list[Input]:
    """The address, as a task of its own."""
    return [Input(url, None, False)]


def open(url: str, start: int, end: int | None) -> tuple[BufferedReader, int]:
    """The data behind `raw://`."""
    data = _data(url)
    return BufferedReader(BytesIO(data)), len(data)


def _data(url: str) -> bytes:
    return url.removeprefix("raw://").encode("utf-8", "surrogateescape")
