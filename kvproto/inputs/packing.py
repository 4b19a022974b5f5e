"""Compress a file as it is written, in the format that its name ends with."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from kvproto.inputs.unpacking import load_zstd
from kvproto.storage.atomic import BLOCK

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["PackedFile", "compressor_for"]


class _Compressor(Protocol):
    def compress(self, data: ReadableBuffer, /) -> bytes: ...
    def flush(self) -> bytes: ...


class _Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


def _zstd() -> _Compressor:
    zstd = load_zstd()
    compressor: _Compressor = zstd.ZstdCompressor(
        options={zstd.CompressionParameter.checksum_flag: 1}
    )
    return compressor


_COMPRESSORS: dict[str, Callable[[], _Compressor]] = {
    ".gz": partial(zlib.compressobj, wbits=16 + zlib.MAX_WBITS),
    ".bz2": bz2.BZ2Compressor,
    ".xz": lzma.LZMACompressor,
    ".zst": _zstd,
}
"""Ending of a name -> what makes the compressor."""


def compressor_for(path: str) -> _Compressor | None:
    """Return a compressor for a file of this name: .gz, .bz2, .xz or .zst; None for any other."""
    return next((new() for end, new in _COMPRESSORS.items() if path.endswith(end)), None)


class PackedFile:
    """Writes to a file, compressed, a block at a time."""

    def __init__(self, file: _Writable, compressor: _Compressor) -> None:
        self._file = file
        self._compressor = compressor
        self._block = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        self._block += data
        if len(self._block) >= BLOCK:
            self._file.write(self._compressor.compress(self._block))
            self._block = bytearray()

    def close(self) -> None:
        """Write what is left, and the end of the format."""
        self._file.write(self._compressor.compress(self._block) + self._compressor.flush())
