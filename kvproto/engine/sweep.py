"""Clean up in the home after drivers that were killed."""

from __future__ import annotations

import glob
import os
import time
from contextlib import suppress

from kvproto.driver.supervisor import remove_tree
from kvproto.engine.job_handle import READY, JobHandle
from kvproto.engine.starts import last_machine
from kvproto.errors import JobError
from kvproto.storage.control import has_driver, locked
from kvproto.storage.home import check_home, home
from kvproto.storage.job_directory import CONTROL, JobPaths, machine, tidy
from kvproto.storage.store import store_of

__all__ = ["sweep"]

_GRACE = 600.0  # seconds for which a hidden directory may belong to a job that is starting


def sweep() -> None:
    """Remove what killed drivers left in the home, except results, events and logs.

    Files that cannot be removed stay. JobError if other users may write to the home.
    """
    check_home()
    _sweep_tags()
    jobs = os.path.join(home(), "jobs")
    try:
        entries = list(os.scandir(jobs))
    except OSError:  # there are no jobs
        return
    for entry in entries:
        with suppress(OSError):
            if not entry.is_dir(follow_symlinks=False):
                continue
            if not entry.name.startswith("."):
                if os.path.lexists(os.path.join(entry.path, CONTROL)):
                    _sweep_job(JobPaths(entry.name))
            elif time.time() - entry.stat(follow_symlinks=False).st_mtime > _GRACE:
                remove_tree(entry.path)


def _sweep_job(paths: JobPaths) -> None:
    """Tidy a job whose driver was killed, so that its `control` still exists.

    A job of another machine with the same home is not touched: its driver may be alive. What the
    job can be resumed with stays.
    """
    if has_driver(paths.control):
        return
    with suppress(ValueError, JobError), locked(paths.events, wait=False) as is_ours:
        if not is_ours or has_driver(paths.control) or last_machine(paths) != machine():
            return
        is_done = JobHandle(paths.job).status() == READY
        if is_done and paths.is_resumable():
            os.unlink(paths.journal)
        if not tidy(paths, is_done=is_done):
            store_of(paths.exchange).remove_tree(paths.exchange)
            os.unlink(paths.control)


def _sweep_tags() -> None:
    """Remove unfinished documents of tags."""
    for path in glob.glob(
        os.path.join(glob.escape(home()), "ddfs", "tag", "**", "*.part"), recursive=True
    ):
        with suppress(OSError):
            if time.time() - os.lstat(path).st_mtime > _GRACE:
                os.unlink(path)
