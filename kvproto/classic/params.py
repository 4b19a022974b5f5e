"""`Params`: what a job hands to its functions, by name."""

from __future__ import annotations

from types import SimpleNamespace

__all__ = ["Params"]


class Params(SimpleNamespace):
    """Parameters as attributes: ``Params(threshold=3, score=lambda word: len(word))``.

    Values may be anything that can be pickled, and functions. Each task has its own copy: an
    attribute that a job function sets is visible to later calls in the same task only. Two Params
    are equal if their contents are.
    """
