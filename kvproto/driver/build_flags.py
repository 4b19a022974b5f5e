"""Where libdisco is in the installed package, and the flags that build a C worker with it.

Promises: a program that is built with these flags needs no file of kvproto to run. Only one that
calls read_parameters() needs libJudy.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from kvproto.errors import KVProtoError

__all__ = ["cflags", "libs", "prefix"]

_JUDY = "-Wl,--push-state,--as-needed -lJudy -Wl,--pop-state"


def prefix() -> Path:
    """Return the directory of include/disco.h, lib/libdisco.a and lib/pkgconfig/disco.pc.

    Raises
    ------
    KVProtoError
        They are not there, as in a source tree that has not been installed.
    """
    directory = Path(__file__).resolve().parent.parent
    for part in ("include/disco.h", "lib/libdisco.a"):
        if not (directory / part).is_file():
            raise KVProtoError(
                f"{directory / part} is not there: kvproto runs from sources; "
                "install it with `pip install .`"
            )
    return directory


def cflags() -> str:
    """Return the flags of the compiler: where disco.h is."""
    return f"-I{prefix()}/include"


def libs() -> str:
    """Return the flags of the linker: the static library, and libJudy where the compiler has it.

    The compiler is $CC, or cc. With --as-needed, a program that does not use libJudy runs without.
    """
    archive = f"{prefix()}/lib/libdisco.a"
    return f"{archive} {_JUDY}" if _has_judy() else archive


def _has_judy() -> bool:
    compiler = os.environ.get("CC", "cc").split()
    for name in ("libJudy.so", "libJudy.a"):
        try:
            answer = subprocess.run(
                [*compiler, f"-print-file-name={name}"],
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError:
            return False  # no compiler here: the flags are for another machine
        if os.sep in answer.stdout:
            return True
    return False
