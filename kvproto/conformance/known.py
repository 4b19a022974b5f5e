"""The file of known failures: cases that a worker is known not to pass yet, and that must not pass unnoticed.

A line each: ID, or ID.mode for one mode alone; `#` begins a comment.
"""

from __future__ import annotations

from pathlib import Path

from kvproto.conformance.cases import CASES
from kvproto.errors import KVProtoError

__all__ = ["KnownError", "read_known"]


class KnownError(KVProtoError):
    """A line of the file names no case."""


def read_known(path: Path) -> frozenset[str]:
    """The ids, and ID.mode, of a file. Raises KnownError for a line that names no case, OSError, UnicodeDecodeError."""
    names = {case.id for case in CASES} | {
        f"{case.id}.{mode}" for case in CASES for mode in case.modes
    }
    known = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name = line.partition("#")[0].strip()
        if name and name not in names:
            raise KnownError(
                f"{path}, line {number}: {name!r} is not a case, nor a case followed by .map or .reduce"
            )
        known.add(name)
    return frozenset(known - {""})
