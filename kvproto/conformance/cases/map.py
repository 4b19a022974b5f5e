"""MAP-: one result list for each pair, in time."""

from __future__ import annotations

from kvproto.conformance.case import Case
from kvproto.conformance.cases.building import SMALL, ahead, lockstep

__all__ = ["CASES"]

ONLY = ("map",)

CASES = (
    Case(
        "MAP-lockstep", "MUST", "MAP-4", "a pair is answered before the worker waits for the next one",
        lambda mode: [lockstep(mode, SMALL)], modes=ONLY, tells=("answers held back",),
    ),
    Case(
        "MAP-ahead", "MUST", "MAP-5", "a thousand pairs may be written ahead of the answers",
        lambda mode: [ahead(mode, [(b"%d" % i, b"v") for i in range(n)]) for n in (2, 1000)], modes=ONLY,
    ),
    Case(
        "MAP-one-list-each", "MUST", "MAP-2 LIST-2", "each pair is answered with one list, whole",
        lambda mode: [ahead(mode, SMALL[:n]) for n in (1, 2, 3)], modes=ONLY,
        tells=("bad framing", "too many lists", "too few lists"),
    ),
    Case(
        "MAP-lists-alone", "MUST", "MAP-3", "stdout has nothing before, between or behind the lists",
        lambda mode: [ahead(mode, SMALL[:n]) for n in (1, 3)], modes=ONLY, tells=("text on stdout",),
    ),
)  # fmt: skip
