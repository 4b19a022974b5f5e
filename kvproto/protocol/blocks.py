"""Frames that C code has in memory, a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from kvproto.protocol import native as _native

if TYPE_CHECKING:
    from kvproto._disco import Data, Size

__all__ = ["BLOCK", "blocks_of"]

BLOCK = 1 << 18
"""Bytes of a block: 256 KiB. A larger frame is a block of its own."""


def blocks_of(take: Callable[[Data, int, Size], int]) -> Iterator[bytes]:
    """Yield all that `take` writes, in blocks of whole frames.

    take(out, room, wanted) writes the next frames and returns their bytes. If that is 0, wanted[0]
    is the size of the next frame, or 0 at the end.
    """
    block, wanted = bytearray(BLOCK), _native.ffi.new("size_t *")
    while True:
        n_bytes = take(_native.ffi.from_buffer(block), len(block), wanted)
        if n_bytes:
            yield bytes(memoryview(block)[:n_bytes])
        elif wanted[0]:
            block = bytearray(wanted[0])
        else:
            return
