"""Lines of stderr: `**<MSG> text`, `**<ERR> text`, and whatever else a worker prints.

Untagged lines become messages too; nothing is dropped. A line is cut at 64 KiB, and the message
says so. No I/O. Implements STDERR and LIMITS-3 of PROTOCOL.md.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["ERR", "MAX_LINE", "MSG", "Message", "MessageParser", "encode_message", "parse_count"]

MSG = "MSG"
ERR = "ERR"

MAX_LINE = 64 * 1024
"""Bytes of a line that are kept, without its tag and newline: 64 KiB (LIMITS-3)."""

_TAGS = {b"**<MSG>": MSG, b"**<ERR>": ERR}
_TAG_BYTES = 7


class Message(NamedTuple):
    """One line of stderr.

    Attributes
    ----------
    kind : str
        "MSG", "ERR", or "" for an untagged line.
    text : bytes
        The line without its tag, the one space after the tag, and its newline.
    n_cut : int
        Bytes that were dropped, because the line was longer than MAX_LINE.
    """

    kind: str
    text: bytes
    n_cut: int = 0

    def __str__(self) -> str:
        """Return the text as UTF-8, with bad bytes escaped and a note where it was cut."""
        text = self.text.decode("utf-8", "backslashreplace")
        return f"{text} [{self.n_cut} more bytes cut]" if self.n_cut else text


def encode_message(kind: str, text: str | bytes) -> bytes:
    """Encode a message: one tagged line for each line of text, with one space after the tag.

    Parameters
    ----------
    kind : {"MSG", "ERR"}
    text : str or bytes
        A str is encoded as UTF-8.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        The kind is neither MSG nor ERR.
    TypeError
        The text is neither str nor bytes.

    Notes
    -----
    Implements STDERR-1 to STDERR-4.
    """
    if kind not in (MSG, ERR):
        raise ValueError(f"the kind of a message must be {MSG!r} or {ERR!r}, not {kind!r}")
    if isinstance(text, str):
        text = text.encode("utf-8", "backslashreplace")
    elif not isinstance(text, bytes):
        raise TypeError(f"the text of a message must be str or bytes, not {type(text).__name__}")
    tag = f"**<{kind}> ".encode()
    lines = text.split(b"\n")
    if len(lines) > 1 and not lines[-1]:
        lines.pop()  # the final newline ends the last line and does not begin another
    return b"".join(tag + line + b"\n" for line in lines)


_COUNT = re.compile(rb"count ([A-Za-z0-9_.:-]{1,128}) (-?[0-9]{1,19})")
_MAX_COUNT = 1 << 63
_MAX_SHORT = 200  # bytes of a line that counts, which is kept in case that it comes again


def parse_count(message: Message) -> tuple[str, int] | None:
    """Parse a message `count NAME N`, which adds N to a counter.

    Parameters
    ----------
    message : Message

    Returns
    -------
    tuple of (str, int) or None
        The name of the counter and the number; None for any other message.

    Notes
    -----
    Implements STDERR-9.
    """
    is_count = message.kind == MSG and message.text.startswith(b"count ")
    return _count_of(message.text) if is_count and len(message.text) <= _MAX_SHORT else None


@lru_cache(maxsize=256)  # a worker may write the same one for each record
def _count_of(text: bytes) -> tuple[str, int] | None:
    match = _COUNT.fullmatch(text)
    if match is None:
        return None
    n = int(match[2])
    return (match[1].decode("ascii"), n) if -_MAX_COUNT <= n < _MAX_COUNT else None


class MessageParser:
    """A parser that splits the stream of stderr into messages.

    Notes
    -----
    Parsing never fails: any bytes form lines. The parser buffers one line of at most MAX_LINE bytes
    and its tag.
    """

    def __init__(self) -> None:
        self._line = bytearray()
        self._n_cut = 0

    def feed(self, data: Buffer) -> list[Message]:
        """Parse the next bytes, cut anywhere.

        Parameters
        ----------
        data : bytes-like

        Returns
        -------
        list of Message
            The messages that these bytes complete.
        """
        *ended, rest = bytes(memoryview(data)).split(b"\n")
        messages = []
        if ended:
            self._keep(ended[0])
            messages = [self._message(), *[_message_of(line) for line in ended[1:]]]
        self._keep(rest)
        return messages

    def close(self) -> list[Message]:
        """Mark the end of the stream.

        Returns
        -------
        list of Message
            The last line, if no newline ends it; otherwise empty.
        """
        return [self._message()] if self._line else []

    def _keep(self, piece: bytes) -> None:
        room = _TAG_BYTES + 1 + MAX_LINE - len(self._line)
        self._line += piece[:room]
        self._n_cut += max(0, len(piece) - room)

    def _message(self) -> Message:
        line, n_cut = bytes(self._line), self._n_cut
        self._line.clear()
        self._n_cut = 0
        return _message_of(line, n_cut)


def _message_of(line: bytes, n_cut: int = 0) -> Message:
    """Make a message of a line, of which n_cut bytes are missing at its end."""
    if line.startswith(b"**<MSG> count ") and len(line) <= _MAX_SHORT:
        return _short_message(line)
    return _new_message(line, n_cut)


@lru_cache(maxsize=256)
def _short_message(line: bytes) -> Message:
    return _new_message(line, 0)


def _new_message(line: bytes, n_cut: int) -> Message:
    kind = _TAGS.get(line[:_TAG_BYTES], "")
    if kind:
        line = line[_TAG_BYTES:].removeprefix(b" ")
    if len(line) > MAX_LINE:
        n_cut += len(line) - MAX_LINE
        line = line[:MAX_LINE]
    return Message(kind, line, n_cut)
