"""The time limits of a worker (LIFECYCLE-6), and of the search for the record at which it fails."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["LIMITS", "Limits", "checked_limit"]


class Limits(NamedTuple):
    """The time limits of a worker in seconds, or None for no limit. See `ExternalProgram`."""

    start: float | None = 30.0
    idle: float | None = 300.0
    total: float | None = None
    grace: float | None = 10.0
    pinpoint: float | None = 60.0


LIMITS = Limits()
"""The default limits; `LIMITS._fields` has their names."""


def checked_limit(name: str, seconds: float | None) -> float | None:
    """Return a limit: a number above 0, or None. For `pinpoint` also 0, from 0 or False: no search.

    Raises ValueError for anything else.
    """
    if name == "pinpoint" and isinstance(seconds, (bool, int, float)) and seconds in (0, True):
        return LIMITS.pinpoint if seconds is True else float(seconds)
    if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
        raise ValueError(
            f"{name} must be a number of seconds above 0, or None for no limit, not {seconds!r}"
        )
    return seconds
