"""The one seam to the compiled code: the primitives, compiled where they are built, the reference otherwise.

Everything above asks here and does not know which it gets. `NATIVE` says. KVPROTO_PURE=1 in the
environment at import selects the reference. The compiled module is CPython only.
"""

from __future__ import annotations

import os

__all__ = [
    "NATIVE",
    "deal_pairs",
    "ffi",
    "frame_lines",
    "lib",
    "pack_pairs",
    "scan_lists",
    "scan_pairs",
    "split_frames",
    "sum_pairs",
]

NATIVE = False
ffi = lib = None

if os.environ.get("KVPROTO_PURE", "") in ("", "0"):
    try:
        from kvproto._disco import ffi, lib
    except ModuleNotFoundError:  # never built here: the reference does the work
        pass
    else:
        NATIVE = True

if NATIVE:
    # The compiled functions that make Python objects are ordinary builtins; the module hands them over once.
    _builtins: dict = {}
    if lib.kvproto_export(id(_builtins)) != 0:
        raise ImportError("kvproto._disco could not export its functions")
    scan_pairs = _builtins["scan_pairs"]
    scan_lists = _builtins["scan_lists"]
    pack_pairs = _builtins["pack_pairs"]
    frame_lines = _builtins["frame_lines"]
    split_frames = _builtins["split_frames"]
    sum_pairs = _builtins["sum_pairs"]
    deal_pairs = _builtins["deal_pairs"]
else:
    from kvproto.protocol.reference import (
        deal_pairs,
        frame_lines,
        pack_pairs,
        scan_lists,
        scan_pairs,
        split_frames,
        sum_pairs,
    )
