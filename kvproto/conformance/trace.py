"""The trace of a run, which records what the worker did, and a finding about it."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from kvproto.conformance.answers import Stream
from kvproto.conformance.schedule import Schedule, Step
from kvproto.conformance.strace import Access

__all__ = ["ENDINGS", "ENDLESS", "BaseFinding", "Finding", "Line", "NotApplicable", "Owed", "Trace"]

ENDINGS = {
    "exited": "the worker exited, and its stdout was at end of file",
    "stuck": "proved: it waits for something that can never come",
    "held": "the worker exited, and a process that it started holds its stdout open",
    "floods": "it wrote more to stdout than the kit accepts, 256 MiB or 8 million result lists",
    "unsupervised": "the process that the kit runs it under was stopped or killed",
    "watchdog": "not proved, but no byte moved for {limit:g} s",
    "endless": "not proved, but bytes kept moving, and it was not done after {endless:g} s",
    "stopped": "the whole check was stopped",
}

ENDLESS = 20
"""A wait in which bytes keep moving lasts at most this many times the limit."""


class Owed(NamedTuple):
    """Answers that were held back: the worker waited for input after `n_had` of `n_due` lists.

    `waits` says what each thread waited for. If `is_proved` is False, a timer could have ended the
    waits, but did not do so within a second.
    """

    n_due: int
    n_had: int
    waits: tuple[str, ...]
    is_proved: bool = True


class Line(NamedTuple):
    """A line of stderr; the tag is b"MSG", b"ERR" or b""."""

    tag: bytes
    data: bytes
    is_ended: bool

    @property
    def text(self) -> bytes:
        """The text as a driver reads it (STDERR-2)."""
        return self.data[len("**<MSG>") :].removeprefix(b" ") if self.tag else self.data


@dataclass
class Trace:
    """What a worker did while one schedule was played.

    Attributes
    ----------
    schedule : Schedule
        What was played.
    n_sent, n_unread : int
        Bytes written to stdin, and how many of them the worker never read.
    stdout : bytes
        Everything that it wrote to stdout, or the start of a flood.
    stderr : bytes
        The start of what it wrote to stderr.
    n_stderr : int
        All bytes that it wrote to stderr, kept or not.
    ending : str
        How the run ended, a key of `ENDINGS`; "exited" is the regular end.
    limit : float
        The watchdog's limit: seconds without a byte moving.
    step : Step or None
        The step at which the run ended.
    exit_status : int or None
        As `subprocess` reports it; None when the kit had to kill the worker.
    is_stdout_ended : bool
        Whether stdout reached end of file.
    owed : list of Owed
        One entry for each wait for answers that failed.
    waits : tuple of str
        What its threads were doing when the kit gave up.
    memory : list of (int, int)
        For each `Measure`: peak bytes requested and peak bytes touched, of all its processes.
    accesses : tuple of Access or None
        Files outside its directory that strace saw it open; None without strace.
    left : list of str
        Processes that it started and that still ran after it had exited.
    seconds : float
        Duration of the run; no verdict depends on it.
    """

    schedule: Schedule
    n_sent: int = 0
    n_unread: int = 0
    stdout: bytes = b""
    stderr: bytes = b""
    n_stderr: int = 0
    ending: str = "exited"
    limit: float = 0.0
    step: Step | None = None
    exit_status: int | None = None
    is_stdout_ended: bool = False
    owed: list[Owed] = field(default_factory=list)
    waits: tuple[str, ...] = ()
    memory: list[tuple[int, int]] = field(default_factory=list)
    accesses: tuple[Access, ...] | None = None
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ended(self) -> str:
        """The ending in words."""
        return ENDINGS[self.ending].format(limit=self.limit, endless=ENDLESS * self.limit)

    @property
    def status(self) -> str:
        """The exit status in words."""
        return "still running" if self.exit_status is None else f"exit status {self.exit_status}"

    @property
    def n_bytes(self) -> int:
        """About how much memory the trace takes, in bytes."""
        n_streams = len(self.schedule.stdin) + len(self.stdout) + len(self.stderr)
        return n_streams + 40 * self.lists.n_records

    @cached_property
    def lists(self) -> Stream:
        """`stdout` read as result lists."""
        return Stream("lists", self.stdout)

    @cached_property
    def n_pairs(self) -> int:
        """The number of complete pairs that were sent."""
        read = self.schedule.read
        return bisect.bisect_right(read.pairs.ends, self.n_sent - read.n_params)

    @cached_property
    def lines(self) -> list[Line]:
        """The lines of `stderr`. Of a flood, these are the first lines, and the last one is cut."""
        is_cut = self.n_stderr > len(self.stderr)
        lines = []
        for data in _lines(self.stderr):
            tag = next((tag for tag in (b"MSG", b"ERR") if data.startswith(b"**<%b>" % tag)), b"")
            lines.append(Line(tag, data.removesuffix(b"\n"), data.endswith(b"\n") or is_cut))
        return lines


def _lines(data: bytes) -> list[bytes]:
    """Split after each newline; splitlines() also splits elsewhere."""
    *ended, last = data.split(b"\n")
    return [line + b"\n" for line in ended] + ([last] if last else [])


@dataclass(frozen=True)
class BaseFinding:
    """The fields that findings about workers and about drivers share; see `Finding`."""

    cause: str
    clause: str
    what: str
    expected: str
    got: str
    at: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Finding(BaseFinding):
    """One fault of a worker, with its evidence.

    Attributes
    ----------
    cause : str
        The same for the same fault in other cases and modes, which become one report.
    clause : str
        The clause of PROTOCOL.md or CONTRACT.md that the worker breaks.
    what : str
        What the worker does, in one sentence.
    expected, got : str
        What should have happened, and what did.
    at : int or None
        Offset in stdout of the first wrong byte.
    trace : Trace
        The run that shows the fault.
    also : tuple of Trace
        Earlier runs that the verdict depends on.
    """

    trace: Trace
    also: tuple[Trace, ...] = ()


@dataclass(frozen=True)
class NotApplicable:
    """The verdict of a case that does not apply to this worker; `why` says so in words."""

    why: str
