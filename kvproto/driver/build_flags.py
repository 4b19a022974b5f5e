"""Where libdisco is inside the installed package, and the flags that build a C worker with it.

Promises: a program built with these flags needs no file of kvproto to run; one that calls read_parameters()
needs libJudy, and no other does.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from kvproto.errors import KVProtoError

__all__ = ["cflags", "libs", "prefix"]

_JUDY = "-Wl,--push-state,--as-needed -lJudy -Wl,--pop-state"


def prefix() -> Path:
    """The directory that holds include/disco.h, lib/libdisco.a and lib/pkgconfig/disco.pc.

    Raises KVProtoError where they are not, as in a source tree that has not been installed.
    """
    directory = Path(__file__).resolve().parent.parent
    for part in ("include/disco.h", "lib/libdisco.a"):
        if not (directory / part).is_file():
            raise KVProtoError(
                f"{directory / part} is not there: kvproto runs from sources; install it with `pip install .`"
            )
    return directory


def cflags() -> str:
    """What the compiler needs to find disco.h."""
    return f"-I{prefix()}/include"


def libs() -> str:
    """What the linker needs: the static library by its path, and libJudy where the compiler ($CC or cc) has it.

    libJudy is asked for only by programs that use it (--as-needed), so that the others run where it is not.
    """
    archive = f"{prefix()}/lib/libdisco.a"
    return f"{archive} {_JUDY}" if _has_judy() else archive


def _has_judy() -> bool:
    compiler = os.environ.get("CC", "cc").split()
    for name in ("libJudy.so", "libJudy.a"):
        try:
            found = subprocess.run(
                [*compiler, f"-print-file-name={name}"], capture_output=True, text=True
            )
        except OSError:
            return False  # no compiler here: the flags are for somewhere else, and plain ones are right everywhere
        if os.sep in found.stdout:
            return True
    return False
