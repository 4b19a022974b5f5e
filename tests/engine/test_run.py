"""A job through the engine: what its directory holds when an attempt is killed, the disk is full,
or a listener raises.
"""

import os
import signal
from contextlib import closing

import pytest
from support.jobs import KEPT, words

from kvproto.classic import Job, result_iterator
from kvproto.classic.func import sum_reduce
from kvproto.engine.job import run_job
from kvproto.engine.spec import JobSpec
from kvproto.errors import JobError
from kvproto.inputs.schemes import Input
from kvproto.storage.job_directory import JobDirectory


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


def raising_at(name):
    def on_event(event):
        if event["event"] == name:
            raise LookupError("the listener's own")

    return on_event


def fail(line, params):
    raise ValueError("the true cause")


def test_a_listener_that_raises_as_the_job_fails_does_not_hide_why_it_failed():
    job = Job("bad").run(input=["raw://x"], map=fail, on_event=raising_at("failed"))
    with pytest.raises(
        JobError,
        match="the event of this failure could not be delivered: LookupError: the listener's own",
    ) as caught:
        job.wait()
    assert "ValueError: the true cause" in str(caught.value) and isinstance(
        caught.value.__cause__, ValueError
    )


def test_a_listener_that_raises_on_the_way_stops_the_job():
    job = Job("bad").run(input=["raw://x"], map=words, on_event=raising_at("stage"))
    with pytest.raises(LookupError, match="the listener's own"):
        job.wait()
    assert sorted(os.listdir(job.directory)) == KEPT


def test_a_listener_that_raises_at_the_end_is_an_error_that_says_that_the_results_are_there():
    job = Job("good").run(
        input=["raw://a"], map=words, reduce=sum_reduce, on_event=raising_at("done")
    )
    with pytest.raises(
        JobError, match=f"is done and its results are in {job.directory}/results, but .*own$"
    ) as caught:
        job.wait()
    assert isinstance(caught.value.__cause__, LookupError)
    results = os.path.join(job.directory, "results")
    assert list(result_iterator([os.path.join(results, name) for name in os.listdir(results)])) == [
        ("a", 1)
    ]
    assert sorted(os.listdir(job.directory)) == [*KEPT, "results", "results.jsonl"]


def test_events_that_cannot_be_written_leave_nothing_in_use_behind():
    directory = JobDirectory("untold")
    os.mkdir(directory.events)
    with pytest.raises(JobError, match=f"writing {directory.events}: Is a directory"):
        run_job(None, [], directory, None, 1)
    directory.close()
    assert sorted(os.listdir(directory.path)) == KEPT


class Unwilling:
    """An engine that runs no task."""

    address = ""

    def run_stage(self, stage, fn):
        raise JobError(f"{len(stage.calls)} tasks")


def test_a_job_with_more_than_ten_thousand_tasks_says_that_they_are_larger_instead():
    spec, events = JobSpec("large", words, unpack=False), []
    inputs = [Input(f"file-{number}", 1 << 40, True) for number in range(10)]
    with closing(JobDirectory("large")) as directory, pytest.raises(JobError, match="10000 tasks"):
        run_job(spec, inputs, directory, Unwilling(), 1000, events.append)
    assert [event["text"] for event in events if event["event"] == "note"] == [
        "each map task reads about 1,048 MiB of the 10.0 TiB of input, so that there are not many "
        "more than 10,000 tasks"
    ]
