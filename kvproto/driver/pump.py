"""Bytes made by an iterable, read from a descriptor: a source that may block, for the driver's poll loop.

Promises: what the iterable has given can be read at once, while it waits for more; what it raises is
raised by `check()`. Used by `cli`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

__all__ = ["Pump"]


class Pump:
    """A thread that writes the pieces of an iterable to a pipe.

    fileno    int, the descriptor to read them from; end of file when the iterable is at its end, or has failed
    check()   raises what the iterable has raised, if it has
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.fileno, self._write_end = os.pipe()
        self._error: BaseException | None = None
        # A daemon: it may be reading a terminal that says nothing when the program is to end.
        threading.Thread(target=self._run, args=(pieces,), daemon=True).start()

    def check(self) -> None:
        """Raise what the iterable has raised. For after the end of file."""
        if self._error is not None:
            raise self._error

    def _run(self, pieces: Iterable[bytes]) -> None:
        with open(self._write_end, "wb", buffering=0) as pipe:
            try:
                for piece in pieces:
                    left = memoryview(piece)
                    while left:
                        left = left[pipe.write(left) :]
            except BaseException as e:
                self._error = e  # before the end of file that the reader will see
