"""A job through the engine: what its directory holds when an attempt is killed, the disk is full, or a listener raises."""

import os
import signal

import pytest
from jobs import words

from kvproto.classic import Job, result_iterator
from kvproto.classic.func import sum_reduce


def test_what_a_killed_attempt_was_writing_is_not_among_the_results(tmp_path):
    mark = tmp_path / "mark"

    def reduce(iter, params):
        yield "first", 1
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield "second", 2

    job = Job("killed").run(input=["raw://x"], map=words, reduce=reduce)
    [path] = job.wait()
    assert mark.exists()
    assert os.listdir(os.path.join(job.directory, "results")) == [os.path.basename(path)]
    assert list(result_iterator([path])) == [("first", 1), ("second", 2)]
