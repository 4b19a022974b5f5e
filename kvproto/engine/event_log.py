"""The log of a job's events: its file `events.jsonl`, and its `on_event` function."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kvproto.engine.events import Done, Event, Progress, as_dict
from kvproto.storage.atomic import private
from kvproto.storage.home import in_home

__all__ = ["EventLog"]

_SECONDS_BETWEEN = 1.0


class EventLog:
    """Writes events to a file as lines of JSON, then passes them to `on_event` as dicts.

    The file has at most one progress event a second, and always the last one of a stage.

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

    def __call__(self, event: Event, now: float | None = None) -> None:
        """Log an event; `now` is its time in seconds since the epoch, by default the clock's."""
        now = time.time() if now is None else now
        as_json = as_dict(event, now)
        if not isinstance(event, Progress) or self._is_due(event, now):
            with in_home(self._path):
                self._file.write(json.dumps(as_json) + "\n")
                self._file.flush()
                if isinstance(event, Done):
                    os.fsync(self._file.fileno())
                    self.is_done = True
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
