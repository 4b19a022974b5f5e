"""Clearing up after drivers that were killed: what their jobs had in use, and directories that were being made or removed."""

from __future__ import annotations

import glob
import os
import time
from contextlib import suppress

from kvproto.driver.removal import remove_tree
from kvproto.engine.kept import first_event
from kvproto.storage.home import check_home, home
from kvproto.storage.job_directory import JobPaths, has_driver, machine, tidied

__all__ = ["sweep"]

_GRACE = 600.0  # seconds for which a hidden directory may be one that is being made


def sweep() -> None:
    """Remove what killed drivers have left in the home. Results, events and logs stay; so does what resists.

    Raises JobError when others may write to the home.
    """
    check_home()
    _sweep_tags()
    jobs = os.path.join(home(), "jobs")
    try:
        found = list(os.scandir(jobs))
    except OSError:  # there are no jobs
        return
    for entry in found:
        with suppress(OSError):
            if not entry.is_dir(follow_symlinks=False):
                continue
            if not entry.name.startswith("."):
                _sweep_job(JobPaths(entry.name))
            elif time.time() - entry.stat(follow_symlinks=False).st_mtime > _GRACE:
                remove_tree(entry.path)


def _sweep_job(paths: JobPaths) -> None:
    """Tidy a job whose driver has left its end of `control`; one that ended by itself has removed that.

    Of a driver on another machine, which has the same home, nothing can be known: its job is left alone.
    """
    if not os.path.lexists(paths.control) or has_driver(paths.control):
        return
    with suppress(ValueError):
        if first_event(paths).get("machine") == machine() and not tidied(paths):
            os.unlink(paths.control)


def _sweep_tags() -> None:
    """Remove documents of tags that were never finished."""
    for path in glob.glob(
        os.path.join(glob.escape(home()), "ddfs", "tag", "**", "*.part"), recursive=True
    ):
        with suppress(OSError):
            if time.time() - os.lstat(path).st_mtime > _GRACE:
                os.unlink(path)
