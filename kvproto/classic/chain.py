"""JobChain: jobs that read the results of other jobs, and start when those are done.

count = Words()
top = Top()                          # its map_reader is chain_reader, which reads results
JobChain({count: ["text"], top: [count]}).wait()
"""

from __future__ import annotations

import graphlib
import math
import os
import time
from copy import copy
from typing import Any

from kvproto.classic.core import WaitTimeout
from kvproto.classic.job import Job
from kvproto.classic.threads import stopping
from kvproto.engine.job_handle import ACTIVE, READY, UNKNOWN, JobHandle, one_ended
from kvproto.errors import JobError

__all__ = ["JobChain"]


class JobChain(dict[Job, Any]):
    """Jobs and their inputs: {job: [input, ...]}, where an input is one of `Job.run`, or a Job.

    A Job as an input stands for its results. Jobs that do not need each other run at the same
    time. A job that runs or is done is not run again. An input may be a Job that is not a key, if
    it was started. Nothing starts before `run` or `wait`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._failed: dict[Job, Exception] = {}

    def run(self) -> JobChain:
        """Start the jobs that need no other job, and return at once; `wait` starts the others.

        JobError if jobs depend on each other in a circle, or need a job that nothing starts.
        """
        self._check()
        self._advance()
        return self

    def wait(self, poll_interval: float = 1, timeout: float | None = None) -> JobChain:
        """Run all jobs, and return the chain when they are done.

        Jobs that need a failed job do not start; all others run to their end. Failed jobs are not
        tried again, not even by another `wait`. Ctrl-C, SIGTERM and SIGHUP stop the running jobs.

        Parameters
        ----------
        poll_interval : float
            Has no effect: a job starts when the jobs that it needs have ended.
        timeout : float, optional
            Seconds.

        Raises
        ------
        JobError
            If a job failed; the message has the first error and the status of each job.
        WaitTimeout
            After `timeout` seconds; the running jobs continue.
        """
        self._check()
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        with stopping(lambda: [job._run for job in self if job._run is not None]):
            while jobs := self._advance():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise WaitTimeout(
                        f"a chain of jobs is not done after {timeout} seconds; "
                        "the running jobs continue\n"
                        f"{self._summary()}"
                    )
                one_ended([JobHandle(job.name) for job in jobs], left)
        for error in self._failed.values():
            cause = copy(error)
            if isinstance(cause, JobError):  # the chain's error has the worker's stderr
                cause.args = (cause.report(with_stderr=False),)
            raise JobError(f"a chain of jobs failed: {error}\n{self._summary()}") from cause
        return self

    def results(self) -> dict[Job, list[str]]:
        """Return the results of each job that is done."""
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
            raise JobError(f"jobs of a chain depend on each other in a circle: {circle}") from None
        for job, needed in graph.items():
            for other in needed:
                if other not in self and self._status(other) == UNKNOWN:
                    raise JobError(
                        f"job {job.name} needs job {other.name}, "
                        "which is neither in the chain nor was started"
                    )

    def _advance(self) -> list[Job]:
        """Start the jobs whose inputs are done; return the jobs that run."""
        jobs = dict.fromkeys(
            one for job, inputs in self.items() for one in (job, *_jobs_in(inputs))
        )
        states = {job: self._status(job) for job in jobs}
        running = [job for job, status in states.items() if status == ACTIVE]
        for job in jobs:
            if states[job] not in (ACTIVE, READY, UNKNOWN) and job not in self._failed:
                self._failed[job] = _error_of(job)
        for job, inputs in self.items():
            is_waiting = states[job] == UNKNOWN and job not in self._failed
            if is_waiting and all(states[needed] == READY for needed in _jobs_in(inputs)):
                try:
                    job.run(input=_resolved(inputs))
                    running.append(job)
                except Exception as e:  # anything that the job's parameters and inputs raise
                    self._failed[job] = e
        return running

    def _status(self, job: Job) -> str:
        return job.results(timeout=0)[0]

    def _summary(self) -> str:
        """The status of each job, one job on a line."""
        states = {job: self._status(job) for job in self}
        words = {
            job: "not started" if status == UNKNOWN else status for job, status in states.items()
        }
        return "\n".join(
            f"  {'failed' if job in self._failed else word}: {job.name}"
            for job, word in words.items()
        )


def _as_list(inputs: Any) -> list[Any]:
    return [inputs] if isinstance(inputs, (str, os.PathLike, Job)) else list(inputs)


def _jobs_in(inputs: Any) -> list[Job]:
    return [one for one in _as_list(inputs) if isinstance(one, Job)]


def _resolved(inputs: Any) -> list[Any]:
    """The inputs, with the results of jobs in place of the jobs."""
    resolved: list[Any] = []
    for one in _as_list(inputs):
        resolved += one.wait() if isinstance(one, Job) else [one]
    return resolved


def _error_of(job: Job) -> Exception:
    try:
        job.wait()
    except Exception as e:  # a job's own on_event may have raised anything
        return e
    return JobError(f"job {job.name} failed")
