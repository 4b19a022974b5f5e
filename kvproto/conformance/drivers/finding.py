"""What a case can say about a driver: one fault, with the play that shows it."""

from __future__ import annotations

from dataclasses import dataclass

from kvproto.conformance.drivers.play import Play

__all__ = ["DriverFinding"]


@dataclass(frozen=True)
class DriverFinding:
    """One fault. `cause`, `clause`, `what`, `expected`, `got` as in a Finding about a worker.

    play  Play
    at    int or None: offset of the first wrong byte in what the worker read
    """

    cause: str
    clause: str
    what: str
    expected: str
    got: str
    play: Play
    at: int | None = None
