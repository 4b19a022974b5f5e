"""A trace: what a worker did while one schedule was played to it. Facts, no verdict."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from kvproto.conformance.answers import Stream
from kvproto.conformance.schedule import Schedule, Step
from kvproto.conformance.strace import Access

__all__ = ["ENDINGS", "ENDLESS", "Line", "Owed", "Trace"]

ENDINGS = {
    "exited": "the worker exited, and its stdout was at end of file",
    "stuck": "proved: it waits for something that can never come",
    "held": "the worker exited, and a process that it started holds its stdout open",
    "floods": "it wrote more to stdout than the kit takes, 256 MiB or 8 million result lists",
    "unsupervised": "the process that the kit runs it under was stopped or killed",
    "watchdog": "not proved, but no byte moved for {limit:g} s",
    "endless": "not proved, but bytes went on moving, and it was not done after {endless:g} s",
    "stopped": "the whole check was stopped",
}


ENDLESS = 20
"""So many times the limit a wait may last in which bytes move again and again."""


class Owed(NamedTuple):
    """Answers that are held back: the worker waits for more input, and `n_due` lists were due, `n_had` there.

    waits      tuple of str, what each of its threads waits in
    is_proved  bool; False: each wait could be ended by a timer, but none was for a second
    """

    n_due: int
    n_had: int
    waits: tuple[str, ...]
    is_proved: bool = True


class Line(NamedTuple):
    """A line of stderr. tag: b"MSG", b"ERR" or b"" without one; `is_ended`: by a newline."""

    tag: bytes
    data: bytes
    is_ended: bool

    @property
    def text(self) -> bytes:
        """What it says, as a driver reads it (STDERR-2)."""
        return self.data[len("**<MSG>") :].removeprefix(b" ") if self.tag else self.data


@dataclass
class Trace:
    """What a worker did.

    n_sent         bytes that went into its stdin; n_unread of them it never read
    stdout         bytes
    stderr         bytes, the first of them; n_stderr were there in all
    ending         one of ENDINGS
    limit          seconds without a byte moving after which it was to be given up
    step           the step under way when it ended
    exit_status    as subprocess gives it; None: it was running and was killed by the kit
    is_stdout_ended  whether stdout was at end of file
    owed           list of Owed, one for each wait for answers that was in vain
    waits          tuple of str: what its threads did when it was given up
    memory         list of (asked for, touched): bytes at most so far, of all its processes; one for each Measure
    accesses       tuple of Access: what a witness saw it open that is not its own; None where there was none
    left           list of str: processes that it had started and that still ran when it had exited
    seconds        of the whole run, for people only
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
        """How it ended, in words."""
        return ENDINGS[self.ending].format(limit=self.limit, endless=ENDLESS * self.limit)

    @property
    def status(self) -> str:
        """Its exit status, in words."""
        return "still running" if self.exit_status is None else f"exit status {self.exit_status}"

    @cached_property
    def lists(self) -> Stream:
        """stdout, read as result lists."""
        return Stream("lists", self.stdout)

    @cached_property
    def n_pairs(self) -> int:
        """Pairs that are whole in what was sent."""
        read = self.schedule.read
        return bisect.bisect_right(read.pairs.ends, self.n_sent - read.n_params)

    @cached_property
    def lines(self) -> list[Line]:
        """stderr by lines; of a flood the first ones, the last of them cut."""
        lines = []
        for data in _lines(self.stderr):
            tag = next((tag for tag in (b"MSG", b"ERR") if data.startswith(b"**<%b>" % tag)), b"")
            lines.append(
                Line(
                    tag,
                    data.removesuffix(b"\n"),
                    data.endswith(b"\n") or self.n_stderr > len(self.stderr),
                )
            )
        return lines


def _lines(data: bytes) -> list[bytes]:
    """Cut behind each newline, and nowhere else."""
    *ended, last = data.split(b"\n")
    return [line + b"\n" for line in ended] + ([last] if last else [])
