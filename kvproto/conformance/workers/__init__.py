"""All cases for workers, in the order in which they are run and reported."""

from __future__ import annotations

from kvproto.conformance.case import Case
from kvproto.conformance.workers import (
    drawn,
    files,
    framing,
    lifecycle,
    limits,
    map_reduce,
    params,
    stderr,
)

__all__ = ["CASES"]

CASES: tuple[Case, ...] = (
    *map_reduce.CASES,
    *framing.CASES,
    *params.CASES,
    *lifecycle.CASES,
    *stderr.CASES,
    *limits.CASES,
    *files.CASES,
    *drawn.CASES,
)
"""Every case, of all modes, levels and contracts."""
