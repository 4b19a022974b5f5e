"""The exception tree: every error kvproto raises on purpose, and what each one carries.

Promises: whatever goes wrong with bytes or with a worker is a `KVProtoError`; a caller's own
mistake (a wrong type, a wrong argument) is a TypeError or ValueError and never one of these.
Refuses to know: pipes, processes, files. It holds facts and words about them, no more.
"""

from __future__ import annotations

import re
import signal

__all__ = [
    "DataError",
    "FilesError",
    "ItemTooLarge",
    "JobError",
    "KVProtoError",
    "ParamsError",
    "ProtocolError",
    "TaskError",
    "Truncated",
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

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_QUOTE = r"""["'<>](?![,;:\s)\]}])"""  # one that ends no quotation
_PASSWORD = re.compile(  # in an address; all lengths are bounded, as a text may be long and hostile
    r"""(://[^/?#@:\s"'<>]{0,200}:)"""  # the user's name
    rf"""(?:(?:[^/?#\s"'<>]|{_QUOTE}){{0,500}}"""  # as it should be written: up to the last @ before the path
    rf"""|(?!\d*[/?#\s])(?:(?:[^\s"'<>]|{_QUOTE}){{0,500}}"""  # with / ? # in it, which a port has not
    rf"""|(?:[^\n"'<>@]|{_QUOTE}){{0,500}}))@(?=[\w[])"""  # with blanks in it: up to the first @
)


def printable(text: str) -> str:
    """Show control characters as escapes such as `\\x1b`, so that text from outside cannot drive a terminal. Newlines and tabs stay."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def without_passwords(text: str) -> str:
    """The text with *** for the passwords of addresses in it, as in http://user:***@host/."""
    return _PASSWORD.sub(r"\1***@", text) if "://" in text and "@" in text else text


class KVProtoError(Exception):
    """The root: `except KVProtoError` catches all that kvproto raises on purpose. All of them survive pickle, whole.

    The text may quote a worker, a server or a file, so control characters in it are shown as escapes: it is safe on a terminal.
    It quotes addresses without the passwords in them.
    """

    def __init__(self, *args) -> None:
        super().__init__(*[without_passwords(arg) if isinstance(arg, str) else arg for arg in args])

    def __str__(self) -> str:
        return printable(super().__str__())

    def add_note(self, note: str) -> None:
        super().add_note(printable(without_passwords(note)))

    def __reduce__(self):
        return _restored, (type(self), self.args, self.__dict__)


def _restored(error_type: type, args: tuple, attributes: dict) -> KVProtoError:
    """Make an error again from what it carries: its own constructor takes the facts, not the finished message."""
    error = error_type.__new__(error_type, *args)
    error.__dict__.update(attributes)
    return error


# --- bytes that break a clause of PROTOCOL.md -------------------------------------------------


class ProtocolError(KVProtoError):
    """Bytes that break a clause of PROTOCOL.md.

    offset   int, bytes from the start of the stream to the field at fault
    clause   str, the clause of PROTOCOL.md that they break
    field    str, the field at fault, e.g. "key size"
    decoded  list, what the same call had decoded in full before the fault
    """

    def __init__(self, message: str, *, offset: int, clause: str, field: str) -> None:
        super().__init__(f"{message} [{clause}]")
        self.offset = offset
        self.clause = clause
        self.field = field
        self.decoded: list = []


class Truncated(ProtocolError):
    """The stream ended inside a field. `wanted` and `had` are bytes of that field (FRAME-4, LIST-3, PARAMS-5)."""

    def __init__(
        self, *, field: str, offset: int, wanted: int, had: int, clause: str, context: str = ""
    ) -> None:
        super().__init__(
            f"the stream ends inside the {field} at byte {offset}: {wanted} bytes wanted, {had} there{context}",
            offset=offset,
            clause=clause,
            field=field,
        )
        self.wanted = wanted
        self.had = had


class ItemTooLarge(ProtocolError):
    """A size field announces more than the limit; nothing was allocated for it (LIMITS-1)."""

    def __init__(self, *, field: str, offset: int, size: int, limit: int) -> None:
        super().__init__(
            f"the {field} at byte {offset} announces {size} bytes, the limit is {limit}; "
            "raise max_item if that is meant",
            offset=offset,
            clause="LIMITS-1",
            field=field,
        )
        self.size = size
        self.limit = limit


class ParamsError(ProtocolError):
    """A parameter set that is not of the form PARAMS-1 to PARAMS-5."""


# --- a worker program that did not do its part -------------------------------------------------


class WorkerError(KVProtoError):
    """A worker program failed; the attempt's output is to be discarded (LIFECYCLE-4).

    argv          tuple of str, the program and its arguments
    status        int or None: the exit status; -N when signal N killed it; None when it was still running
    signal_name   str or None: "SIGSEGV" and the like, when a signal killed it
    pair_index    int or None: index, from 0, of the first input pair without an answer (map only)
    n_sent        int, bytes written to its stdin; n_unread of them it never read
    n_received    int, bytes that came from its stdout
    stderr_tail   tuple of str, the last lines of its stderr as they came
    hexdump       str, its output around the first bad byte, or ""
    """

    advice = ""

    def __init__(
        self,
        what: str,
        *,
        argv=(),
        status: int | None = None,
        pair_index: int | None = None,
        n_sent: int = 0,
        n_unread: int = 0,
        n_received: int = 0,
        stderr_tail=(),
        hexdump: str = "",
        advice: str | None = None,
    ) -> None:
        self.what = what
        self.argv = tuple(argv)
        self.status = status
        self.signal_name = signal_name(status)
        self.pair_index = pair_index
        self.n_sent = n_sent
        self.n_unread = n_unread
        self.n_received = n_received
        self.stderr_tail = tuple(stderr_tail)
        self.hexdump = hexdump
        if advice is not None:
            self.advice = advice
        super().__init__(self.report())

    def report(self, with_stderr: bool = True) -> str:
        """The text of the error; without its lines of stderr for who has shown them already."""
        lines = [f"{' '.join(self.argv)}: {self.what}" if self.argv else self.what]
        if self.pair_index is not None:
            lines.append(
                f"  first input pair without an answer: number {self.pair_index} (counted from 0)"
            )
        if self.n_sent or self.n_received:
            unread = f", of which it never read {self.n_unread}" if self.n_unread else ""
            lines.append(
                f"  bytes sent to it: {self.n_sent}{unread}; bytes received: {self.n_received}"
            )
        if self.hexdump:
            lines.append("  its output there:")
            lines += ["    " + line for line in self.hexdump.splitlines()]
        if self.stderr_tail and with_stderr:
            lines.append("  the last it said on stderr:")
            lines += ["    " + line for line in self.stderr_tail]
        elif not self.stderr_tail and not isinstance(self, WorkerNotStarted):
            lines.append("  it said nothing on stderr")
        if self.advice:
            lines.append("  what to do: " + self.advice)
        return "\n".join(lines)


class WorkerNotStarted(WorkerError):
    """The program could not be executed: no such file, no permission, bad format, missing interpreter."""


class WorkerExitedEarly(WorkerError):
    """It exited, with whatever status, while input was unread or answers were due."""

    advice = "read stdin until end of file and answer each pair before you exit (LIFECYCLE-2)"


class WorkerFailed(WorkerError):
    """All its output was well formed, and then it exited with a status other than 0."""

    advice = (
        "exit with status 0 after success; if this was a failure, its cause is in the lines above"
    )


class WorkerCrashed(WorkerError):
    """A signal killed it; `signal_name` says which."""

    advice = (
        "run it in a debugger on the same input: kvproto map --in kv < input, or with a core dump"
    )


class WorkerReported(WorkerError):
    """It wrote a `**<ERR>` line, which fails the job whatever the exit status (STDERR-7)."""

    advice = "the line above is the program's own; mend what it complains of"


class WorkerOutputError(WorkerError):
    """Its stdout breaks the framing: a list cut short, too long, or an item over the limit. `__cause__` has the fault."""

    advice = "see PROTOCOL.md, sections FRAME and LIST; `u32 little-endian num-pairs`, then exactly that many pairs"


class WorkerWroteText(WorkerOutputError):
    """There is text on its stdout where a result list belongs: usually a print() that was meant for stderr."""

    advice = "write messages to stderr as `**<MSG> text`; stdout carries result lists alone"


class WorkerHung(WorkerError):
    """No byte moved for the idle time, or a start, total or grace time ran out; `timeout` says which."""

    def __init__(self, what: str, *, timeout: str, **details) -> None:
        self.timeout = timeout
        super().__init__(what, **details)


class WorkerClosedStdout(WorkerError):
    """It closed its stdout and lived on."""

    advice = "keep stdout open until the program exits"


class WorkerLeftChild(WorkerError):
    """It exited, and a process that it started still holds its stdout."""

    advice = "wait for your child processes before you exit, or give them another stdout"


class FilesError(KVProtoError):
    """The files of an external program break FILES-1 to FILES-4: a path for a name, two of a name, no `op`."""


# --- jobs --------------------------------------------------------------------------------------


class JobError(KVProtoError):
    """A job failed; the message holds the failed task's error whole."""


class TaskError(JobError):
    """One task failed for good, after its retries."""


class DataError(KVProtoError):
    """Input that could not be read or is not what its reader expects.

    url       str, of the input, where it is given apart from the message
    code      int, the status that a server answered with, or None
    is_final  bool: no other try mends it. Raised by a task it fails the job at once; otherwise the task is tried again
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
        if url is not None:
            self.url = url
        if code is not None:
            self.code = code
        if is_final:
            self.is_final = True
        super().__init__(msg if url is None else f"{msg}: {url}")


def signal_name(status: int | None) -> str | None:
    """Name the signal of a negative exit status: -11 -> "SIGSEGV"; None for every other status."""
    if status is None or status >= 0:
        return None
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
