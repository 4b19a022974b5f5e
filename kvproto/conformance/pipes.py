"""Moves bytes between the kit and a process that it started: workers, and adapters of drivers."""

from __future__ import annotations

import os
from collections.abc import Callable

from kvproto._stdio import ready_fds
from kvproto.conformance import quiet
from kvproto.driver.process import SupervisedProcess
from kvproto.errors import KVProtoError

__all__ = ["Pipes"]

_PIECE = 1 << 16
_LAST_PIECES = 32  # more than a pipe holds
_BETWEEN_LOOKS = 3  # milliseconds

_Holds = Callable[[tuple[quiet.Thread, ...], tuple[quiet.Thread, ...]], bool]
"""What two looks at the same threads show: `quiet.proof`, `quiet.is_still`."""


class Pipes:
    """The descriptors of a process, and the step in which bytes move.

    take           called with a descriptor and the bytes that were read from it
    also           more descriptors to read
    queue          what is still to be written to stdin
    n_written      bytes written to stdin
    open           descriptors that are not at end of file
    paused         descriptors that are not read for now
    is_supervised  False when the process lost its supervisor
    threads        what the process and all that it has started did when `is_quiet` looked last
    """

    def __init__(
        self, process: SupervisedProcess, take: Callable[[int, bytes], None], *also: int
    ) -> None:
        self._process, self._take = process, take
        self.queue = memoryview(b"")
        self.n_written = 0
        self.open = {process.stdout, process.stderr, *also}
        self.paused: set[int] = set()
        self.is_supervised = True
        self.threads: tuple[quiet.Thread, ...] = ()
        self.stdin_inode = os.fstat(process.stdin).st_ino

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
                n_bytes = os.write(fd, self.queue)
                self.queue = self.queue[n_bytes:]
                self.n_written += n_bytes
            elif fd == process.status_fd:
                self._read_status()
            else:
                self._read(fd)
        return bool(ready)

    def drain(self) -> None:
        """Move what is in the pipes. A process that was left may write without end."""
        for _ in range(_LAST_PIECES):
            if not self.move(0):
                return

    def is_quiet(self, holds: _Holds) -> bool:
        """Whether two looks at the process and its descendants show `holds` while no byte moves.

        `quiet.proof` proves that they do nothing more unless the kit acts.
        """
        with quiet.STARTING:
            before = self.look()
            if not self._has_all(before) or not holds(before, before) or self.move(_BETWEEN_LOOKS):
                return False
            return holds(before, self.look()) and not self.move(0)

    def look(self) -> tuple[quiet.Thread, ...]:
        """Update and return `threads`."""
        self.threads = quiet.look(self._process.supervisor_pid, self.stdin_inode)
        return self.threads

    def _has_all(self, threads: tuple[quiet.Thread, ...]) -> bool:
        """Whether the process is among the threads, or its exit status has arrived."""
        process = self._process
        return process.exit_status is not None or any(
            thread.pid == process.pid for thread in threads
        )

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
