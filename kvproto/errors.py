"""Every error that kvproto raises on purpose, and what each one carries.

    KVProtoError
        ProtocolError: Truncated, ItemTooLarge, ParamsError
        WorkerError: WorkerNotStarted, WorkerExitedEarly, WorkerFailed, WorkerCrashed,
            WorkerReported, WorkerHung, WorkerClosedStdout, WorkerLeftChild
            WorkerOutputError: WorkerWroteText
        FilesError, KitFault, KnownError
        JobError: WaitTimeout (also a TimeoutError), ModUtilImportError (also an ImportError)
            TaskError: Cancelled
        DataError: InvalidTag, NoSuchTag, DamagedTag

A mistake of the caller, such as an argument of the wrong type, is a TypeError or ValueError.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import Any, TypedDict, Unpack

from kvproto._record import Place, Record
from kvproto._text import printable, signal_name, without_passwords

__all__ = [
    "Cancelled",
    "DamagedTag",
    "DataError",
    "FilesError",
    "InvalidTag",
    "ItemTooLarge",
    "JobError",
    "KVProtoError",
    "KitFault",
    "KnownError",
    "ModUtilImportError",
    "NoSuchTag",
    "ParamsError",
    "ProtocolError",
    "TaskError",
    "Truncated",
    "WaitTimeout",
    "WorkerClosedStdout",
    "WorkerCrashed",
    "WorkerError",
    "WorkerExitedEarly",
    "WorkerFailed",
    "WorkerHung",
    "WorkerLeftChild",
    "WorkerNotStarted",
    "WorkerOutputError",
    "WorkerReported",
    "WorkerWroteText",
]


class KVProtoError(Exception):
    """The base class of all errors that kvproto raises on purpose.

    Notes
    -----
    Pickling keeps the attributes, and the `__cause__` if it is a KVProtoError. The text may quote a
    worker, a server or a file. It is safe to print: control characters are escaped, and the
    passwords in URLs are masked.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*[without_passwords(arg) if isinstance(arg, str) else arg for arg in args])

    def __str__(self) -> str:
        return printable(super().__str__())

    def add_note(self, note: str) -> None:
        super().add_note(printable(without_passwords(note)))

    def __reduce__(self) -> tuple[Any, ...]:
        cause = self.__cause__ if isinstance(self.__cause__, KVProtoError) else None
        return _restored, (type(self), self.args, self.__dict__, cause)


def _restored(
    error_type: type[KVProtoError],
    args: tuple[object, ...],
    attributes: dict[str, object],
    cause: KVProtoError | None = None,
) -> KVProtoError:
    """Restore an error without its constructor, which takes facts and not the finished message."""
    error = error_type.__new__(error_type, *args)
    error.args = args  # the __new__ of an OSError, such as WaitTimeout, does not set them
    error.__dict__.update(attributes)
    error.__cause__ = cause
    return error


# --- bytes that break a clause of PROTOCOL.md -------------------------------------------------


class ProtocolError(KVProtoError):
    """Bytes break a clause of PROTOCOL.md.

    Attributes
    ----------
    offset : int
        Bytes from the start of the stream to the field at fault.
    clause : str
        The clause of PROTOCOL.md, for example "FRAME-4".
    field : str
        The field at fault, for example "key size".
    decoded : list
        The elements that the same call had decoded before the fault.
    """

    def __init__(self, message: str, *, offset: int, clause: str, field: str) -> None:
        super().__init__(f"{message} [{clause}]")
        self.offset = offset
        self.clause = clause
        self.field = field
        self.decoded: list[Any] = []


class Truncated(ProtocolError):
    """The stream ends inside a field, after `had` of `wanted` bytes (FRAME-4, LIST-3, PARAMS-5)."""

    def __init__(
        self, *, field: str, offset: int, wanted: int, had: int, clause: str, context: str = ""
    ) -> None:
        super().__init__(
            f"the stream ends inside the {field} at byte {offset}: "
            f"it needs {wanted} bytes, but has {had}{context}",
            offset=offset,
            clause=clause,
            field=field,
        )
        self.wanted = wanted
        self.had = had


class ItemTooLarge(ProtocolError):
    """A size field announces `size` bytes, more than `limit`; nothing was allocated (LIMITS-1)."""

    def __init__(self, *, field: str, offset: int, size: int, limit: int) -> None:
        super().__init__(
            f"the {field} at byte {offset} announces {size} bytes, but the limit is {limit}; "
            "raise max_item if this is intended",
            offset=offset,
            clause="LIMITS-1",
            field=field,
        )
        self.size = size
        self.limit = limit


class ParamsError(ProtocolError):
    """A parameter set does not have the form of PARAMS-1 to PARAMS-5."""


# --- workers that fail -------------------------------------------------------------------------


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
        program = self.argv[0] if self.argv else "PROGRAM"
        self.advice = f"gdb {shlex.quote(program)} {shlex.quote(core)} shows where it crashed"
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


# --- jobs --------------------------------------------------------------------------------------


class JobError(KVProtoError):
    """A job failed, or cannot be run. The message has the whole error of the failed task.

    Attributes
    ----------
    cause : BaseException or None
        The error of the task that failed, such as a WorkerError. None when no task failed, or
        when its process could not send the error.
    task : tuple of (str, int), or None
        The stage of that task, "map" or "reduce", and its number from 0.
    record : Record or None
        The record at which the program of that task fails.
    input : str or None
        The URL or path of the input that has the record, or that cannot be read.
    line : int or None
        The number of the line of the record, from 1.
    """

    def __init__(
        self,
        *args: object,
        cause: BaseException | None = None,
        task: tuple[str, int] | None = None,
        brief: str = "",
    ) -> None:
        super().__init__(*args)
        self.cause = cause
        self.task = task
        self._brief = printable(without_passwords(brief))

    @property
    def record(self) -> Record | None:
        return self.cause.record if isinstance(self.cause, WorkerError) else None

    @property
    def input(self) -> str | None:
        if isinstance(self.cause, DataError):
            return self.cause.url
        return self.record.place.input if self.record and self.record.place else None

    @property
    def line(self) -> int | None:
        return self.record.place.line if self.record and self.record.place else None

    def report(self, with_stderr: bool = True) -> str:
        """Return the text of the error, with or without the lines of a worker's stderr."""
        return str(self) if with_stderr else self._brief or str(self)


class TaskError(JobError):
    """One task failed for good, after its retries."""


class Cancelled(TaskError):
    """The job was stopped from outside; none of its processes runs any more."""


class WaitTimeout(JobError, TimeoutError):
    """A wait for a job timed out; the job continues."""


class ModUtilImportError(JobError, ImportError):
    """A job function uses a module that cannot be found."""


class DataError(KVProtoError):
    """Input cannot be read, or is not what its reader expects.

    Attributes
    ----------
    msg, url : str
        The message, and the address of the input, or None when it is part of the message.
    code : int or None
        The status that a server answered with.
    is_final : bool
        Whether another attempt would not help, so that the job fails at once.
    """

    url: str | None = None
    code: int | None = None
    is_final: bool = False

    def __init__(
        self,
        msg: str = "",
        url: str | None = None,
        code: int | None = None,
        *,
        is_final: bool = False,
    ) -> None:
        self.msg = without_passwords(msg)
        self.url = self.url if url is None else url
        self.code = self.code if code is None else code
        self.is_final = self.is_final or is_final
        super().__init__(msg if url is None else f"{msg}: {url}")


class InvalidTag(DataError):
    """The name of a tag has invalid characters or is too long."""

    code = 403


class NoSuchTag(DataError):
    """There is no tag with that name."""

    code = 404


class DamagedTag(DataError):
    """The document of a tag cannot be read, or is malformed; the text names its file."""


class KitFault(KVProtoError):
    """The kit itself is at fault: a schedule contradicts itself."""


class KnownError(KVProtoError):
    """A line in the file of known failures does not name a case."""
