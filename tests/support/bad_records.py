"""What the tests of bad records share: a map that fails on some, and what a job sets aside."""

import pytest

from kvproto.classic import Job, result_iterator
from kvproto.errors import JobError
from kvproto.storage.bad_records import read_bad_records
from kvproto.storage.job_directory import JobPaths


def number(line, params):
    """Gives a pair before it fails, which must not count."""
    yield "line", line
    yield "number", int(line)


def bad_of(job):
    """What a job has set aside."""
    return list(read_bad_records(JobPaths(job.name)))


def run(*inputs, **jobargs):
    """The job, and its results."""
    job = Job("bad").run(input=[str(path) for path in inputs], **{"map": number, **jobargs})
    return job, list(result_iterator(job.wait(show=False)))


def failure(*inputs, **jobargs):
    """The job, and the error with which it fails."""
    job = Job("bad").run(input=[str(path) for path in inputs], **{"map": number, **jobargs})
    with pytest.raises(JobError) as caught:
        job.wait(show=False)
    return job, caught.value


def written(path, lines):
    """The path of a new file."""
    path.write_bytes(b"".join(lines))
    return path
