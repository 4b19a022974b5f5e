"""What a case can say: a finding, which is one fault of a worker with its evidence, or that the case does not apply."""

from __future__ import annotations

from dataclasses import dataclass, field

from kvproto.conformance.trace import Trace

__all__ = ["Finding", "NotApplicable"]


@dataclass(frozen=True)
class Finding:
    """One fault.

    cause     str, the same for the same fault in other cases and modes: they become one report
    clause    str, of PROTOCOL.md
    what      str, one sentence: what the worker does
    expected  str
    got       str
    trace     Trace, the run that shows it; `also` the runs before it that the verdict needs
    at        int or None: offset in stdout of the first wrong byte
    """

    cause: str
    clause: str
    what: str
    expected: str
    got: str
    trace: Trace
    at: int | None = None
    also: tuple[Trace, ...] = field(default=())


@dataclass(frozen=True)
class NotApplicable:
    """The case says nothing about this worker; why, in words."""

    why: str
