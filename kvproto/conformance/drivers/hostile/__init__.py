"""The workers that are played to a driver: one function each, made into a program of one file.

Promises: a program needs Python and nothing else, starts fast (no site, no environment), and holds no more than
`base`, its own function, and the call; so it can be read where it is kept as evidence.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kvproto.conformance.drivers.hostile import base

__all__ = ["Hostile", "program"]

_MODULES = ("fcntl", "select", "signal", "stat", "termios")
"""What functions may use beside what `base` imports; each of them takes time to load."""


class Hostile(NamedTuple):
    """A worker: its function, and with what that is called, literals all of them."""

    function: Callable
    options: dict

    @property
    def source(self) -> str:
        """The function alone."""
        return inspect.getsource(self.function)


def program(
    worker: Hostile, notes: Path, record: Path, n_params: int | None, n_pairs: int
) -> bytes:
    """The text of a program; what it is to do, and where it tells the kit what it sees."""
    options = ", ".join(f"{name}={value!r}" for name, value in worker.options.items())
    imports = [f"import {name}" for name in _MODULES if f"{name}." in worker.source]
    parts = [
        f"#!{sys.executable} -IS",
        inspect.getsource(base),
        *imports,
        "",
        worker.source,
        "",
        f"begin({str(notes)!r}, {str(record)!r}, {n_params}, {n_pairs})",
        f"{worker.function.__name__}({options})",
    ]
    return "\n".join(parts).encode() + b"\n"
