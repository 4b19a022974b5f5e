"""When and where the drivers of a job started, by its events."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any

from kvproto.engine.events import MAX_EVENT, Resumed, read_event
from kvproto.storage.atomic import open_regular
from kvproto.storage.job_directory import JobPaths

__all__ = [
    "first_event",
    "last_machine",
    "last_start",
    "started",
]

_RESUMED = f'"event": "{Resumed.name}"'.encode()


def first_event(paths: JobPaths) -> dict[str, Any]:
    """Return the first event of a job. OSError if it cannot be read, ValueError if damaged."""
    with open_regular(paths.events) as file:
        return read_event(file.readline(MAX_EVENT))


def last_start(paths: JobPaths) -> dict[str, Any]:
    """Return the first event of the job's last driver. Errors as for `first_event`."""
    with open_regular(paths.events) as file:
        start = file.readline(MAX_EVENT)
        while line := file.readline(MAX_EVENT):
            if _RESUMED in line[:100] and line.endswith(b"\n"):
                start = line
    return read_event(start)


def last_machine(paths: JobPaths) -> str:
    """Return the machine of the job's last driver. Errors as for `first_event`."""
    return str(last_start(paths).get("machine", ""))


def started(job: str) -> float:
    """Return when a job started, in seconds since the epoch: by its first event, name or directory.

    0.0 if none of them says it.
    """
    with suppress(OSError, ValueError):
        return float(first_event(JobPaths(job))["time"])
    try:
        return time.mktime(time.strptime(job.rpartition("@")[2][:15], "%Y%m%d-%H%M%S"))
    except (ValueError, OverflowError):
        with suppress(OSError):
            return os.stat(JobPaths(job).path).st_mtime
    return 0.0
