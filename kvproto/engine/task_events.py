"""What a task process reports while its task runs, and how the task has ended.

All goes to the sink of the process, which takes it to the driver. The log of the task has every
message; the driver gets so many as it can show.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence

from kvproto.driver.load import Load
from kvproto.engine.events import (
    MAX_MESSAGES,
    MAX_PARTS,
    Message,
    OnEvent,
    Read,
    Status,
    TaskEnded,
)
from kvproto.engine.usage import Usage
from kvproto.storage.results import Result
from kvproto.storage.spool_index import SpoolFile

__all__ = [
    "MESSAGES_PER_SECOND",
    "begin_task",
    "count_read",
    "emit_message",
    "emit_read",
    "emit_status",
    "end_task",
    "is_in_task",
    "note_load",
    "note_output",
    "set_sink",
]

MESSAGES_PER_SECOND = 1000
"""The most messages that a task sends to the driver within a second."""

_OVERHEAD = 100  # bytes of an event besides its text


class _Channel:
    """Carries the events of the current task to the driver, and counts what it sends."""

    sink: OnEvent | None = None
    log_fd = 2
    stage, task, log = "", 0, ""
    read_bytes = read_records = 0
    bytes_out = records_out = 0
    parts: list[int] = []  # noqa: RUF012
    load = Load()
    n_bytes = 0  # of the messages that were sent
    n_unsent = 0  # messages that only the log has, and that no event has counted yet
    n_this_second = 0
    next_second = 0.0


_channel = _Channel()


def set_sink(sink: OnEvent | None, log_fd: int = 2) -> None:
    """Set the function that gets the events of this process's tasks; None drops them.

    Their messages go to the descriptor `log_fd` too.
    """
    _channel.sink, _channel.log_fd = sink, log_fd


def is_in_task() -> bool:
    """Whether this process runs tasks now."""
    return _channel.sink is not None


def emit_message(text: str, kind: str = "MSG") -> None:
    """Write a message of the task to its log, and send it unless the limits are reached.

    They are MESSAGES_PER_SECOND and MAX_MESSAGES. Messages over them are counted, and an event
    tells how many they are.
    """
    if _channel.sink is not None and _may_send(text):
        _channel.sink(Message(_channel.stage, _channel.task, text, kind))


def emit_status(text: str) -> None:
    """Send a status message of the task, with the limits of `emit_message`."""
    if _channel.sink is not None and _may_send(text):
        _channel.sink(Status(_channel.stage, _channel.task, text))


def emit_read(n_bytes: int, n_records: int) -> None:
    """Send what the task has read since the last call."""
    count_read(n_bytes, n_records)
    if _channel.sink is not None:
        _channel.sink(Read(_channel.stage, _channel.task, n_bytes, n_records))


def count_read(n_bytes: int, n_records: int) -> None:
    """Count what the task has read since the last call, without sending it."""
    _channel.read_bytes += n_bytes
    _channel.read_records += n_records


def note_output(files: Iterable[SpoolFile | Result], parts: Sequence[int] = ()) -> None:
    """Note the files that the task wrote, and the bytes in them for each partition."""
    for file in files:
        _channel.bytes_out += file.n_bytes
        _channel.records_out += file.n_pairs
    n_each = -(-len(parts) // MAX_PARTS)
    _channel.parts = [sum(parts[at : at + n_each]) for at in range(0, len(parts), n_each or 1)]


def note_load(load: Load) -> None:
    """Note what a program of the task used."""
    _channel.load = _channel.load.plus(load)


def _may_send(text: str) -> bool:
    """Write a text to the log, which has all of them; return whether to send it too."""
    try:  # noqa: SIM105  `suppress` is slow, and there may be a million messages
        os.write(_channel.log_fd, text.encode("utf-8", "backslashreplace") + b"\n")
    except OSError:  # the task has closed its stderr, or the disk is full
        pass
    now = time.monotonic()
    if now >= _channel.next_second:
        _tell_unsent()
        _channel.next_second, _channel.n_this_second = now + 1.0, 0
    _channel.n_this_second += 1
    if _channel.n_this_second <= MESSAGES_PER_SECOND and _channel.n_bytes <= MAX_MESSAGES:
        _channel.n_bytes += len(json.dumps(text)) + _OVERHEAD
        if _channel.n_bytes <= MAX_MESSAGES:
            return True
    _channel.n_unsent += 1
    return False


def _tell_unsent() -> None:
    """Send the number of messages that only the log has, if there are any."""
    if _channel.n_unsent and _channel.sink is not None:
        text = f"and {_channel.n_unsent:,} more messages; all are in {_channel.log}"
        _channel.sink(Message(_channel.stage, _channel.task, text))
        _channel.n_unsent = 0


def begin_task(stage: str, task: int, log: str) -> None:
    """Begin a task, which has not sent anything yet; its messages go to the file `log` too."""
    _channel.stage, _channel.task, _channel.log = stage, task, log
    _channel.read_bytes = _channel.read_records = 0
    _channel.bytes_out = _channel.records_out = 0
    _channel.parts, _channel.load = [], Load()
    _channel.n_bytes = _channel.n_unsent = _channel.n_this_second = 0
    _channel.next_second = time.monotonic() + 1.0


def end_task(attempt: int, outcome: str, usage: Usage) -> TaskEnded:
    """Send what is left to say about messages that were not sent; return how the attempt ended."""
    _tell_unsent()
    event = TaskEnded(_channel.stage, _channel.task, attempt, outcome, *usage)
    event.bytes, event.records = _channel.read_bytes, _channel.read_records
    event.bytes_out, event.records_out = _channel.bytes_out, _channel.records_out
    event.parts = _channel.parts
    event.program_cpu, event.program_memory, *seconds = _channel.load
    event.computing, event.waiting_for_input, event.waiting_for_output = seconds
    return event
