"""A case: a worker, what the driver is asked to do with it, and what has to come of that, as one row of a table.

Promises: a row is all there is of a case. The modules of `cases` are such tables; a new case is a new row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from kvproto.conformance.case import MODES
from kvproto.conformance.cases.building import SMALL
from kvproto.conformance.drivers.answer import Said
from kvproto.conformance.drivers.hostile import Hostile
from kvproto.conformance.drivers.request import DEFAULT, MAX_ITEM, Entry, ParamSet, Raw, Request

if TYPE_CHECKING:
    from kvproto.conformance.drivers.finding import DriverFinding
    from kvproto.conformance.drivers.play import Play

__all__ = ["DriverCase", "Lists", "echoed"]

Lists = list[list[tuple[bytes, bytes]]]


def echoed(request: Request) -> Lists:
    """What a worker answers that gives each pair back."""
    return [[pair] for pair in request.pairs]


@dataclass(frozen=True, eq=False)
class DriverCase:
    """One case.

    id        str, SECTION-words; it never changes and is never given to another case, nor to one of a worker's
    level     "MUST", "SHOULD" or "INFO", which tells and never fails a driver
    clauses   str, of PROTOCOL.md, with spaces between
    title     str, what a good driver does
    worker    Hostile, or the bytes of a program
    lists     request -> the result lists that must come, in a reduce their pairs in this order; None: an error must
    may_fail  whether an error will do too
    said      tuple of Said: the lines of stderr that must be handed on; None: nobody looks
    checks    each asked what is wrong with a play, when all else is in order
    modes     in which it is asked
    entries, params, limits, max_item   see Request
    files     tuple of (name, bytes or Hostile), the supporting files
    kill      int, the signal that the adapter gets when the worker says that it is done; 0 for none
    is_started      whether the worker must have been started; False: must not; None: nobody looks
    leaves_nothing  whether processes and directory of the worker must be gone when the adapter has exited
    is_frugal       whether the adapter must stay below MOST_MEMORY
    tells     what causes of findings this case tells, where it and others meet them
    """

    id: str
    level: str
    clauses: str
    title: str
    worker: Hostile | bytes
    lists: Callable[[Request], Lists] | None = None
    may_fail: bool = False
    said: tuple[Said, ...] | None = None
    checks: tuple[Callable[[DriverCase, Play], DriverFinding | None], ...] = ()
    modes: tuple[str, ...] = MODES
    entries: tuple[Entry, ...] = SMALL
    params: ParamSet | Raw | str | None = DEFAULT
    limits: dict[str, float] = field(default_factory=dict)
    max_item: int = MAX_ITEM
    files: tuple[tuple[str, bytes | Hostile], ...] = ()
    kill: int = 0
    is_started: bool | None = True
    leaves_nothing: bool = False
    is_frugal: bool = False
    tells: tuple[str, ...] = ()
    contract: ClassVar[str] = "any"

    def request(self, mode: str) -> Request:
        return Request(mode, self.entries, self.params, self.limits, self.max_item)
