"""A case for drivers, the record of a play, and a finding about it. `explain` describes a case.

A case is a row of a table: a worker, a request to the driver, and the result that is due. The
modules of `cases` are the tables.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kvproto._text import shortened, signal_name
from kvproto.conformance.case import BaseCase
from kvproto.conformance.display import quoted
from kvproto.conformance.drivers.hostile import Hostile
from kvproto.conformance.drivers.request import (
    DEFAULT,
    MAX_ITEM,
    Entry,
    Lists,
    Message,
    ParamSet,
    Raw,
    Request,
    octets,
)
from kvproto.conformance.schedule import SMALL
from kvproto.conformance.trace import BaseFinding

__all__ = ["ENDINGS", "Check", "DriverCase", "DriverFinding", "Play", "echoed", "explain"]

ENDINGS = {
    "exited": "the adapter exited",
    "stuck": "proved: all its processes wait for something that can never come",
    "watchdog": "the adapter had not finished after {limit:g} s",
    "memory": "the adapter took too much memory",
    "stopped": "the whole check was stopped",
}


def echoed(request: Request) -> Lists:
    """Return the lists of a worker that returns each pair."""
    return [[pair] for pair in request.pairs]


@dataclass
class Play:
    """What happened when a case was played to an adapter.

    document      the JSON text that went to the adapter
    folder        the kit's, with all files that the document and the worker name
    files         path in that folder -> the worker, as `program`, and the supporting files
    answer        what the adapter wrote to stdout
    stderr        the end of what it wrote to stderr
    ending        a key of ENDINGS
    exit_status   as subprocess reports it; None when the kit killed it
    limit         seconds, the watchdog's
    group         the adapter's process group
    notes         what the worker reported about itself
    stdin         what the worker read
    is_family_gone     whether all processes of the worker ended; None where the case does not ask
    is_directory_gone  whether its directory was removed; None where the case does not ask
    peak          bytes, the most memory that the adapter was seen to use
    """

    request: Request
    document: str = ""
    folder: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    answer: bytearray = field(default_factory=bytearray)
    stderr: bytes = b""
    ending: str = "exited"
    exit_status: int | None = None
    limit: float = 0.0
    group: int = 0
    notes: list[dict[str, Any]] = field(default_factory=list)
    stdin: bytes = b""
    is_family_gone: bool | None = None
    is_directory_gone: bool | None = None
    peak: int = 0

    @property
    def ended(self) -> str:
        """The ending in words."""
        return ENDINGS[self.ending].format(limit=self.limit)

    def noted(self, name: str) -> Any:
        """Return what the worker reported last under a name, or None."""
        return next((facts[name] for facts in reversed(self.notes) if name in facts), None)


@dataclass(frozen=True)
class DriverFinding(BaseFinding):
    """One fault of a driver; `at` is the offset of the first wrong byte that the worker read."""

    play: Play


Check = Callable[["DriverCase", Play], DriverFinding | None]


@dataclass(frozen=True, eq=False)
class DriverCase(BaseCase):
    """A case for drivers.

    worker    Hostile, or the bytes of a program
    lists     returns the result lists that are due for a request (in a reduce, their pairs in this
              order); None if an error is due
    may_fail  whether an error is right, too
    messages  the lines of stderr that must be passed on, or None for any
    checks    more checks, made if everything else is right
    entries, params, limits, max_item   see Request
    files     names and contents of the supporting files
    kill      the signal that is sent to the adapter when the worker says that it is done, or 0
    is_started      whether the worker must, or must not, be started; None for either
    leaves_nothing  whether processes and directory of the worker must be gone with the adapter
    is_frugal       whether the adapter must stay below MOST_MEMORY
    """

    worker: Hostile | bytes
    lists: Callable[[Request], Lists] | None = None
    may_fail: bool = False
    messages: tuple[Message, ...] | None = None
    checks: tuple[Check, ...] = ()
    entries: tuple[Entry, ...] = SMALL
    params: ParamSet | Raw | str | None = DEFAULT
    limits: dict[str, float] = field(default_factory=dict)
    max_item: int = MAX_ITEM
    files: tuple[tuple[str, bytes | Hostile], ...] = ()
    kill: int = 0
    is_started: bool | None = True
    leaves_nothing: bool = False
    is_frugal: bool = False

    def request(self, mode: str) -> Request:
        """Make the request of this case in one mode."""
        return Request(mode, self.entries, self.params, self.limits, self.max_item)

    def finding(
        self,
        play: Play,
        name: str,
        what: str,
        expected: str,
        got: str,
        clause: str = "",
        at: int | None = None,
    ) -> DriverFinding:
        """Make a finding that only this case has; the clause is its first one by default."""
        clause = clause or self.clauses.split()[0]
        return DriverFinding(f"{self.id}: {name}", clause, what, expected, got, play, at=at)


def explain(case: DriverCase) -> str:
    """Describe a case: title, clauses, modes, the request, and the source of the worker."""
    request = case.request(case.modes[0])
    n = len(request.entries)
    lines = [
        f"{case.id}  {case.level}  {case.clauses}",
        case.title,
        "",
        f"modes: {' and '.join(case.modes)}",
        f"the driver gets: {n} {'entry' if n == 1 else 'entries'}, {_params(request.params)}"
        + "".join(f", a supporting file {quoted(name.encode())}" for name, _ in case.files)
        + "".join(f", {name} limit {seconds:g} s" for name, seconds in case.limits.items()),
        f"expected: {_expected(case)}",
        "",
        "the worker:",
    ]
    if isinstance(case.worker, Hostile):
        text = case.worker.source
        call = [f"called with {case.worker.call}"] if case.worker.options else []
    else:
        text, call = case.worker.decode(), []
    return "\n".join([*lines, *textwrap.indent(text, "  ").splitlines(), *call]) + "\n"


def _params(params: ParamSet | Raw | str | None) -> str:
    match params:
        case None:
            return "no parameters"
        case Raw(data):
            return f"parameters as one string, {quoted(octets(data))}"
        case ParamSet(()):
            return "an empty set of parameters"
        case ParamSet(entries):
            named = (f"{quoted(octets(name))} = {quoted(octets(value))}" for name, value in entries)
            return "the parameters " + shortened(", ".join(named), 60)
    return "its default parameters"


def _expected(case: DriverCase) -> str:
    if case.kill:
        name = signal_name(-case.kill)
        return f"nothing of the worker is left after the adapter was sent {name}"
    if case.lists is None:
        return "an error" + ", and no worker is started" * (case.is_started is False)
    return "the right results" + " or an error" * case.may_fail
