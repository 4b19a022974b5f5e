"""REDUCE-: lists when it likes, and an end."""

from __future__ import annotations

from kvproto.conformance.case import Case
from kvproto.conformance.cases.building import SMALL, ahead

__all__ = ["CASES"]

ONLY = ("reduce",)

CASES = (
    Case(
        "REDUCE-lists-alone", "MUST", "REDUCE-4 LIST-2", "stdout has whole lists and nothing else",
        lambda mode: [ahead(mode, SMALL[:n]) for n in (1, 3)], modes=ONLY, tells=("text on stdout", "bad framing"),
    ),
    Case(
        "REDUCE-ahead", "MUST", "REDUCE-5", "a thousand pairs may come at once",
        lambda mode: [ahead(mode, [(b"%d" % (i // 10), b"v") for i in range(1000)])], modes=ONLY,
    ),
)  # fmt: skip
