"""The lines at the bottom of a terminal that are drawn again and again, with what is said standing above them.

Knows three things of a terminal: return, cursor up, clear to the end. Keeps the cursor as it is, so that a process
which is killed leaves a terminal that works.
"""

from __future__ import annotations

import os
import re
from typing import TextIO

__all__ = ["LiveLines"]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class LiveLines:
    """Lines that stay at the bottom of `file`, a terminal."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lines: list[str] = []

    def n_columns(self) -> int:
        """How wide the terminal is now; 80 where that cannot be known."""
        try:
            return os.get_terminal_size(self._file.fileno()).columns or 80
        except (OSError, ValueError):  # no terminal; no descriptor
            return 80

    def draw(self, lines: list[str]) -> None:
        """Show these lines instead of those before. Each is shorter than the terminal is wide; colours may be in it."""
        self._write(self._erased() + "\n".join(lines))
        self._lines = lines

    def say(self, text: str) -> None:
        """Put text above the lines."""
        self._write(f"{self._erased()}{text}\n" + "\n".join(self._lines))

    def leave(self) -> None:
        """Let the lines stand where they are and go on below them."""
        if self._lines:
            self._write("\n")
            self._lines = []

    def _erased(self) -> str:
        """What removes the lines; a terminal that has become narrower has broken them into more rows."""
        if not self._lines:
            return ""
        n_columns = self.n_columns()
        n_rows = sum(max(1, -(-len(_COLOUR.sub("", line)) // n_columns)) for line in self._lines)
        return "\r" + "\x1b[A" * (n_rows - 1) + "\x1b[J"

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()
