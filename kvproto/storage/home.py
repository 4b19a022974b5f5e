"""Where jobs live: a directory for each, named by job, with events, logs, and in the end its results.

$KVPROTO_HOME, else kvproto/ in $XDG_DATA_HOME, else ~/.local/share/kvproto. Below it:

    jobs/NAME@DATE-TIME-XXXXXXXX/  one job; created exclusively, so that two jobs never meet
        events.jsonl            what happened, a JSON object a line (see `events`)
        logs/                   what task processes wrote to stdout and stderr
        results/                the result files, there when the job is done and not before
        results.jsonl           their names, sizes and checksums
        map-results/            what the maps wrote, of a job that keeps it (see `mapped`), and map-results.jsonl
        oob/                    out-of-band values of its tasks (see `oob`)
        profile/                what profiled tasks measured
        files/                  its required files
        control                 while the job runs: the driver's sign of life (see `control`)
        unfinished/ spool/ tmp/ in use while the job runs, removed at its end

A directory whose name begins with a dot is one that is being made or removed, and no job. All of it is its user's alone
(see `private`).
"""

from __future__ import annotations

import glob
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kvproto.driver.removal import remove_tree
from kvproto.errors import JobError
from kvproto.storage.control import DriverEnd
from kvproto.storage.private import check_is_ours, make_directory
from kvproto.storage.regular import sync

__all__ = [
    "JobDirectory",
    "JobPaths",
    "check_home",
    "home",
    "in_home",
    "make_home",
    "tidied",
]


def home() -> str:
    """The directory that holds all jobs; absolute, maybe not there yet. JobError when there is no place for it."""
    chosen = os.environ.get("KVPROTO_HOME")
    if not chosen:
        data = os.environ.get("XDG_DATA_HOME") or os.path.join("~", ".local", "share")
        chosen = os.path.join(data, "kvproto")
    path = os.path.expanduser(chosen)
    if path.startswith("~"):
        raise JobError(
            f"there is no place for jobs: {chosen} names a home directory that does not exist; "
            "set KVPROTO_HOME to a directory that you may write to"
        )
    return os.path.abspath(path)


def make_home() -> str:
    """The same directory, made if it was not there. JobError when others may write to it, or it cannot be made."""
    path = home()
    with in_home(path):
        make_directory(path)
    check_home()
    return path


def check_home() -> None:
    """Raise JobError when others may write to the home, or to what is in it."""
    for path in (home(), os.path.join(home(), "jobs"), os.path.join(home(), "ddfs")):
        if os.path.isdir(path):
            check_is_ours(path)


@contextmanager
def in_home(path: str) -> Iterator[None]:
    """Turn an OSError of the body, which writes `path` below the home, into a JobError that says how to have another home."""
    try:
        yield
    except OSError as e:
        raise JobError(
            f"writing {path}: {e.strerror or e}; jobs are kept below {home()}: free some room there, "
            "or set KVPROTO_HOME to another directory, with room, that you may write to"
        ) from e


class JobPaths:
    """The paths in the directory of the job `job`, which may or may not be there."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.path = os.path.join(home(), "jobs", job)
        self.events = os.path.join(self.path, "events.jsonl")
        self.control = os.path.join(self.path, "control")
        self.logs = os.path.join(self.path, "logs")
        self.results = os.path.join(self.path, "results")
        self.map_results = os.path.join(self.path, "map-results")
        self.oob = os.path.join(self.path, "oob")
        self.profile = os.path.join(self.path, "profile")
        self.files = os.path.join(self.path, "files")
        self.unfinished = os.path.join(self.path, "unfinished")
        self.spool = os.path.join(self.path, "spool")
        self.tmp = os.path.join(self.path, "tmp")


class JobDirectory(JobPaths):
    """The directory of a new job, with this process as its driver until `close()`. `job` is its unique name.

    stop_fd  a file descriptor that is readable when the job shall stop
    Raises JobError that names the path and KVPROTO_HOME when it cannot be made.
    """

    def __init__(self, name: str) -> None:
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".") or "job"
        super().__init__(f"{safe}@{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}")
        make_home()
        jobs, name = os.path.split(self.path)
        aside = os.path.join(
            jobs, f".{name}"
        )  # renamed when it has its driver: a job that is there never seems to have lost it
        with in_home(self.path):
            make_directory(jobs)
            try:
                for path in (
                    self.logs,
                    self.oob,
                    self.profile,
                    self.files,
                    self.unfinished,
                    self.spool,
                    self.tmp,
                ):
                    make_directory(os.path.join(aside, os.path.basename(path)))
                self._driver = DriverEnd(os.path.join(aside, os.path.basename(self.control)))
                os.rename(aside, self.path)
            except BaseException:
                with suppress(OSError):
                    remove_tree(aside)
                raise
        self._driver.moved(self.control)
        self.stop_fd = self._driver.fd

    def stop(self) -> None:
        """Ask for the end of the job: `stop_fd` becomes readable."""
        self._driver.stop()

    def close(self) -> None:
        """The job has ended, as far as others can tell: nothing of it may run any more."""
        self._driver.close()

    def leave(self) -> None:
        """Have no part in the job, in a process that its driver has forked."""
        self._driver.leave()

    def discard(self) -> None:
        """Remove it: there is to be no such job."""
        self.close()
        with suppress(OSError):
            remove_tree(self.path)

    def publish(self, paths: list[str]) -> list[str]:
        """Make paths, all of them in `unfinished`, the results, at once and on the disk; returns them under their new names.

        What else is there, the file that a killed attempt was writing, is removed: `results` holds whole files only.
        """
        names = {os.path.basename(path) for path in paths}
        with in_home(self.results):
            for name in os.listdir(self.unfinished):
                if name not in names:
                    os.unlink(os.path.join(self.unfinished, name))
            for path in (*paths, self.unfinished):
                sync(path)
            os.rename(self.unfinished, self.results)
            sync(os.path.dirname(self.path))
            sync(self.path)
        return [os.path.join(self.results, os.path.basename(path)) for path in paths]

    def tidy(self) -> list[str]:
        """As `tidied`, for this job."""
        return tidied(self)


def tidied(paths: JobPaths) -> list[str]:
    """Remove what only a running job needs, and what killed tasks had begun to write. Returns what could not be removed."""
    begun = [paths.unfinished, paths.spool, paths.tmp]
    if not os.path.exists(f"{paths.map_results}.jsonl"):
        begun.append(paths.map_results)
    begun += [
        part
        for path in (paths.oob, paths.profile)
        for part in glob.glob(f"{glob.escape(path)}/*.part")
    ]
    left = []
    for path in begun:
        try:
            remove_tree(path)
        except OSError:
            left.append(path)
    return left
