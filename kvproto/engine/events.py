"""Events: plain dicts that say what a job does, from the tasks to whoever watches, and to `events.jsonl`.

Each has "event" (what happened: one of the names below) and "time" (seconds since the epoch); the job's also "job".

    job       started: "inputs", "bytes", "machine" (of its driver); see also done and failed
    stage     a stage begins: "stage", "tasks", "bytes" (of input; 0 unknown)
    progress  "stage", "done", "total" (tasks), "bytes" (read so far), "records" (entries read so far)
    message   "stage", "task", "text": a line from a worker program or a print() in a job function
    note      about the job as a whole: "text", such as which files of a directory are passed over
    retry     "stage", "task", "attempt", "text": a failed attempt that will be tried again
    done      the job is complete: "results" (paths), "seconds"
    failed    the job failed: "text", the error whole

Addresses are told without the passwords in them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from kvproto._text import shortened, without_passwords
from kvproto.storage.atomic import private
from kvproto.storage.home import in_home

__all__ = ["MAX_TOLD", "EventLog", "begin_task", "emit", "end_task", "is_in_task", "set_sink"]

MAX_TOLD = 1 << 20
"""Bytes of messages that a task may tell the driver: 1 MiB."""

_OVERHEAD = 100  # bytes of an event besides its text
_SECONDS_BETWEEN = 1.0

OnEvent = Callable[[dict], None]

_sink: OnEvent | None = None
_n_told = _n_untold = 0


def set_sink(sink: OnEvent | None) -> None:
    """In a task's process: where `emit` sends events. None: nowhere."""
    global _sink
    _sink = sink


def is_in_task() -> bool:
    """Whether this process runs tasks, and is not the driver of a job."""
    return _sink is not None


def emit(event: str, **details) -> None:
    """Tell the driver something from inside a task; without a channel to it, nothing happens.

    Of the messages of one task the driver is told MAX_TOLD bytes; the rest goes to the log of the task's process.
    """
    global _n_told, _n_untold
    if _sink is None:
        return
    if event in ("message", "status"):
        _n_told += len(json.dumps(details["text"])) + _OVERHEAD
        if _n_told > MAX_TOLD:
            _n_untold += 1
            print(details["text"], file=sys.__stderr__)
            return
    _sink({"event": event, **details})


def begin_task() -> None:
    """A new task has not told anything yet."""
    global _n_told, _n_untold
    _n_told = _n_untold = 0


def end_task(log: str) -> None:
    """Say how many messages are in `log` alone."""
    if _n_untold and _sink is not None:
        text = f"and {_n_untold:,} more messages, which are in {log}"
        _sink({"event": "message", "kind": "MSG", "text": text})


class EventLog:
    """Stamps events, writes them to a file as a JSON line each, then hands them to `on_event`.

    Of a stage's progress the file has one event a second, and the last. Raises JobError that names the file when it
    cannot be written.
    """

    def __init__(self, path: str, on_event: OnEvent | None) -> None:
        self._path = path
        with in_home(path):
            self._file = open(path, "a", encoding="utf-8", opener=private)
        self._on_event = on_event
        self._next_progress = 0.0

    def __call__(self, event: dict) -> None:
        event = {"time": time.time(), **event}
        if isinstance(event.get("text"), str):
            event["text"] = without_passwords(shortened(event["text"], MAX_TOLD))
        if event["event"] != "progress" or self._is_due(event):
            with in_home(self._path):
                self._file.write(json.dumps(event) + "\n")
                self._file.flush()
                if event["event"] == "done":
                    os.fsync(self._file.fileno())
        if self._on_event is not None:
            self._on_event(event)

    def _is_due(self, progress: dict) -> bool:
        if progress["time"] < self._next_progress and progress["done"] < progress["total"]:
            return False
        self._next_progress = progress["time"] + _SECONDS_BETWEEN
        return True

    def close(self) -> None:
        with suppress(OSError):  # what is still not written made an error before
            self._file.close()
