"""Moves bytes between the kit and a process that it started: workers, and adapters of drivers."""

from __future__ import annotations

import os
from collections.abc import Callable

from kvproto._stdio import ready_fds
from kvproto.driver.process import SupervisedProcess
from kvproto.errors import KVProtoError

__all__ = ["Pipes"]

_PIECE = 1 << 16


class Pipes:
    """The descriptors of a process, and the step in which bytes move.

    take           called with a descriptor and the bytes that were read from it
    also           more descriptors to read
    queue          what is still to be written to stdin
    open           descriptors that are not at end of file
    paused         descriptors that are not read for now
    is_supervised  False when the process lost its supervisor
    """

    def __init__(
        self, process: SupervisedProcess, take: Callable[[int, bytes], None], *also: int
    ) -> None:
        self._process, self._take = process, take
        self.queue = memoryview(b"")
        self.open = {process.stdout, process.stderr, *also}
        self.paused: set[int] = set()
        self.is_supervised = True

    def move(self, milliseconds: float) -> bool:
        """Wait until something can move, and move it; return whether anything did."""
        process = self._process
        readable, writable = self.open - self.paused, set[int]()
        if process.exit_status is None:
            if self.queue:
                writable.add(process.stdin)
            if self.is_supervised:
                readable.add(process.status_fd)
        ready = ready_fds(readable, writable, milliseconds / 1000)
        for fd in ready:
            if fd == process.stdin:
                # In one write, so that the process can read all that fits into the pipe at once.
                self.queue = self.queue[os.write(fd, self.queue) :]
            elif fd == process.status_fd:
                self._read_status()
            else:
                self._read(fd)
        return bool(ready)

    def _read(self, fd: int) -> None:
        data = os.read(fd, _PIECE)
        if data:
            self._take(fd, data)
        else:
            self.open.discard(fd)

    def _read_status(self) -> None:
        try:
            self._process.read_status()
        except (KVProtoError, ValueError):  # it was killed, or the worker wrote there
            self.is_supervised = False
