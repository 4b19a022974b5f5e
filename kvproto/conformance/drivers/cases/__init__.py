"""All cases for drivers, in the order in which they are run and reported."""

from __future__ import annotations

from kvproto.conformance.drivers.case import DriverCase
from kvproto.conformance.drivers.cases import files, lifecycle, output, pairs, params, stderr

__all__ = ["CASES"]

SECTIONS = (pairs, params, files, output, stderr, lifecycle)

CASES: tuple[DriverCase, ...] = tuple(case for section in SECTIONS for case in section.CASES)
