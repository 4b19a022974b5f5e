"""The log of a job's events: writes and reads its file `events.jsonl`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from kvproto.engine.events import MAX_EVENT, Done, Event, Failed, Progress, as_dict, read_event
from kvproto.errors import JobError
from kvproto.storage.atomic import open_regular, private
from kvproto.storage.home import in_home

__all__ = ["EventLog", "last_line", "read_events"]

_SECONDS_BETWEEN = 1.0


class EventLog:
    """Writes events to a file as lines of JSON, then passes them to `on_event` as dicts.

    The file has at most one progress event a second, and always the last one of a stage, and the
    last one before a failure.

    Parameters
    ----------
    path : str
        The file; events are appended.
    on_event : callable or None
        Called with each event.

    Attributes
    ----------
    is_done : bool
        Whether the file says that the job is done.

    Raises
    ------
    JobError
        If the file cannot be written; the message names it.
    """

    def __init__(self, path: str, on_event: Callable[[dict[str, Any]], object] | None) -> None:
        self._path = path
        with in_home(path):
            self._file = open(path, "a", encoding="utf-8", opener=private)  # noqa: SIM115
        self._on_event = on_event
        self.is_done = False
        self._next_progress = 0.0
        self._skipped = ""  # the last progress event, if the file does not have it

    def __call__(self, event: Event, now: float | None = None) -> None:
        """Log an event; `now` is its time in seconds since the epoch, by default the clock's."""
        now = time.time() if now is None else now
        as_json = as_dict(event, now)
        line = json.dumps(as_json) + "\n"
        is_skipped = isinstance(event, Progress) and not self._is_due(event, now)
        if not is_skipped:
            before = self._skipped if isinstance(event, Failed) else ""
            with in_home(self._path):
                self._file.write(before + line)
                self._file.flush()
                if isinstance(event, Done):
                    os.fsync(self._file.fileno())
                    self.is_done = True
        if isinstance(event, Progress | Failed):
            self._skipped = line if is_skipped else ""
        if self._on_event is not None:
            self._on_event(as_json)

    def _is_due(self, progress: Progress, now: float) -> bool:
        if now < self._next_progress and progress.done < progress.total:
            return False
        self._next_progress = now + _SECONDS_BETWEEN
        return True

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # the write that failed has raised its error already
            self._file.close()


def read_events(path: str, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (offset of its end, event) for each whole event of a log after `offset`, in bytes.

    JobError if the file cannot be read, or is damaged.
    """
    try:
        with open_regular(path) as file:
            file.seek(offset)
            while line := file.readline(MAX_EVENT):
                if not line.endswith(b"\n") and len(line) < MAX_EVENT:
                    return
                yield offset + len(line), read_event(line)
                offset += len(line)
    except FileNotFoundError:
        return
    except OSError as e:
        raise JobError(f"{path} cannot be read: {e.strerror}") from e
    except ValueError as e:
        raise JobError(f"{path} is damaged at byte {offset}: {e}") from e


def last_line(path: str) -> bytes:
    """Return the last line of a log, which may be incomplete. OSError if it cannot be read."""
    n_bytes = 4096
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        while True:
            file.seek(max(0, size - n_bytes))
            data = file.read(n_bytes)
            before, newline, _ = data.rstrip(b"\n").rpartition(b"\n")
            if newline or n_bytes >= min(size, MAX_EVENT):
                return data[len(before) + len(newline) :]
            n_bytes *= 4
