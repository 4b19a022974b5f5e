"""Where jobs live: a directory for each, named by job, with events, logs, and in the end its results.

$KVPROTO_HOME, else kvproto/ in $XDG_DATA_HOME, else ~/.local/share/kvproto. Below it:

    jobs/NAME@DATE-TIME-XXXXXXXX/  one job; created exclusively, so that two jobs never meet
        events.jsonl            what happened, a JSON object a line (see `events`)
        logs/                   what task processes wrote to stdout and stderr
        results/                the result files, there when the job is done and not before
        oob/                    out-of-band values of its tasks (see `oob`)
        profile/                what profiled tasks measured
        files/                  its required files
        unfinished/ spool/ tmp/ in use while the job runs, removed at its end
"""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from kvproto.errors import JobError

__all__ = ["JobDirectory", "home", "in_home"]


def home() -> str:
    """The directory that holds all jobs; absolute, maybe not there yet."""
    chosen = os.environ.get("KVPROTO_HOME")
    if not chosen:
        data = os.environ.get("XDG_DATA_HOME") or os.path.join("~", ".local", "share")
        chosen = os.path.join(data, "kvproto")
    return os.path.abspath(os.path.expanduser(chosen))


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


class JobDirectory:
    """The directory of a new job. `job` is its unique name, the other attributes are paths in it.

    Raises JobError that names the path and KVPROTO_HOME when it cannot be made.
    """

    def __init__(self, name: str) -> None:
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", name) or "job"
        self.job = f"{safe}@{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:8]}"
        self.path = os.path.join(home(), "jobs", self.job)
        self.events = os.path.join(self.path, "events.jsonl")
        self.logs = os.path.join(self.path, "logs")
        self.results = os.path.join(self.path, "results")
        self.oob = os.path.join(self.path, "oob")
        self.profile = os.path.join(self.path, "profile")
        self.files = os.path.join(self.path, "files")
        self.unfinished = os.path.join(self.path, "unfinished")
        self.spool = os.path.join(self.path, "spool")
        self.tmp = os.path.join(self.path, "tmp")
        with in_home(self.path):
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            os.mkdir(self.path)
            for path in (self.logs, self.oob, self.profile, self.files, self.unfinished, self.spool, self.tmp):
                os.mkdir(path)

    def publish(self, paths: list[str]) -> list[str]:
        """Make paths, all of them in `unfinished`, the results, at once; returns them under their new names.

        What else is there, the file that a killed attempt was writing, is removed: `results` holds whole files only.
        """
        names = {os.path.basename(path) for path in paths}
        with in_home(self.results):
            for name in os.listdir(self.unfinished):
                if name not in names:
                    os.unlink(os.path.join(self.unfinished, name))
            os.rename(self.unfinished, self.results)
        return [os.path.join(self.results, os.path.basename(path)) for path in paths]

    def tidy(self) -> None:
        """Remove what only the running job needed."""
        for path in (self.unfinished, self.spool, self.tmp):
            shutil.rmtree(path, ignore_errors=True)
