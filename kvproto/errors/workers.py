"""Programs that fail."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TypedDict, Unpack

from kvproto._record import Place, Record
from kvproto._text import signal_name
from kvproto.errors.base import KVProtoError

__all__ = [
    "FilesError",
    "WorkerClosedStdout",
    "WorkerCrashed",
    "WorkerError",
    "WorkerExitedEarly",
    "WorkerFacts",
    "WorkerFailed",
    "WorkerHung",
    "WorkerLeftChild",
    "WorkerNotStarted",
    "WorkerOutputError",
    "WorkerReported",
    "WorkerWroteText",
]


class WorkerFacts(TypedDict, total=False):
    """The facts about a failed run; see the attributes of `WorkerError`."""

    argv: Iterable[str]
    status: int | None
    pair_index: int | None
    n_sent: int
    n_unread: int
    n_received: int
    stderr_tail: Iterable[str]
    hexdump: str
    advice: str | None


class WorkerError(KVProtoError):
    """A worker program failed: discard the output of this attempt (LIFECYCLE-4).

    Attributes
    ----------
    what, advice : str
        What is wrong, in one line, and what to do about it.
    argv : tuple of str
        The program and its arguments.
    status : int or None
        The exit status; -N when signal N killed it; None when it was still running.
    signal_name : str or None
        "SIGSEGV" and the like, when a signal killed it.
    pair_index : int or None
        Index, from 0, of the first input pair without an answer (map only).
    n_sent, n_unread, n_received : int
        Bytes written to its stdin, how many of them it never read, and bytes read from its stdout.
    stderr_tail : tuple of str
        The last lines of its stderr.
    hexdump : str
        Its output around the first bad byte, or "".
    record : Record or None
        The record at which it fails, if playing its input again to fresh workers has shown it (map
        only).
    core : str or None
        The path of its core file, if one was kept.
    replay : str
        What playing its input again has shown, in words; "" if that was not done.
    """

    advice = ""
    record: Record | None = None
    core: str | None = None
    replay: str = ""

    def __init__(self, what: str, **facts: Unpack[WorkerFacts]) -> None:
        self.what = what
        self.argv = tuple(facts.get("argv", ()))
        self.status = facts.get("status")
        self.signal_name = signal_name(self.status)
        self.pair_index = facts.get("pair_index")
        self.n_sent = facts.get("n_sent", 0)
        self.n_unread = facts.get("n_unread", 0)
        self.n_received = facts.get("n_received", 0)
        self.stderr_tail = tuple(facts.get("stderr_tail", ()))
        self.hexdump = facts.get("hexdump", "")
        self.advice = self.advice if (advice := facts.get("advice")) is None else advice
        super().__init__(self.report())

    def replayed(self, replay: str, record: Record | None) -> None:
        """Add what playing the input again has shown."""
        self.replay, self.record = replay, record
        self.args = (self.report(),)

    def dumped(self, core: str) -> None:
        """Add the core file, which was kept."""
        self.core = core
        program, note = "PROGRAM", "; put the path of the program for PROGRAM"
        if self.argv and "/" in self.argv[0]:  # otherwise it is the name of a copy
            program, note = shlex.quote(self.argv[0]), ""
        self.advice = f"gdb {program} {shlex.quote(core)} shows where it crashed{note}"
        self.args = (self.report(),)

    def placed(self, place: Place) -> None:
        """Add where the record comes from."""
        if self.record is not None:
            self.record = self.record._replace(place=place)
            self.args = (self.report(),)

    def report(self, with_stderr: bool = True) -> str:
        """Return the text of the error, with or without the lines of stderr."""
        lines = [f"{' '.join(self.argv)}: {self.what}" if self.argv else self.what]
        if self.record is not None:
            lines.append(f"  at the record with number {self.record.number} (counted from 0)")
            lines += ["    " + line for line in self.record.lines()]
        elif (index := self.pair_index) is not None:
            lines.append(f"  first input pair without an answer: number {index} (counted from 0)")
        if self.replay:
            lines.append(f"  played again: {self.replay}")
        if self.record is None and (self.n_sent or self.n_received):
            unread = f", of which it never read {self.n_unread}" if self.n_unread else ""
            lines.append(
                f"  bytes sent to it: {self.n_sent}{unread}; bytes received: {self.n_received}"
            )
        if self.hexdump:
            lines.append("  its output there:")
            lines += ["    " + line for line in self.hexdump.splitlines()]
        if self.stderr_tail and with_stderr:
            lines.append("  the last lines of its stderr:")
            lines += ["    " + line for line in self.stderr_tail]
        elif not self.stderr_tail and not isinstance(self, WorkerNotStarted):
            lines.append("  it wrote nothing to stderr")
        if self.core:
            lines.append("  its core file: " + self.core)
        if self.advice:
            lines.append("  what to do: " + self.advice)
        return "\n".join(lines)


class WorkerNotStarted(WorkerError):
    """The program could not be executed: no file, no permission, no interpreter, bad format."""


class WorkerExitedEarly(WorkerError):
    """The worker exited, with any status, before it had read all input and answered all pairs."""

    advice = "read stdin until end of file and answer each pair before you exit (LIFECYCLE-2)"


class WorkerFailed(WorkerError):
    """The worker exited with a status other than 0, after well-formed output."""

    advice = "exit with status 0 after success; the cause of a failure is in the lines above"


class WorkerCrashed(WorkerError):
    """A signal killed the worker; `signal_name` names it."""

    advice = "run it in a debugger on this input; for a core file, run `ulimit -c unlimited` first"


class WorkerReported(WorkerError):
    """The worker wrote a `**<ERR>` line, which fails the job (STDERR-7)."""

    advice = "the program itself reported this error; fix what it complains about"


class WorkerOutputError(WorkerError):
    """The worker's stdout breaks the framing; `__cause__` is the ProtocolError."""

    advice = "see FRAME and LIST in PROTOCOL.md: u32 num-pairs, little-endian, then that many pairs"


class WorkerWroteText(WorkerOutputError):
    """The worker's stdout has text instead of a result list, usually from a misplaced print()."""

    advice = "write messages to stderr as `**<MSG> text`; stdout is only for result lists"


class WorkerHung(WorkerError):
    """No byte moved for the idle time, or another time limit ran out; `timeout` names the limit."""

    def __init__(self, what: str, *, timeout: str, **facts: Unpack[WorkerFacts]) -> None:
        self.timeout = timeout
        super().__init__(what, **facts)


class WorkerClosedStdout(WorkerError):
    """The worker closed its stdout and went on running."""

    advice = "keep stdout open until the program exits"


class WorkerLeftChild(WorkerError):
    """The worker exited, but a process that it started still holds its stdout open."""

    advice = "wait for your child processes before you exit, or give them another stdout"


class FilesError(KVProtoError):
    """The files of a worker break FILES-1 to FILES-4: a bad or duplicate name, or no `op`."""
