"""Jobs by their names: what needs no more than the directories that jobs leave.

There is no master: `Disco` answers from the directories of this user's jobs (`kvproto.storage.home`), whichever
process runs them or ran them.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, ClassVar, TextIO

from kvproto.classic.ddfs import DDFS
from kvproto.classic.progress import Progress
from kvproto.classic.reading import result_iterator
from kvproto.engine.kept import ACTIVE, UNKNOWN, KeptJob, all_jobs, started
from kvproto.errors import WaitTimeout
from kvproto.storage.trust import check_trusted

if TYPE_CHECKING:
    from kvproto.classic.job import Job

__all__ = ["Disco", "WaitTimeout", "result_iterator", "watch"]

_TURN = 0.1  # seconds: how long a wait lasts before events are shown
_POLL = 0.05


_OF_CLUSTERS = {"blacklist", "config", "jobpack", "nodeinfo", "submit", "whitelist"}


class Disco:
    """The jobs of this user. `master`, `settings` and `proxy` are taken for the sake of older programs, and mean nothing.

    jobname is the full name of a job, as `Job.name` and `joblist()` give it. JobError where there is no such job.
    """

    job_class: ClassVar[type[Job]]  # `kvproto.classic.job` sets it

    def __init__(self, master=None, settings=None, proxy=None) -> None:
        self.master = master
        self.settings = settings
        self.proxy = proxy

    def __getattr__(self, name: str):
        if name in _OF_CLUSTERS:
            raise AttributeError(
                f"Disco.{name} is not carried over: jobs run on this machine, without a master or nodes"
            )
        raise AttributeError(f"Disco has no attribute {name!r}")

    @property
    def ddfs(self):
        """The tags of this user: `kvproto.classic.ddfs.DDFS`."""
        return DDFS(self.master)

    def new_job(self, name: str, **jobargs):
        """Start a job: `Job(name).run(**jobargs)`."""
        return self.job_class(name=name, master=self).run(**jobargs)

    def joblist(self) -> list[tuple[str, str, float]]:
        """(name, status, when it was started in seconds since the epoch) of each job, the newest last."""
        jobs = [(name, KeptJob(name).status(), started(name)) for name in all_jobs()]
        return sorted(
            (job for job in jobs if job[1] != UNKNOWN), key=lambda job: (job[2], job[0])
        )  # not what was purged meanwhile

    def jobinfo(self, jobname: str) -> dict:
        """What there is to tell of a job in short: job, status, started, directory, stages, results."""
        return KeptJob(jobname).info()

    def results(self, jobspec, timeout: float = 2000):
        """The status and results of a job, or of each of several.

        jobspec  a Job or a name, for (status, results), where status is "active", "ready", "dead" or "unknown job" and results
                 is a list, empty unless ready; or a list of jobs, names, or tuples that begin with a name, for two lists of
                 (name, (status, results)): those that are not active, and those that are
        timeout  milliseconds to wait for the end of one of them, while all are active
        """
        is_one = isinstance(jobspec, str) or hasattr(jobspec, "name")
        jobs = [KeptJob(_name(job)) for job in ([jobspec] if is_one else jobspec)]
        deadline = time.monotonic() + timeout / 1000
        while True:
            states = [(job.job, job.state()) for job in jobs]
            left = deadline - time.monotonic()
            if left <= 0 or not jobs or any(status != ACTIVE for _, (status, _) in states):
                break
            time.sleep(min(_POLL, left))
        if is_one:
            return states[0][1]
        active = [state for state in states if state[1][0] == ACTIVE]
        return [state for state in states if state not in active], active

    def stageresults(self, jobname: str, stage: str) -> list[str]:
        """The output files of a stage, "map" or "reduce", that has ended.

        Of a map before a reduce they are there for `result_iterator` when the job was run with keep_map=True, until it is
        purged; otherwise the job has files in its own format while it runs.
        """
        return KeptJob(jobname).stage_results(stage)

    def mapresults(self, jobname: str) -> list[str]:
        """What the maps gave, for `result_iterator`: of a job that was run with keep_map=True, or has no reduce."""
        return KeptJob(jobname).stage_results("map")

    def events(
        self, jobname: str, offset: int = 0, follow: bool = False
    ) -> Iterator[tuple[int, dict]]:
        """Yield (offset, event) for what the job has told, a dict each (`kvproto.engine.events`).

        offset  skips what was told before: the one that came with the last event known
        follow  whether to go on with what is told later, until the job has ended
        """
        job = KeptJob(jobname)
        return job.follow(offset) if follow else job.events(offset)

    def wait(
        self,
        jobname: str,
        poll_interval: float = 2,
        timeout: float | None = None,
        clean: bool = False,
        show: bool | str | None = None,
    ) -> list[str]:
        """Wait until a job, of any process, has ended; returns the paths of its results, or its tag, for `result_iterator`.

        poll_interval  means nothing: a job is looked at ten times a second
        timeout        seconds; WaitTimeout, a JobError, when they are over, and the job goes on
        clean          whether to call `clean` in the end
        show           True shows the job's events on stderr, "nocolor" as plain lines, "raw" as JSON; False does not; None does what
                       the variable DISCO_EVENTS says, which has one of these words or is empty
        Raises JobError with the error whole when the job failed, or was killed, or its driver is gone. Ctrl-C ends the wait alone.
        """
        job = KeptJob(jobname)
        job.info()
        if not watch(job, job.ended_within, timeout, show):
            raise timed_out(jobname, timeout)
        try:
            return job.outcome()
        finally:
            if clean:
                job.clean()

    def oob_get(self, jobname: str, key: str) -> bytes | str:
        """The out-of-band value that a task of the job put under key, bytes or str as it was."""
        return KeptJob(jobname).oob_get(key)

    def oob_list(self, jobname: str) -> list[str]:
        """The keys of the job's out-of-band values, sorted."""
        return KeptJob(jobname).oob_list()

    def profile_stats(self, jobname: str, mode: str = "", stream: TextIO | None = None):
        """What the tasks of a job with `profile` true spent their time on: a pstats.Stats of all of them.

        mode    "map", "reduce", or "": both
        stream  where its print_... methods write; stdout unless given
        """
        import pstats

        from kvproto.engine.context import check_profile

        paths = KeptJob(jobname).profiles(mode)
        for path in paths:
            check_trusted(None, path)
            check_profile(path)
        stats = pstats.Stats(*paths, stream=stream)
        return stats.strip_dirs().sort_stats("cumulative")

    def kill(self, jobname: str) -> None:
        """Stop a job of any process; returns when nothing of it runs any more. JobError when it is not active."""
        KeptJob(jobname).kill()

    def clean(self, jobname: str) -> None:
        """Remove the logs, required files and profiles of a job that has ended; its results stay."""
        KeptJob(jobname).clean()

    def purge(self, jobname: str) -> None:
        """Remove a job with all that it has, its results too; one that is active is killed first."""
        KeptJob(jobname).purge()

    def result_iterator(self, *args, **kwargs) -> Iterator:
        """See the function `result_iterator`."""
        return result_iterator(*args, **kwargs)


def watch(
    job: KeptJob,
    ended_within: Callable[[float], bool],
    timeout: float | None,
    show: bool | str | None,
) -> bool:
    """Wait for the end of a job, showing its events as `Disco.wait` says; False when timeout seconds are over.

    ended_within  waits for the end, or for so many seconds; returns whether it came
    """
    if show is None:
        show = os.environ.get("DISCO_EVENTS")
    deadline = math.inf if timeout is None else time.monotonic() + timeout
    offset = 0
    with closing(
        Progress({"raw": "jsonl", "nocolor": "plain"}.get(show, "auto") if show else "none")
    ) as progress:
        while True:
            left = deadline - time.monotonic()
            has_ended = ended_within(max(0, min(left, _TURN)))
            if show:
                for offset, event in job.events(offset):
                    progress(event)
            if has_ended or left <= _TURN:
                return has_ended


def timed_out(jobname: str, timeout: float | None) -> WaitTimeout:
    after = f" after {timeout} seconds" if timeout else ""
    return WaitTimeout(f"job {jobname} is not done{after}; it goes on")


def _name(job) -> str:
    return job if isinstance(job, str) else job.name if hasattr(job, "name") else job[0]
