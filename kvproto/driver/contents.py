"""The contents of a file, given as bytes or as text that was read from it."""

from __future__ import annotations

from kvproto.errors import FilesError

__all__ = ["as_bytes"]

_HELP = "open(path, 'rb').read() gives the bytes of a file"


def as_bytes(content: bytes | str, name: str) -> bytes:
    """The bytes; a str as UTF-8, with those that were not UTF-8 (lone surrogates) as they were.

    A program for this machine (ELF) that was read as latin-1 is written so again. Raises FilesError that names the file for
    one that has lost bytes, as reading in text mode changes line ends, and for a str that stands for no bytes;
    TypeError for what is neither bytes nor str.
    """
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        raise TypeError(f"the content of {name} must be bytes or str, not {type(content).__name__}")
    is_binary = content.startswith("\x7fELF")
    if is_binary and "\r" not in content and "\n" in content:
        raise FilesError(
            f"{name} is a binary that was read as text, which changed its line ends: {_HELP}"
        )
    try:
        if is_binary and max(content) <= "\xff":
            return content.encode("latin-1")
        return content.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as e:
        raise FilesError(
            f"{name} cannot be written as bytes: {content[e.start]!r} at character {e.start}: {_HELP}"
        ) from None
