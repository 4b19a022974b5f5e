"""Open a job that has failed, to run one of its tasks again in this process."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace

from kvproto.classic.resuming import each_change, load_job
from kvproto.driver.files import read_later
from kvproto.engine.job_handle import ACTIVE, READY, JobHandle
from kvproto.engine.journal import load
from kvproto.engine.replay import Task, find_task
from kvproto.errors import JobError

__all__ = ["open_task"]

_TASK = re.compile(r"(map|merge|reduce):([0-9]{1,18})")


def open_task(job: str, name: str | None, on_change: Callable[[str], object]) -> Task:
    """Find a task, and change to the directory in which it ran.

    Parameters
    ----------
    job : str
        The full name of the job.
    name : str or None
        The task, such as "map:17". None: the one that failed the job.
    on_change : callable
        Called with a sentence for each module of the job and input of the task that has changed.

    Raises
    ------
    JobError
        There is no such task, or the job does not keep what it needs.
    """
    handle = JobHandle(job)
    _check(handle)
    name = name or handle.failed_task()
    if not name:
        raise JobError(f"no task of job {job} failed: name the task to run, such as map:0")
    match = _TASK.fullmatch(name)
    if match is None:
        raise JobError(f"{name!r} is not the name of a task, which is map:NUMBER or reduce:NUMBER")
    paths = handle.paths
    saved, journal = load(paths, to_resume=False)
    has_files = os.path.isdir(paths.files) and os.listdir(paths.files)
    directory = paths.files if has_files else saved.directory
    if os.path.isdir(directory):
        os.chdir(directory)
    if has_files:
        sys.path.insert(0, paths.files)
    read_later()
    planned = load_job(saved)[0]
    planned = planned._replace(spec=replace(planned.spec, profile=False))
    task = find_task(planned, paths, journal, match[1], int(match[2]))
    urls = {split.url for split in getattr(task.call, "splits", ())}
    inputs = [one for one in planned.inputs if one.url in urls]  # of all, this may take long
    for text in each_change(saved, planned._replace(inputs=inputs)):
        on_change(text)
    return task


def _check(handle: JobHandle) -> None:
    """Raise JobError unless the job keeps what its tasks need."""
    status = handle.status()
    if status == ACTIVE:
        raise JobError(f"job {handle.job} is active: only the tasks of a job that failed run again")
    if status == READY:
        raise JobError(f"job {handle.job} is done: only the tasks of a job that failed run again")
    if not handle.paths.is_replayable():
        raise JobError(
            f"job {handle.job} keeps nothing to run its tasks again: none failed or finished, or "
            "the job was cleaned"
        )
