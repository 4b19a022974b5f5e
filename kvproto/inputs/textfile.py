"""Inputs as files of text, and what of them is no text: see `kvproto.inputs.formats`."""

from __future__ import annotations

import io

from kvproto.errors import DataError
from kvproto.inputs.formats import BOM, HEAD_SIZE, check_has_lines

__all__ = ["check_text", "line_too_long", "skip_mark", "text_file"]


def check_text(stream, where: str) -> None:
    """As `check_has_lines`, for a stream that is about to be read as lines, where it is a file that shows its bytes."""
    buffer = getattr(stream, "buffer", stream)
    if isinstance(head := buffer.peek(HEAD_SIZE) if hasattr(buffer, "peek") else None, bytes):
        check_has_lines(head[:HEAD_SIZE], where)


def line_too_long(url: str, limit: int) -> DataError:
    """The error for a line of more than `limit` bytes."""
    return DataError(
        f"a line of more than {limit} bytes in {url}: an item has at most so many [LIMITS-1]",
        is_final=True,
    )


def skip_mark(file) -> None:
    """Skip the byte order mark at the start of a binary file; a text file has skipped it already."""
    if hasattr(file, "peek") and file.peek(len(BOM)).startswith(BOM):
        file.read(len(BOM))


def text_file(file, is_start: bool = True) -> io.TextIOWrapper:
    """A binary file as text: UTF-8, any other bytes kept as lone surrogates; without a byte order mark at its start."""
    has_mark = is_start and hasattr(file, "peek") and file.peek(len(BOM)).startswith(BOM)
    encoding = "utf-8-sig" if has_mark else "utf-8"  # which alone Python reads at full speed
    return io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline="\n")
