"""The connection of a driver and one of its task processes: whole messages over a socket.

A message is its size, 8 bytes, and then its bytes. `multiprocessing.connection` does the same, but
takes as long to load as half of this package.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import Self

__all__ = ["Connection"]

_SIZE = struct.Struct("!Q")
_PIECE = 1 << 20  # bytes of one read at most


class Connection:
    """One end of a connection; leaving its context closes it.

    Parameters
    ----------
    fd : int
        The socket, which `close` closes.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def pair(cls) -> tuple[Connection, Connection]:
        """Make the two ends of a connection."""
        one, other = socket.socketpair()
        return cls(one.detach()), cls(other.detach())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._fd

    def send(self, message: bytes) -> None:
        """Send a message. OSError when the other end is closed."""
        left = memoryview(_SIZE.pack(len(message)) + message)
        while left:
            left = left[os.write(self._fd, left) :]

    def receive(self) -> bytes:
        """Wait for the next message. EOFError when the other end is closed."""
        size = _SIZE.unpack(self._read(_SIZE.size))[0]
        return self._read(size) if size else b""

    def _read(self, n_bytes: int) -> bytes:
        data = bytearray()
        while len(data) < n_bytes:
            piece = os.read(self._fd, min(n_bytes - len(data), _PIECE))
            if not piece:
                raise EOFError("the connection ends")
            data += piece
        return bytes(data)

    def close(self) -> None:
        """Close this end."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
