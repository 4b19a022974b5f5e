"""A job that is kept in its directory, seen from outside its driver: in any process, while it runs and later.

What is said here of a job is read from its directory each time. Knows nothing of how a job is described or run.
"""

from __future__ import annotations

import difflib
import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress

from kvproto.driver.removal import remove_tree
from kvproto.errors import JobError
from kvproto.storage import oob
from kvproto.storage.atomic import open_regular
from kvproto.storage.eventform import MAX_EVENT, read_event
from kvproto.storage.home import check_home, home
from kvproto.storage.job_directory import JobPaths, has_driver, tell_to_stop
from kvproto.storage.manifest import names_of

__all__ = [
    "ACTIVE",
    "DEAD",
    "READY",
    "UNKNOWN",
    "KeptJob",
    "all_jobs",
    "first_event",
    "resolve_job",
    "started",
]

ACTIVE, READY, DEAD, UNKNOWN = "active", "ready", "dead", "unknown job"

_SHOWN_JOBS = 10
_LOOK_EACH = 0.05  # seconds from one look at a running job to the next


class KeptJob:
    """The job with the full name `job`. `paths` has the paths of its directory, which may not be there."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.paths = JobPaths(job)

    def is_there(self) -> bool:
        return self._is_named() and os.path.isdir(self.paths.path)

    def _is_named(self) -> bool:
        """Whether this can be the name of a job, and leads out of the directory of jobs or to a hidden one in no case."""
        return bool(self.job) and "/" not in self.job and not self.job.startswith(".")

    def status(self) -> str:
        """One of ACTIVE: its driver runs; READY: its results are there; DEAD: it failed, was killed, or lost its driver; UNKNOWN."""
        return self.state()[0]

    def results(self) -> list[str]:
        """The paths of its result files, or its tag, when it is ready; else nothing."""
        return self.state()[1]

    def state(self) -> tuple[str, list[str]]:
        """Its status and its results, as they are at the same time."""
        if not self.is_there():
            return UNKNOWN, []
        if has_driver(self.paths.control):
            return ACTIVE, []
        last = self._last_event()
        if last.get("event") != "done":
            return (DEAD if self.is_there() else UNKNOWN), []
        # As they were then: the home may be elsewhere now.
        return READY, [
            url if "://" in url else os.path.join(self.paths.results, os.path.basename(url))
            for url in last["results"]
        ]

    def stage_results(self, stage: str) -> list[str]:
        """The output files of a stage, "map" or "reduce", that has ended.

        Of a map before a reduce they are result files where the job keeps them, else those in the spool while the job runs.
        Raises JobError when it has not ended, is none of the job's, or its output was not kept.
        """
        status = self._known()
        stages = [event["stage"] for _, event in self.events() if event["event"] == "stage"]
        if stage not in stages:
            raise JobError(
                f"job {self.job} has had no stage {stage!r}; it has had {', '.join(stages) or 'none yet'}"
            )
        if stage == stages[-1]:
            if status != READY:
                raise JobError(
                    f"stage {stage} of job {self.job} has no results: the job is {status}"
                )
            return self.results()
        kept = names_of(self.paths.map_results)
        if kept is not None:
            return [os.path.join(self.paths.map_results, name) for name in kept]
        try:
            names = sorted(name for name in os.listdir(self.paths.spool) if name.startswith(stage))
        except FileNotFoundError:
            raise JobError(
                f"the output of stage {stage} of job {self.job} was removed when the job ended: run it with keep_map=True"
            ) from None
        return [
            os.path.join(self.paths.spool, name)
            for name in names
            if not name.endswith((".part", ".spill"))
        ]

    def events(self, offset: int = 0) -> Iterator[tuple[int, dict]]:
        """Yield what has been told, from the byte `offset` of its events file on: (offset behind it, event)."""
        self._known()
        try:
            with open_regular(self.paths.events) as file:
                file.seek(offset)
                while line := file.readline(MAX_EVENT):
                    if not line.endswith(b"\n") and len(line) < MAX_EVENT:
                        return
                    yield offset + len(line), read_event(line)
                    offset += len(line)
        except FileNotFoundError:
            return
        except OSError as e:
            raise JobError(f"{self.paths.events} cannot be read: {e.strerror}") from e
        except ValueError as e:
            raise JobError(f"{self.paths.events} is damaged at byte {offset}: {e}") from e

    def follow(self, offset: int = 0) -> Iterator[tuple[int, dict]]:
        """Like `events`, and goes on with what is told later until the job is no longer active."""
        while True:
            is_last = (
                not self.is_active()
            )  # known before the events are read: none comes after these then
            for offset, event in self.events(offset):
                yield offset, event
            if is_last:
                return
            time.sleep(_LOOK_EACH)

    def is_active(self) -> bool:
        return self.status() == ACTIVE

    def ended_within(self, seconds: float = math.inf) -> bool:
        """Wait until the job is no longer active; False when the seconds are over."""
        deadline = time.monotonic() + seconds
        while self.is_active():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, _LOOK_EACH))
        return True

    def outcome(self) -> list[str]:
        """The results of a job that has ended. JobError that says why there are none."""
        self._known()
        status, results = self.state()
        if status == READY:
            return results
        last = self._last_event()
        if last.get("event") == "failed":
            raise JobError(
                f"job {self.job} failed: {last['text']}\nits logs are in {self.paths.path}"
            )
        raise JobError(
            f"job {self.job} is {status}: "
            + (
                "it has not ended"
                if status == ACTIVE
                else "its driver, the process that ran it, ended before the job did"
            )
            + f"\nits logs are in {self.paths.path}"
        )

    def info(self) -> dict:
        """What there is to tell in short: job, status, started (seconds since the epoch), directory, stages, results."""
        status = self._known()
        stages = [event["stage"] for _, event in self.events() if event["event"] == "stage"]
        about = {
            "job": self.job,
            "status": status,
            "started": started(self.job),
            "directory": self.paths.path,
        }
        return {**about, "stages": stages, "results": self.results()}

    def seconds(self) -> float | None:
        """How long it has run, up to now or to its end; None where it ended without having told that."""
        if self.status() == ACTIVE:
            return time.time() - started(self.job)
        last = self._last_event()
        return last["seconds"] if last.get("event") in ("done", "failed") else None

    def damage(self) -> str:
        """What is wrong with the file of its events, where its first or its last one shows that; else ""."""
        try:
            next(self.events(), None)
            line = self._last_line()
            if line.endswith(b"\n"):
                read_event(line)
        except OSError as e:
            return f"{self.paths.events}: {e.strerror}"
        except (JobError, ValueError) as e:
            return str(e)
        return ""

    def oob_get(self, key: str) -> bytes | str:
        self._known()
        return oob.get(self.paths.oob, key)

    def oob_list(self) -> list[str]:
        self._known()
        return oob.list_keys(self.paths.oob)

    def profiles(self, stage: str = "") -> list[str]:
        """The paths of its tasks' profiles, of one stage or of all. JobError when there are none."""
        self._known()
        names = sorted(os.listdir(self.paths.profile)) if os.path.isdir(self.paths.profile) else []
        found = [name for name in names if name.startswith(stage) and not name.endswith(".part")]
        if not found:
            of_stage = f" of stage {stage!r}" if stage else ""
            raise JobError(f"job {self.job} has no profiles{of_stage}: run it with profile=True")
        return [os.path.join(self.paths.profile, name) for name in found]

    def kill(self) -> None:
        """Stop the job, and return when nothing of it runs any more. JobError when it is not active."""
        status = self._known()
        if not tell_to_stop(self.paths.control):
            raise JobError(
                f"job {self.job} is not active, it is {status}: there is nothing to kill"
            )
        self.ended_within()

    def clean(self) -> None:
        """Remove its logs, required files and profiles; results, events and out-of-band values stay. JobError while it is active."""
        if self._known() == ACTIVE:
            raise JobError(f"job {self.job} is active: wait for it or kill it first")
        for path in (self.paths.logs, self.paths.files, self.paths.profile):
            try:
                remove_tree(path)
            except OSError as e:
                raise JobError(
                    f"removing {path}: {e.strerror}; remove what is left of it by hand: rm -r {path}"
                ) from e

    def purge(self) -> None:
        """Remove the job with all that it has, results included; one that is active is killed first."""
        if self._known() == ACTIVE:
            self.kill()
        jobs, name = os.path.split(self.paths.path)
        aside = os.path.join(jobs, f".{name}")
        try:
            os.rename(self.paths.path, aside)  # the job is gone at once, and whole
            remove_tree(aside)
        except OSError as e:
            left = e.filename or self.paths.path
            raise JobError(
                f"removing {left}: {e.strerror}; remove what is left of it by hand: rm -r {left}"
            ) from e

    def _known(self) -> str:
        status = self.status()
        if not self._is_named():
            raise JobError(f"{self.job!r} is no name of a job")
        if status == UNKNOWN:
            raise JobError(f"there is no job {self.job}: {self.paths.path} is not there")
        return status

    def _last_event(self) -> dict:
        """The last event; {} when there is none, or it was not written whole."""
        try:
            return read_event(self._last_line())
        except (OSError, ValueError):
            return {}

    def _last_line(self) -> bytes:
        n_bytes = 4096
        with open_regular(self.paths.events) as file:
            size = file.seek(0, os.SEEK_END)
            while True:
                file.seek(max(0, size - n_bytes))
                data = file.read(n_bytes)
                before, newline, line = data.rstrip(b"\n").rpartition(b"\n")
                if newline or n_bytes >= min(size, MAX_EVENT):
                    return data[len(before) + len(newline) :]
                n_bytes *= 4


def all_jobs() -> list[str]:
    """The names of all jobs that are there, sorted. JobError when others may write to the home."""
    check_home()
    try:
        return sorted(
            name for name in os.listdir(os.path.join(home(), "jobs")) if not name.startswith(".")
        )
    except FileNotFoundError:
        return []


def resolve_job(text: str) -> str:
    """The full name of the job that text means: its name, or a beginning that no other has, or "@" for the last job.

    Raises JobError when there is no such job, or several.
    """
    jobs = all_jobs()
    if not jobs:
        raise JobError(f"there are no jobs in {home()}; KVPROTO_HOME says where jobs are kept")
    if text == "@":
        return max(jobs, key=started)
    found = [job for job in jobs if text and job.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = "\n  ".join(sorted(found, key=started)[-_SHOWN_JOBS:])
        raise JobError(
            f"{len(found)} jobs begin with {text}: give more of the name. The last ones:\n  {shown}"
        )
    near = difflib.get_close_matches(
        text.partition("@")[0], {job.partition("@")[0] for job in jobs}, 1
    )
    hint = f"; did you mean {near[0]}?" if near else ""
    raise JobError(f"there is no job {text} in {home()}{hint}")


def first_event(paths: JobPaths) -> dict:
    """The first event of a job. OSError when it cannot be read, ValueError when it is damaged or not there yet."""
    with open_regular(paths.events) as file:
        return read_event(file.readline(MAX_EVENT))


def started(job: str) -> float:
    """When a job began, in seconds since the epoch: the time of its first event, else that in its name, else its directory's."""
    with suppress(OSError, ValueError):
        return first_event(JobPaths(job))["time"]
    try:
        return time.mktime(time.strptime(job.rpartition("@")[2][:15], "%Y%m%d-%H%M%S"))
    except (ValueError, OverflowError):
        with suppress(OSError):
            return os.stat(JobPaths(job).path).st_mtime
    return 0.0
