"""`Disco`: the jobs of this user, in any process, by their names."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, TextIO, cast, overload

from kvproto.classic.ddfs import DDFS
from kvproto.classic.progress import Progress
from kvproto.classic.results import result_iterator
from kvproto.engine.context import read_profile
from kvproto.engine.job_handle import ACTIVE, UNKNOWN, JobHandle, one_ended
from kvproto.engine.registry import all_jobs
from kvproto.engine.starts import started
from kvproto.errors import JobError, WaitTimeout
from kvproto.storage.bad_records import BadRecord, read_bad_records
from kvproto.storage.store import is_object
from kvproto.storage.trust import check_trusted

if TYPE_CHECKING:
    import pstats
    from cProfile import Profile

    from kvproto.classic.job import Job

__all__ = ["Disco", "WaitTimeout", "result_iterator", "watch"]

_POLL_SECONDS = 0.1  # between checks for new events to show

_OF_CLUSTERS = {"blacklist", "config", "jobpack", "nodeinfo", "submit", "whitelist"}


class _Named(Protocol):
    name: str


JobSpec = str | _Named | tuple[Any, ...]
"""A job: its full name, a Job, or a tuple that begins with the name."""

State = tuple[str, list[str]]
"""The status and the results of a job."""


class Disco:
    """The jobs of this user.

    There is no master and no server: everything comes from the directories of the jobs. `jobname`
    is always the full name of a job, as `Job.name` and `joblist` return it. Each method raises
    JobError if there is no such job.

    Parameters
    ----------
    master, settings, proxy : object, optional
        Older programs pass them; they have no effect.
    """

    job_class: ClassVar[type[Job]]  # `kvproto.classic.job` sets it

    def __init__(self, master: object = None, settings: Any = None, proxy: object = None) -> None:
        self.master = master
        self.settings = settings
        self.proxy = proxy

    def __getattr__(self, name: str) -> NoReturn:
        if name in _OF_CLUSTERS:
            raise AttributeError(
                f"kvproto has no Disco.{name}: jobs run on this machine, without a master or nodes"
            )
        raise AttributeError(f"Disco has no attribute {name!r}")

    @property
    def ddfs(self) -> DDFS:
        """The tags of this user."""
        return DDFS(self.master)

    def new_job(self, name: str, **jobargs: Any) -> Job:
        """Start a job: ``Job(name).run(**jobargs)``."""
        return self.job_class(name=name, master=self).run(**jobargs)

    def joblist(self) -> list[tuple[str, str, float]]:
        """List the jobs, the newest last.

        Returns
        -------
        list of (str, str, float)
            The name, the status, and when the job was started, in seconds since the epoch.
        """
        jobs = [(name, JobHandle(name).status(), started(name)) for name in all_jobs()]
        return sorted(
            (job for job in jobs if job[1] != UNKNOWN),  # some may have been purged meanwhile
            key=lambda job: (job[2], job[0]),
        )

    def jobinfo(self, jobname: str) -> dict[str, Any]:
        """Summarize a job: job, status, started, directory, stages, results, resumable."""
        return JobHandle(jobname).info()

    @overload
    def results(  # type: ignore[overload-overlap]  # a str is an iterable of str
        self, jobspec: str | _Named, timeout: float = 2000
    ) -> State: ...

    @overload
    def results(
        self, jobspec: Iterable[JobSpec], timeout: float = 2000
    ) -> tuple[list[tuple[str, State]], list[tuple[str, State]]]: ...

    def results(self, jobspec: Any, timeout: float = 2000) -> Any:
        """Return the status and the results of a job, or of several.

        Parameters
        ----------
        jobspec : Job, str or list
            A job or its name; or a list of jobs, names, and tuples that begin with a name.
        timeout : float
            How many milliseconds to wait, while all of the jobs are active, until one ends.

        Returns
        -------
        (status, results)
            For one job: "active", "ready", "dead" or "unknown job", and a list of str that is empty
            unless the job is ready.
        (ended, active)
            For a list: two lists of (name, (status, results)).
        """
        is_one = isinstance(jobspec, str) or hasattr(jobspec, "name")
        jobs = [JobHandle(_name(job)) for job in ([jobspec] if is_one else jobspec)]
        if timeout > 0 and jobs:
            one_ended(jobs, timeout / 1000)
        states = [(job.job, job.state()) for job in jobs]
        if is_one:
            return states[0][1]
        active = [state for state in states if state[1][0] == ACTIVE]
        return [state for state in states if state not in active], active

    def stageresults(self, jobname: str, stage: str) -> list[str]:
        """Return the output files of a stage that has ended, "map" or "reduce".

        The output of a map before a reduce is there if the job was run with keep_map=True, until
        the job is purged. Without keep_map, `result_iterator` cannot read it.
        """
        return JobHandle(jobname).stage_results(stage)

    def mapresults(self, jobname: str) -> list[str]:
        """Return the output files of the maps, of a job with keep_map=True or without a reduce."""
        return JobHandle(jobname).stage_results("map")

    def events(
        self, jobname: str, offset: int = 0, follow: bool = False
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the events of a job.

        Parameters
        ----------
        offset : int
            Start after the event that came with this offset.
        follow : bool
            Whether to wait for more events until the job has ended.

        Yields
        ------
        (int, dict)
            An offset, and an event as `kvproto.engine.events` describes them.
        """
        job = JobHandle(jobname)
        return job.follow(offset) if follow else job.events(offset)

    def wait(
        self,
        jobname: str,
        poll_interval: float = 2,
        timeout: float | None = None,
        clean: bool = False,
        show: bool | str | None = None,
    ) -> list[str]:
        """Wait until a job of any process has ended. Ctrl-C ends the wait, not the job.

        Parameters
        ----------
        poll_interval : float
            Has no effect: the status is checked ten times a second.
        timeout : float, optional
            Seconds.
        clean : bool
            Whether to call `clean` at the end.
        show : bool or str, optional
            True shows the events on stderr, "nocolor" as plain lines, "raw" as JSON. False shows
            nothing. None uses the environment variable DISCO_EVENTS: one of these words, or empty.

        Returns
        -------
        list of str
            The paths of the results, or the job's tag, for `result_iterator`.

        Raises
        ------
        JobError
            If the job failed, was killed, or lost its driver; the message has the whole error.
        WaitTimeout
            After `timeout` seconds; the job continues.
        """
        job = JobHandle(jobname)
        job.info()
        return watch(job, job.ended_within, job.outcome, timeout, clean, show)

    def oob_get(self, jobname: str, key: str) -> bytes | str:
        """Return the out-of-band value that a task put under `key`."""
        return JobHandle(jobname).oob_get(key)

    def counters(self, jobname: str) -> dict[str, int]:
        """Return what the tasks of an ended job have counted: name -> sum.

        Only attempts that succeeded count. Of a job that failed, the tasks that had succeeded do.
        """
        return JobHandle(jobname).counters()

    def bad_records(self, jobname: str) -> Iterator[BadRecord]:
        """Yield what the job has set aside so far: bad records, and inputs that it left out.

        Yields
        ------
        kvproto.storage.bad_records.BadRecord
        """
        job = JobHandle(jobname)
        job.info()
        return read_bad_records(job.paths)

    def oob_list(self, jobname: str) -> list[str]:
        """Return the sorted keys of the job's out-of-band values."""
        return JobHandle(jobname).oob_list()

    def profile_stats(
        self, jobname: str, mode: str = "", stream: TextIO | None = None
    ) -> pstats.Stats:
        """Return the profile of all tasks of a job with ``profile=True``.

        Parameters
        ----------
        mode : str
            "map", "reduce", or "" for both.
        stream : text file, optional
            Where the ``print_...`` methods write; stdout unless given.
        """
        import pstats  # noqa: PLC0415 (it is slow to load)

        profiles = []
        for path in JobHandle(jobname).profiles(mode):
            if not is_object(path):
                check_trusted(None, path)
            profiles.append(read_profile(path))
        stats = pstats.Stats(*cast("list[Profile]", profiles), stream=stream)
        return stats.strip_dirs().sort_stats("cumulative")

    def kill(self, jobname: str) -> None:
        """Stop a job of any process, and return when all its processes have ended.

        JobError if the job is not active.
        """
        JobHandle(jobname).kill()

    def clean(self, jobname: str) -> None:
        """Remove the logs, required files and profiles of an ended job; keep its results."""
        JobHandle(jobname).clean()

    def purge(self, jobname: str) -> None:
        """Remove a job and all its files, results included; an active job is killed first."""
        JobHandle(jobname).purge()

    def result_iterator(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """See the function `result_iterator`."""
        return result_iterator(*args, **kwargs)


def watch(
    job: JobHandle,
    ended_within: Callable[[float], bool],
    outcome: Callable[[], list[str]],
    timeout: float | None,
    clean: bool,
    show: bool | str | None,
    offset: int = 0,
) -> list[str]:
    """Wait for the end of a job, show its events, and return its results, as `Disco.wait` does.

    Parameters
    ----------
    ended_within : callable
        Waits at most this many seconds for the end of the job; returns whether the job has ended.
    outcome : callable
        Returns the results, or raises the error of the job.
    offset : int
        Where the events to show begin in their file.
    """
    if show is None:
        show = os.environ.get("DISCO_EVENTS")
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    kind = {"raw": "jsonl", "nocolor": "plain"}.get(str(show), "auto") if show else "none"
    with closing(Progress(kind)) as progress:
        has_ended, left = False, math.inf
        while not has_ended and left > _POLL_SECONDS:
            left = deadline - time.monotonic()
            has_ended = ended_within(max(0, min(left, _POLL_SECONDS)))
            if show:
                for end, event in job.events(offset):
                    progress(event)
                    offset = end
    if not has_ended:
        after = f" after {timeout} seconds" if timeout else ""
        raise WaitTimeout(f"job {job.job} is not done{after}; it continues")
    try:
        return outcome()
    except JobError as e:
        if kind in ("auto", "plain"):
            e.args = (e.report(with_stderr=False),)  # its lines have been shown already
        raise
    finally:
        if clean:
            job.clean()


def _name(job: Any) -> str:
    return str(job if isinstance(job, str) else job.name if hasattr(job, "name") else job[0])
