"""C libraries that job functions call by ctypes: a str argument reaches C as its bytes.

ctypes passes a str as wchar_t *, which a function that takes char * reads as one character, without an error. Here a
function without `argtypes` gets the UTF-8 bytes instead, bytes that are not UTF-8 (lone surrogates) as they were. One
with `argtypes` gets what these say; ctypes.c_wchar_p among them takes a str.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

__all__ = ["pass_str_as_bytes"]


def pass_str_as_bytes(values: Iterable) -> None:
    """Have the functions of the C libraries among values do so."""
    ctypes = sys.modules.get("ctypes")
    for value in values if ctypes is not None else ():
        if isinstance(value, ctypes.CDLL):
            value._FuncPtr.__call__ = _call  # a class that each library has for itself


def _call(function, *args):
    if function.argtypes is None:
        args = tuple(
            arg.encode("utf-8", "surrogateescape") if isinstance(arg, str) else arg for arg in args
        )
    return super(type(function), function).__call__(*args)
