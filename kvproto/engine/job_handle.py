"""A job in the home, whichever process runs it: its state, results and events; stop and remove it.

Everything is read from the directory of the job each time.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from kvproto.driver.supervisor import remove_tree
from kvproto.engine.commands import how_to_replay, how_to_report, how_to_resume
from kvproto.engine.event_log import last_line, read_events
from kvproto.engine.events import Counted, Done, Failed, StageStarted, read_event
from kvproto.engine.starts import last_start, started
from kvproto.errors import JobError
from kvproto.storage import oob
from kvproto.storage.control import has_driver, locked, tell_to_stop, wait_for_end
from kvproto.storage.files import remove_files
from kvproto.storage.job_directory import JobPaths, tidy
from kvproto.storage.manifest import names_of
from kvproto.storage.store import is_object, store_of

__all__ = ["ACTIVE", "DEAD", "READY", "UNKNOWN", "JobHandle", "one_ended"]

ACTIVE, READY, DEAD, UNKNOWN = "active", "ready", "dead", "unknown job"

_ENDS = (Done.name, Failed.name)
_POLL_SECONDS = 0.05  # between checks of a running job


class JobHandle:
    """Refers to the job with the full name `job`; its directory, in `paths`, may be missing."""

    def __init__(self, job: str) -> None:
        self.job = job
        self.paths = JobPaths(job)

    def is_there(self) -> bool:
        """Whether there is such a job."""
        return self._is_named() and os.path.isdir(self.paths.path)

    def _is_named(self) -> bool:
        """Whether a job can have this name: it is not a path, and not hidden."""
        return bool(self.job) and "/" not in self.job and not self.job.startswith(".")

    def status(self) -> str:
        """Return ACTIVE (its driver runs), READY (it has results), DEAD (no results) or UNKNOWN."""
        return self.state()[0]

    def results(self) -> list[str]:
        """Return the paths of its result files, or its tag; an empty list unless it is ready."""
        return self.state()[1]

    def state(self) -> tuple[str, list[str]]:
        """Return its status and its results, which belong together."""
        if not self.is_there():
            return UNKNOWN, []
        if has_driver(self.paths.control):
            return ACTIVE, []
        last = self._last_event()
        if last.get("event") != Done.name:
            return (DEAD if self.is_there() else UNKNOWN), []
        # The event has the paths of that time; the home may have moved.
        return READY, [
            url if "://" in url else os.path.join(self.paths.results, os.path.basename(url))
            for url in last["results"]
        ]

    def stage_results(self, stage: str) -> list[str]:
        """Return the output files of a stage that has ended, "map" or "reduce".

        For a map before a reduce, they are result files if the job keeps them, otherwise the files
        of the spool while the job runs. JobError if there are none.
        """
        status = self._known()
        stages = self._stages()
        if stage not in stages:
            raise JobError(
                f"job {self.job} has no stage {stage!r}; "
                f"its stages are: {', '.join(stages) or 'none yet'}"
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
            names = sorted(store_of(self.paths.spool).names(self.paths.spool))
        except OSError:
            names = []
        names = [name for name in names if name.startswith(stage)]
        if not names:
            raise JobError(
                f"the output of stage {stage} of job {self.job} was removed when the job ended: "
                "run it with keep_map=True"
            )
        return [
            os.path.join(self.paths.spool, name)
            for name in names
            if not name.endswith((".part", ".spill"))
        ]

    def events(self, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (offset of its end, event) for each event of the file after `offset`, in bytes."""
        self._known()
        yield from read_events(self.paths.events, offset)

    def follow(self, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield as `events` does, and continue with new events until the job is not active."""
        is_last = False
        while not is_last:
            # Check first, then read: after the last check no event can follow. Nothing tells when
            # a file grows, so this is a poll.
            is_last = self.ended_within(_POLL_SECONDS)
            for after, event in self.events(offset):
                yield after, event
                offset = after

    def ended_within(self, seconds: float = math.inf) -> bool:
        """Wait until the job is not active; return False after this many seconds."""
        return one_ended([self], seconds)

    def outcome(self) -> list[str]:
        """Return the results of a job that has ended; JobError says why there are none."""
        self._known()
        status, results = self.state()
        if status == READY:
            return results
        last = self._last_event()
        reasons = [f"is {status}: its driver, the process that ran it, ended before the job did"]
        if last.get("event") == Failed.name:
            reasons = [f"failed: {text}" for text in (last["text"], last.get("brief")) if text]
        elif status == ACTIVE:
            reasons = ["is active: it has not ended"]
        hint = ""
        if status != ACTIVE:
            hint = how_to_report(self.paths) + how_to_resume(self.paths)
            hint += how_to_replay(self.paths, self.failed_task())
        texts = [
            f"job {self.job} {reason}\nits logs are in {self.paths.path}{hint}"
            for reason in reasons
        ]
        raise JobError(texts[0], brief=texts[-1])

    def failed_task(self) -> str:
        """Return the task that failed for good, such as "map:17"; "" if none did."""
        details = self._last_event().get("details")
        return str(details.get("task", "")) if isinstance(details, dict) else ""

    def info(self) -> dict[str, Any]:
        """Summarize the job.

        Returns
        -------
        dict
            job, status, started (seconds since the epoch), directory, stages, results, and
            resumable (whether another run can go on from its finished tasks).
        """
        status = self._known()
        return {
            "job": self.job,
            "status": status,
            "started": started(self.job),
            "directory": self.paths.path,
            "stages": self._stages(),
            "results": self.results(),
            "resumable": status == DEAD and self.paths.is_resumable(),
        }

    def seconds(self) -> float | None:
        """Return how long it has run until now, or its end; None if it has no last event."""
        if self.status() == ACTIVE:
            return self._seconds_until(time.time())
        last = self._last_event()
        return last["seconds"] if last.get("event") in _ENDS else None

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each file and directory that is directly in one of its directories.

        These are its directory in the home, and the one in its store, unless that has objects.
        """
        sizes: dict[str, int] = {}
        for directory in dict.fromkeys((self.paths.path, self.paths.shared)):
            for path, _, names in os.walk(directory):
                part = os.path.relpath(path, directory).partition(os.sep)[0]
                for name in names:
                    with suppress(OSError):  # a file of a job that runs may be gone
                        n_bytes = os.lstat(os.path.join(path, name)).st_size
                        key = name if part == os.curdir else part
                        sizes[key] = sizes.get(key, 0) + n_bytes
        return sizes

    def seconds_so_far(self) -> float:
        """Return how long it had run at its last event."""
        last = self._last_event()
        if last.get("event") in _ENDS:
            return float(last["seconds"])
        return self._seconds_until(last.get("time", 0.0))

    def _seconds_until(self, now: float) -> float:
        """How long it has run until `now`, without the time between its end and being resumed."""
        try:
            start = last_start(self.paths)
        except (OSError, ValueError):
            return max(0.0, now - started(self.job))
        return float(max(0.0, now - start["time"]) + start.get("seconds", 0.0))

    def damage(self) -> str:
        """Return what is wrong with its first or last event, or ""."""
        try:
            next(self.events(), None)
            line = last_line(self.paths.events)
            if line.endswith(b"\n"):
                read_event(line)
        except FileNotFoundError:
            if self.status() == ACTIVE:  # it is starting
                return ""
            return f"its driver ended before it began; kvproto purge {self.job} removes it"
        except OSError as e:
            return f"{self.paths.events}: {e.strerror}"
        except (JobError, ValueError) as e:
            return str(e)
        return ""

    def oob_get(self, key: str) -> bytes | str:
        """Return an out-of-band value; JobError if there is none."""
        self._known()
        return oob.get(self.paths.oob, key)

    def oob_list(self) -> list[str]:
        """Return the sorted keys of its out-of-band values."""
        self._known()
        return oob.list_keys(self.paths.oob)

    def counters(self) -> dict[str, int]:
        """Return what its tasks have counted: name -> sum. JobError if it has not ended yet."""
        self._known()
        if self.status() == ACTIVE or self._last_event().get("event") not in _ENDS:
            raise JobError(
                f"the counters of job {self.job} are not known: they are summed when it ends, "
                f"and it {'is active' if self.status() == ACTIVE else 'lost its driver before'}"
            )
        sums: dict[str, int] = {}
        for _, event in self.events():
            if event["event"] == Counted.name:
                sums = event["counters"]  # of a job that was resumed, the last ones count
        return sums

    def profiles(self, stage: str = "") -> list[str]:
        """Return the paths of its profiles, of one stage or all; JobError if there are none."""
        self._known()
        try:
            names = sorted(store_of(self.paths.profile).names(self.paths.profile))
        except FileNotFoundError:
            names = []
        except OSError as e:
            raise JobError(f"reading {self.paths.profile}: {e.strerror}") from e
        names = [name for name in names if name.startswith(stage) and not name.endswith(".part")]
        if not names:
            of_stage = f" of stage {stage!r}" if stage else ""
            raise JobError(f"job {self.job} has no profiles{of_stage}: run it with profile=True")
        return [os.path.join(self.paths.profile, name) for name in names]

    def kill(self) -> None:
        """Stop the job, and return when it has ended. JobError if it is not active."""
        status = self._known()
        if not tell_to_stop(self.paths.control):
            raise JobError(f"job {self.job} is {status}, not active: there is nothing to kill")
        self.ended_within()

    def clean(self) -> None:
        """Remove its logs, required files and profiles, and what it could be resumed with.

        JobError while it is active.
        """
        self._known()
        paths = self.paths
        with locked(paths.events):
            if self.status() == ACTIVE:
                raise JobError(f"job {self.job} is active: wait for it or kill it first")
            try:
                for path in (paths.journal, paths.failed):
                    with suppress(FileNotFoundError):
                        os.unlink(path)
                for path in (paths.logs, paths.files, paths.profile):
                    store_of(path).remove_tree(path)
                remove_files(paths.shared)
            except OSError as e:
                raise _not_removed(e.filename or paths.path, e) from e
            for path in tidy(paths, is_done=self.status() == READY):
                raise _not_removed(path, OSError(0, "not empty"))

    def purge(self) -> None:
        """Remove the job with its results; kill it first if it is active."""
        if self._known() == ACTIVE:
            self.kill()
        jobs, name = os.path.split(self.paths.path)
        aside = os.path.join(jobs, f".{name}")
        try:
            with locked(self.paths.events):
                if self.paths.has_store:
                    store_of(self.paths.shared).remove_tree(self.paths.shared)
                os.rename(self.paths.path, aside)  # the job is gone at once, and whole
            remove_tree(aside)
        except OSError as e:
            raise _not_removed(e.filename or self.paths.path, e) from e

    def _stages(self) -> list[str]:
        """The stages that have begun."""
        events = (event for _, event in self.events())
        stages = (event["stage"] for event in events if event["event"] == StageStarted.name)
        return list(dict.fromkeys(stages))  # each again in a job that was resumed

    def _known(self) -> str:
        """The status; JobError if there is no such job."""
        status = self.status()
        if not self._is_named():
            raise JobError(f"{self.job!r} is not the name of a job")
        if status == UNKNOWN:
            raise JobError(f"there is no job {self.job}: {self.paths.path} does not exist")
        return status

    def _last_event(self) -> dict[str, Any]:
        """The last event; {} if there is none, or if it is incomplete."""
        try:
            return read_event(last_line(self.paths.events))
        except (OSError, ValueError):
            return {}


def one_ended(jobs: Iterable[JobHandle], seconds: float) -> bool:
    """Wait until one of the jobs is not active; return False after this many seconds."""
    controls = [job.paths.control if job.is_there() else "" for job in jobs]
    return wait_for_end(controls, seconds)


def _not_removed(path: str, e: OSError) -> JobError:
    by_hand = "" if is_object(path) else f"; remove the rest by hand: rm -r {path}"
    return JobError(f"removing {path}: {e.strerror}{by_hand}")
