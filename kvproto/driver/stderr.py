"""What a worker writes to stderr: its messages, and what an error quotes of them (STDERR)."""

from __future__ import annotations

import collections
from collections.abc import Callable

from kvproto._text import shortened
from kvproto.protocol.messages import ERR, Message, MessageParser, parse_count

__all__ = ["Stderr"]

_TAIL_LINES = 20
_LISTED_ERRORS = 10  # the most **<ERR> lines that an error quotes
_LINE_CHARACTERS = 1000  # the most of a line that an error quotes


class Stderr:
    """The messages of a run.

    Parameters
    ----------
    on_message : callable, optional
        Called with each Message.

    Attributes
    ----------
    errors : list of str
        The first **<ERR> lines.
    n_errors : int
        How many there are.
    """

    def __init__(self, on_message: Callable[[Message], object] | None) -> None:
        self.errors: list[str] = []
        self.n_errors = 0
        self._last: collections.deque[Message] = collections.deque(maxlen=_TAIL_LINES)
        self._on_message = on_message
        self._messages = MessageParser()

    @property
    def tail(self) -> list[str]:
        """The last lines, without those that count something."""
        return list(map(_quoted, self._last))

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._take(self._messages.feed(data))

    def close(self) -> None:
        """Take a last line without a newline."""
        self._take(self._messages.close())

    def tell(self, text: bytes) -> None:
        """Report something that the worker has not written."""
        if self._on_message is not None:
            self._on_message(Message("", text))

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            if parse_count(message) is None:
                self._last.append(message)  # as text only if it is quoted: there may be millions
            if message.kind == ERR:
                self.n_errors += 1
                if self.n_errors <= _LISTED_ERRORS:
                    self.errors.append(_quoted(message))
            if self._on_message is not None:
                self._on_message(message)


def _quoted(message: Message) -> str:
    return shortened(str(message), _LINE_CHARACTERS)
