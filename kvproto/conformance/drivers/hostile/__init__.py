"""The workers that are played to a driver: one function each, made into a program of one file.

A program needs Python and nothing else, starts fast (no site, no environment), and holds only
`base`, its own function, and the call, so that it can be read where it is kept as evidence.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from kvproto._text import shortened
from kvproto.conformance.display import shown
from kvproto.conformance.drivers.hostile import bad, base, good
from kvproto.conformance.drivers.hostile.base import packed
from kvproto.conformance.schedule import SMALL

__all__ = [
    "ALL_BYTES",
    "ANSWERS",
    "ECHO",
    "MANY",
    "SHORT",
    "SMALL",
    "WHOLE",
    "Hostile",
    "answering",
    "hostile",
    "program",
]

SHORT = 0.3
"""Seconds, for a limit that must run out."""

ALL_BYTES = bytes(range(256))

MANY = tuple((b"key %d" % n, bytes([n]) * 65536) for n in range(40))
"""Input of 2.5 MiB: more than pipes hold."""

ANSWERS = [packed(pair) for pair in SMALL]
"""What a worker writes for SMALL when it returns each pair."""

WHOLE = b"".join(ANSWERS)

_MODULES = ("fcntl", "select", "signal", "stat", "sys", "termios", "time")
"""What functions may use besides the imports of `base`; each module takes time to load."""


class Hostile(NamedTuple):
    """A worker: its function, and the options of the call, all of them literals."""

    function: Callable[..., None]
    options: dict[str, Any]

    @property
    def source(self) -> str:
        """The source of the function alone."""
        return _source(self.function)

    @property
    def call(self) -> str:
        """The options in words."""
        options = [
            f"{name}: {shown(value) if isinstance(value, bytes) else value}"
            for name, value in self.options.items()
        ]
        return shortened(", ".join(options), 80)


@cache
def _source(of: Callable[..., None] | ModuleType) -> str:
    return inspect.getsource(of)


def program(
    worker: Hostile, notes: Path, record: Path, n_params: int | None, n_pairs: int
) -> bytes:
    """Make the text of a program; the other parameters are those of `base.begin`."""
    options = ", ".join(f"{name}={value!r}" for name, value in worker.options.items())
    imports = [f"import {name}" for name in _MODULES if f"{name}." in worker.source]
    parts = [
        f"#!{sys.executable} -IS",
        _source(base),
        *imports,
        "",
        worker.source,
        "",
        f"begin({str(notes)!r}, {str(record)!r}, {n_params}, {n_pairs})",
        f"{worker.function.__name__}({options})",
    ]
    return "\n".join(parts).encode() + b"\n"


def hostile(function: Callable[..., None], **options: Any) -> Hostile:
    """Make a worker."""
    return Hostile(function, options)


def answering(*last: bytes, **options: Any) -> Hostile:
    """Make a worker that returns each pair of SMALL, but ends with the answers `last`."""
    outputs = [*ANSWERS[: len(SMALL) - len(last)], *last]
    return Hostile(bad.answers, {"outputs": outputs, **options})


ECHO = hostile(good.echo)
