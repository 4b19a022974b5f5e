"""The commands that errors and pages of a job show: they work when they are pasted into a shell."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress

from kvproto._text import amount
from kvproto.engine.starts import last_start
from kvproto.storage.home import home
from kvproto.storage.job_directory import JobPaths
from kvproto.storage.store import is_object

__all__ = [
    "bad_command",
    "how_to_replay",
    "how_to_report",
    "how_to_resume",
    "how_to_show_bad_records",
    "replay_command",
    "report_command",
]


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
