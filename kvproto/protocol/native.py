"""The primitives of the codec: compiled if they were built, otherwise the reference.

All other modules import them from here; `NATIVE` is true for the compiled ones. KVPROTO_PURE=1 in
the environment selects the reference. The compiled module is for CPython only.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from zlib import crc32

from kvproto.protocol.reference import (
    deal_pairs,
    deal_typed,
    flat_map,
    frame_lines,
    pack_pairs,
    pack_typed,
    scan_lists,
    scan_pairs,
    split_lines,
    sum_pairs,
    unpack_typed,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "NATIVE",
    "crc32",
    "deal_pairs",
    "deal_typed",
    "ffi",
    "flat_map",
    "frame_lines",
    "lib",
    "pack_pairs",
    "pack_typed",
    "scan_lists",
    "scan_pairs",
    "split_lines",
    "sum_pairs",
    "unpack_typed",
]

try:
    from kvproto._disco import ffi, lib
except ModuleNotFoundError:  # a source tree that was not built
    NATIVE = False
else:
    NATIVE = os.environ.get("KVPROTO_PURE", "") in ("", "0")

if NATIVE:
    # cffi cannot pass Python objects, so the extension adds its builtin functions to a dict.
    _compiled: dict[str, object] = {}
    if lib.kvproto_export(id(_compiled)) != 0:
        raise ImportError("kvproto._disco could not export its functions")
    globals().update(_compiled)

if NATIVE and lib.kvproto_crc_is_fast():

    def crc32(data: Buffer, value: int = 0, /) -> int:
        """Return what zlib.crc32 returns, several times as fast for long data."""
        view = ffi.from_buffer(data)
        return lib.kvproto_crc(value, view, len(view))
