"""When and where the drivers of a job started, by its events, and the commands for a failed one."""

from __future__ import annotations

import os
import shlex
import time
from contextlib import suppress
from typing import Any

from kvproto._text import amount
from kvproto.engine.events import MAX_EVENT, Resumed, read_event
from kvproto.storage.atomic import open_regular
from kvproto.storage.home import home
from kvproto.storage.job_directory import JobPaths
from kvproto.storage.store import is_object

__all__ = [
    "bad_command",
    "first_event",
    "how_to_replay",
    "how_to_report",
    "how_to_resume",
    "how_to_show_bad_records",
    "last_machine",
    "last_start",
    "replay_command",
    "report_command",
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


def how_to_resume(paths: JobPaths) -> str:
    """Return the line of a job's error that says how; "" if the job cannot be resumed."""
    if not paths.is_resumable():
        return ""
    where = f" in {paths.shared}" if paths.has_store else ""
    kept = "its files" if is_object(paths.shared) else amount(paths.resumable_bytes())
    store = ["--store", os.path.dirname(paths.shared)] if paths.has_store else []
    address = ""
    with suppress(OSError, ValueError):
        address = str(last_start(paths).get("engine", ""))
    engine = ["--engine", address] if address else []
    resume = _command("run", "--resume", paths.job, *engine, *store)
    return f"\nit keeps {kept}{where} to resume: {resume}"


def how_to_replay(paths: JobPaths, task: str) -> str:
    """Return the last line of a job's error, which says how to run a task such as "map:17" again.

    "" if the job keeps nothing for that, or if no task failed.
    """
    command = replay_command(paths, task)
    return command and f"\nto run this task alone: {command}"


def replay_command(paths: JobPaths, task: str, *options: str) -> str:
    """Return the command alone, or ""."""
    is_there = task and paths.is_replayable()
    return _command("replay", paths.job, task, *options) if is_there else ""


def how_to_report(paths: JobPaths) -> str:
    """Return the line of a job's error that says how to see what happened."""
    return f"\na page about it: {report_command(paths.job)}"


def how_to_show_bad_records(paths: JobPaths) -> str:
    """Return the line of a job's error that says so; "" if the job has set nothing aside."""
    is_there = os.path.exists(paths.bad_records)
    return f"\nwhat it has set aside: {bad_command(paths.job)}" if is_there else ""


def bad_command(job: str) -> str:
    """Return the command that shows what a job has set aside."""
    return _command("bad", job)


def report_command(job: str, *options: str) -> str:
    """Return the command that makes the page about a job."""
    return _command("report", *options, job)


def _command(*words: str) -> str:
    """A command for a shell; with the home, unless it is the default."""
    chosen = os.environ.get("KVPROTO_HOME")
    where = f"KVPROTO_HOME={shlex.quote(home())} " if chosen else ""
    return f"{where}kvproto {shlex.join(words)}"


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
