"""`Params`: what a job hands to its functions, by name."""

from __future__ import annotations

from types import SimpleNamespace

__all__ = ["Params"]


class Params(SimpleNamespace):
    """Parameters as attributes: `Params(threshold=3, score=lambda word: len(word))`.

    Anything that can be pickled, and functions too, wherever they were defined: they travel to the tasks. Each task has
    its own: an attribute that a job function sets is seen by the later calls in this task, and nowhere else. Equal when
    their contents are.
    """
