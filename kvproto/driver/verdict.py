"""The verdict on a worker: which one error its run ends in, if any.

The checks go from causes to effects: a crash also cuts a list short, but the crash is reported.
Implements LIFECYCLE-4.
"""

from __future__ import annotations

import errno
import os
import struct
from functools import partial
from typing import TYPE_CHECKING, Any

from kvproto._text import ROW_BYTES, dump_row, quoted_ascii, signal_name
from kvproto.errors import (
    ProtocolError,
    WorkerClosedStdout,
    WorkerCrashed,
    WorkerError,
    WorkerExitedEarly,
    WorkerFailed,
    WorkerHung,
    WorkerLeftChild,
    WorkerNotStarted,
    WorkerOutputError,
    WorkerReported,
    WorkerWroteText,
)
from kvproto.errors.workers import WorkerFacts

if TYPE_CHECKING:
    from kvproto.driver.exchange import Exchange

__all__ = [
    "KEPT_BYTES",
    "bad_output",
    "judge",
    "lost",
    "out_of_time",
    "reported",
    "too_many_lists",
    "why_not_started",
]

KEPT_BYTES = 4096
"""Bytes of stdout before the current piece that are kept for error messages."""


def judge(exchange: Exchange[Any]) -> None:
    """Raise the error of a worker that has exited, unless it succeeded."""
    process = exchange.process
    if process.start_errno is not None:
        what, advice = why_not_started(process.start_errno, process.first_line)
        raise exchange.fail(WorkerNotStarted, what, advice=advice, status=None)
    if exchange.stderr.errors:
        raise reported(exchange)
    status = process.exit_status
    if status is not None and status < 0:
        raise exchange.fail(WorkerCrashed, f"killed by {signal_name(status)}")
    # One text for both: how much a worker reads ahead depends on when the pairs arrive.
    before = "answered all pairs" if exchange.answers_each_pair else "read all its input"
    what = f"exited with exit status {status} before it had {before}"
    if not exchange.input_ended or process.n_unread():
        raise exchange.fail(WorkerExitedEarly, what, **_hint(exchange))
    try:
        exchange.decoder.close()
    except ProtocolError as fault:
        raise bad_output(exchange, fault) from fault
    if exchange.answers_each_pair and exchange.n_lists < exchange.source.n_pairs:
        raise exchange.fail(WorkerExitedEarly, what, **_hint(exchange))
    if status != 0:
        after = "after well-formed output" if exchange.n_received else "without any output"
        raise exchange.fail(WorkerFailed, f"exited with exit status {status} {after}")


def bad_output(exchange: Exchange[Any], fault: ProtocolError) -> WorkerError:
    """Return the error for output that breaks the framing, or that is text."""
    window = exchange.recent + bytes(exchange.current)
    window_offset = exchange.n_received - len(window)
    text = _text_for_a_list(exchange, fault, window, window_offset)
    if text:
        begins = _list_offset(exchange, fault)
        what = f"it wrote text to stdout at byte {begins}, where a result list belongs: {text!r}"
        return exchange.fail(
            WorkerWroteText, what, hexdump=hexdump(window, window_offset, begins - window_offset)
        )
    shown = hexdump(window, window_offset, fault.offset - window_offset)
    return exchange.fail(
        WorkerOutputError, f"its output breaks the framing: {fault}", hexdump=shown
    )


def too_many_lists(exchange: Exchange[Any]) -> WorkerError:
    """Return the error for a result list that answers no pair."""
    return exchange.fail(
        WorkerOutputError,
        f"it wrote at least {exchange.n_lists} result lists for {exchange.source.n_pairs} pairs",
        advice="write exactly one result list for each pair you read, "
        "after you have read it (MAP-2, MAP-3)",
    )


def lost(exchange: Exchange[Any], error: WorkerCrashed) -> WorkerError:
    """Return the error for a worker that was killed with its supervisor."""
    return exchange.fail(WorkerCrashed, error.what, advice=error.advice)


def out_of_time(exchange: Exchange[Any], name: str) -> WorkerError:
    """Return the error for a limit, from the state of the worker when it was reached."""
    process, seconds = exchange.process, float(getattr(exchange.limits, name))
    if name == "grace" and process.exit_status is not None:
        left = ", ".join(process.descendants()) or "an unknown process"
        return exchange.fail(
            WorkerLeftChild, f"it exited, but {left} still holds its stdout {seconds:g} s later"
        )
    if name == "grace" and exchange.stdout_ended:
        return exchange.fail(
            WorkerClosedStdout, f"it closed its stdout and was still running {seconds:g} s later"
        )
    state = process.state()
    return exchange.fail(
        partial(WorkerHung, timeout=name),
        f"{_stuck_for(exchange, name, seconds)}; killed"
        + (f" (state of the process: {state})" if state else ""),
        advice="find out what it waits for; "
        f"if it needs more time, raise the {name} time-out (now {seconds:g} s)",
    )


def _stuck_for(exchange: Exchange[Any], name: str, seconds: float) -> str:
    if name == "start":
        return f"it did not start within {seconds:g} s"
    if name == "total":
        return f"it was not done after {seconds:g} s (total)"
    if name == "grace":
        return f"it answered all its input and had not exited {seconds:g} s later (grace)"
    n_unread = exchange.process.n_unread()
    if n_unread and n_unread == exchange.n_sent:
        return f"it has read none of its input, and no byte moved for {seconds:g} s (idle)"
    if n_unread:
        return f"it stopped reading its input, and no byte moved for {seconds:g} s (idle)"
    return f"it has read all its input so far and wrote nothing for {seconds:g} s (idle)"


def reported(exchange: Exchange[Any]) -> WorkerError:
    """Return the error for a worker that wrote **<ERR> lines."""
    # `fail` adds the last lines of stderr.
    lines = [line for line in exchange.stderr.errors if line not in exchange.stderr.tail]
    if exchange.stderr.n_errors > len(exchange.stderr.errors):
        lines.append(f"({exchange.stderr.n_errors - len(exchange.stderr.errors)} more lines)")
    what = "it reported an error" + (": " + "\n    ".join(lines) if lines else "")
    return exchange.fail(WorkerReported, what)


def _hint(exchange: Exchange[Any]) -> WorkerFacts:
    """Return better advice than the general one, if the exit status suggests it."""
    status = exchange.process.exit_status
    if status in (126, 127) and exchange.process.first_line.endswith("\r"):
        return {
            "advice": "its first line ends in CR LF, and the CR counts as part of a name there; "
            "remove it with sed -i 's/\\r$//'"
        }
    if status in (126, 127):
        return {
            "advice": "a shell or env exits with this status when it cannot find or execute a "
            "command; check that everything it calls is installed"
        }
    if status:
        return {"advice": "the program itself failed; look for the cause in its stderr"}
    return {}


def why_not_started(number: int, first_line: str) -> tuple[str, str]:
    """Explain an errno of execve(2), and say what to do about it."""
    if number == errno.ENOEXEC:
        what = "neither a binary of this machine nor a script that begins with #!"
        advice = (
            "compile it for this machine, or begin it with a line such as #!/usr/bin/env python3"
        )
    elif number == errno.ENOENT and first_line.startswith("#!"):
        what = f"its interpreter does not exist: {first_line[2:].strip()}"
        advice = (
            "install the interpreter, or correct the first line; "
            "if the line ends in CR LF, the CR is part of the name"
        )
    elif number == errno.ENOENT:
        what = "the dynamic loader that it names does not exist"
        advice = "compile it for this system"
    elif number == errno.EACCES:
        what = "permission denied, though its mode allows it"
        advice = (
            "its directory may be mounted noexec; set KVPROTO_HOME (for a job) or TMPDIR (for "
            "`kvproto map`) to a directory that is not"
        )
    else:
        what, advice = os.strerror(number), "see execve(2)"
    return f"could not be executed: {what}", advice


def _text_for_a_list(
    exchange: Exchange[Any], fault: ProtocolError, window: bytes, window_offset: int
) -> str:
    """Return the line of text at the start of a result list; "" if there is a plausible number.

    A num-pairs of four printable bytes is over 150 million.
    """
    at = max(0, _list_offset(exchange, fault) - window_offset)
    under_way = exchange.decoder.list_under_way()
    head = struct.pack("<I", under_way[1]) if under_way else window[at : at + 4]
    if not head or not all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return ""
    return window[at : at + 80].decode("ascii", "replace").strip().split("\n")[0]


def _list_offset(exchange: Exchange[Any], fault: ProtocolError) -> int:
    under_way = exchange.decoder.list_under_way()
    return under_way[0] if under_way else fault.offset


def hexdump(window: bytes, window_offset: int, at: int) -> str:
    """Rows of the bytes around window[at], with offsets in the stream and a mark at that byte."""
    begins = max(0, at)
    starts = [
        *range(max(0, begins - 3 * ROW_BYTES), begins, ROW_BYTES),
        *range(begins, min(len(window), begins + 4 * ROW_BYTES), ROW_BYTES),
    ]
    rows = []
    for start in starts:
        row = window[start : begins if start < begins else None][:ROW_BYTES]
        rows += dump_row(window_offset + start, row, quoted_ascii(row), start == at)
    if at >= len(window):
        rows += dump_row(window_offset + at, b"", "the end", True)
    return "\n".join(rows)
