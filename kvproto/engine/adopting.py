"""Make a job of another home, which left all that it needs in a store, a job of this home."""

from __future__ import annotations

import os
from contextlib import closing, suppress

from kvproto.driver.supervisor import remove_tree
from kvproto.engine.event_log import EventLog
from kvproto.engine.events import JobStarted
from kvproto.errors import JobError
from kvproto.storage.atomic import write_file
from kvproto.storage.files import fetch_files
from kvproto.storage.home import in_home, make_directory, make_home
from kvproto.storage.job_directory import JobPaths
from kvproto.storage.journal import JournalFile
from kvproto.storage.journal_copy import read_copy
from kvproto.storage.store import is_object

__all__ = ["adopt"]


def adopt(job: str, store: str) -> None:
    """Make a directory for a job in this home, from what it has in its store.

    Parameters
    ----------
    job : str
        The full name.
    store : str
        The address of the store, as `kvproto.storage.store.store_address` returns it.

    Raises
    ------
    JobError
        The store has no such job that can be resumed, or the job is that of another user.
    """
    shared = os.path.join(store, job)
    if not is_object(shared):
        _check_owner(shared)
    records, _ = read_copy(os.path.join(shared, "journal"))
    if not records:
        raise JobError(
            f"there is nothing in {shared} to resume a job with: give the full name of a job that "
            "ran with this store, is not done, and had finished a task"
        )
    make_home()
    path = JobPaths(job).path
    jobs, name = os.path.split(path)
    temporary = os.path.join(jobs, f".{name}.{os.urandom(4).hex()}")
    try:
        with in_home(path):
            for part in ("logs", "files", "tmp"):
                make_directory(os.path.join(temporary, part))
            write_file(os.path.join(temporary, "store"), os.fsencode(shared))
            with closing(JournalFile(os.path.join(temporary, "journal"))) as journal:
                journal.append(records)
            fetch_files(shared, os.path.join(temporary, "files"))
            with closing(EventLog(os.path.join(temporary, "events.jsonl"), None)) as log:
                log(JobStarted(job, 0, 0))
            os.rename(temporary, path)
    except BaseException:  # Ctrl-C too
        with suppress(OSError):
            remove_tree(temporary)
        raise


def _check_owner(shared: str) -> None:
    """Raise JobError for a job of another user: to resume it would run what that user wrote."""
    with suppress(FileNotFoundError):
        owner = os.stat(shared).st_uid
        if owner != os.geteuid():
            raise JobError(
                f"{shared} belongs to another user (uid {owner}): whoever wrote it could run any "
                "program here, as you"
            )
