"""JobChain: jobs that take the results of others as their inputs, each run when all that it needs is done.

count = Words()
top = Top()                          # its map_reader is chain_reader, which reads results of jobs
JobChain({count: ["text"], top: [count]}).wait()
"""

from __future__ import annotations

import graphlib
import math
import os
import time

from kvproto.classic.core import WaitTimeout
from kvproto.classic.job import Job
from kvproto.classic.threads import stopping
from kvproto.engine.kept import ACTIVE, READY, UNKNOWN
from kvproto.errors import JobError

__all__ = ["JobChain"]

_POLL = 0.05


class JobChain(dict):
    """Jobs and what each reads: {job: [input, ...]}, where an input is one as in `Job.run`, or a Job: its results.

    Jobs that do not need each other run at the same time. A job that is done already, or runs, is not run again. A job
    that is an input may be one that is no key, if it was started. Nothing is started before `run` or `wait`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._failed: dict[Job, Exception] = {}

    def run(self) -> JobChain:
        """Start the jobs that can be started now, and return at once; `wait` starts the others, each at its time.

        Raises JobError for jobs that need each other in a circle, and for one that nobody will run.
        """
        self._check()
        self._advance()
        return self

    def wait(self, poll_interval: float = 1, timeout: float | None = None) -> JobChain:
        """Run all jobs, and return the chain when they are done; `results()` has their results.

        poll_interval  seconds at most from the end of a job to the start of one that needs it
        timeout        seconds; WaitTimeout, a JobError, when they are over, and the jobs that run go on

        When a job fails, those that need it are not started, all others are run to their end, and then JobError tells
        the first failure whole and how each job stands; another `wait` does not try again. Ctrl-C, SIGTERM and SIGHUP stop the jobs that run.
        """
        self._check()
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        with stopping(lambda: [job._run for job in self if job._run is not None]):
            while self._advance():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WaitTimeout(
                        f"a chain of jobs is not done after {timeout} seconds; what runs goes on\n{self._told()}"
                    )
                time.sleep(min(poll_interval, _POLL, left))
        for error in self._failed.values():
            raise JobError(f"a chain of jobs failed: {error}\n{self._told()}") from error
        return self

    def results(self) -> dict[Job, list[str]]:
        """The results of each job that is done."""
        states = {job: job.results(timeout=0) for job in self}
        return {job: results for job, (status, results) in states.items() if status == READY}

    def purge(self) -> None:
        """Purge the jobs that were started."""
        for job in self:
            if self._status(job) != UNKNOWN:
                job.purge()

    def _check(self) -> None:
        graph = {job: _jobs_in(inputs) for job, inputs in self.items()}
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as e:
            circle = " -> ".join(job.name for job in reversed(e.args[1]))
            raise JobError(f"jobs of a chain need each other in a circle: {circle}") from None
        for job, needed in graph.items():
            for other in needed:
                if other not in self and self._status(other) == UNKNOWN:
                    raise JobError(
                        f"job {job.name} needs job {other.name}, which is neither in the chain nor was started"
                    )

    def _advance(self) -> bool:
        """Start each job whose inputs are there, note those that failed; whether there is anything to wait for."""
        jobs = dict.fromkeys(
            one for job, inputs in self.items() for one in (job, *_jobs_in(inputs))
        )
        states = {
            job: self._status(job) for job in jobs
        }  # asked once: what ends now is seen the next time
        is_going_on = ACTIVE in states.values()
        for job in jobs:
            if states[job] not in (ACTIVE, READY, UNKNOWN) and job not in self._failed:
                self._failed[job] = _error_of(job)
        for job, inputs in self.items():
            is_waiting = states[job] == UNKNOWN and job not in self._failed
            if is_waiting and all(states[needed] == READY for needed in _jobs_in(inputs)):
                try:
                    job.run(input=_resolved(inputs))
                    is_going_on = True
                except Exception as e:  # whatever the job's own parameters and inputs raise
                    self._failed[job] = e
        return is_going_on

    def _status(self, job: Job) -> str:
        return job.results(timeout=0)[0]

    def _told(self) -> str:
        """How each job stands, a line each."""
        states = {job: self._status(job) for job in self}
        words = {
            job: "not started" if status == UNKNOWN else status for job, status in states.items()
        }
        return "\n".join(
            f"  {'failed' if job in self._failed else word}: {job.name}"
            for job, word in words.items()
        )


def _listed(inputs) -> list:
    return [inputs] if isinstance(inputs, (str, os.PathLike, Job)) else list(inputs)


def _jobs_in(inputs) -> list[Job]:
    return [one for one in _listed(inputs) if isinstance(one, Job)]


def _resolved(inputs) -> list:
    """The inputs with the results of jobs in the place of the jobs."""
    resolved = []
    for one in _listed(inputs):
        resolved += one.wait() if isinstance(one, Job) else [one]
    return resolved


def _error_of(job: Job) -> Exception:
    try:
        job.wait()
    except Exception as e:  # a job's own on_event may have raised anything
        return e
    return JobError(f"job {job.name} failed")
