"""Jobs that have failed and can be resumed: which of their maps ran, and how they are repaired."""

import os
from pathlib import Path

import pytest

from kvproto.classic import Job
from kvproto.engine.job_handle import JobHandle
from kvproto.errors import JobError

TEXT = ["a b a", "b c", "a"]
COUNTED = [("a", 3), ("b", 2), ("c", 1)]


def map(line, params):
    with open(params, "ab", buffering=0) as file:
        file.write(b"map\n")
    return [(word, 1) for word in line.split()]


def reduce(iter, params):
    if not os.path.exists(f"{params}.repaired"):
        raise RuntimeError("it fails")
    sums = {}
    for key, value in iter:
        sums[key] = sums.get(key, 0) + value
    return sorted(sums.items())


def repair(ran):
    Path(f"{ran}.repaired").touch()


def failed(job=None, /, **options):
    """Run a job that fails, and return it."""
    job = (job or Job("again")).run(**options)
    with pytest.raises(JobError, match=r"(?m)kvproto run --resume \S+( --store \S+)?$"):
        job.wait()
    return job


def failing(ran, **options):
    """A job that has failed in its reduce; each of its inputs is a task."""
    inputs = [f"raw://{line}" for line in TEXT]
    defaults = {"input": inputs, "map": map, "reduce": reduce, "params": ran}
    return failed(**{**defaults, **options})


def n_maps(ran):
    return len(Path(ran).read_text().splitlines())


def refused(job, pattern):
    with pytest.raises(JobError, match=pattern):
        job.resume()
    assert JobHandle(job.name).status() != "active"
