"""All cases, by section, in the order in which they are run and reported."""

from __future__ import annotations

from kvproto.conformance.case import Case
from kvproto.conformance.cases import (
    files,
    framing,
    lifecycle,
    limits,
    map,
    params,
    properties,
    reduce,
    stderr,
)

__all__ = ["CASES"]

SECTIONS = (map, reduce, framing, params, lifecycle, stderr, limits, files, properties)

CASES: tuple[Case, ...] = tuple(case for section in SECTIONS for case in section.CASES)
"""Every case, of all modes, levels and contracts."""
