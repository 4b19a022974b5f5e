"""The flags that build a C worker with the libdisco of the installed package.

A program that is built with them runs without kvproto. It needs libJudy only if it calls
read_parameters().
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from kvproto.errors import KVProtoError

__all__ = ["cflags", "libs", "prefix"]

_JUDY = "-Wl,--push-state,--as-needed -lJudy -Wl,--pop-state"


def prefix() -> Path:
    """Return the directory that has include/disco.h, lib/libdisco.a and lib/pkgconfig/disco.pc.

    Raises
    ------
    KVProtoError
        The files do not exist, as in a source tree that has not been installed.
    """
    directory = Path(__file__).resolve().parent.parent
    for part in ("include/disco.h", "lib/libdisco.a"):
        if not (directory / part).is_file():
            raise KVProtoError(
                f"{directory / part} is missing: kvproto runs from its source tree; "
                "install it with `pip install .`"
            )
    return directory


def cflags() -> str:
    """Return the compiler flags: the include directory of disco.h."""
    return f"-I{prefix()}/include"


def libs() -> str:
    """Return the linker flags: the static library, and libJudy if the compiler finds it.

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
            return False  # no compiler: the flags are for another machine
        if os.sep in answer.stdout:
            return True
    return False
