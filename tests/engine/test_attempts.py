"""The event of each attempt of a task: how it ended, where it ran, and what it used."""

import os
import signal
import socket

import pytest
from support.jobs import ECHO, program

from kvproto.classic import Job, external
from kvproto.errors import JobError


def attempts(job):
    return [event for _, event in job.events() if event["event"] == "task"]


def test_an_attempt_tells_where_it_ran_what_it_read_and_what_it_used(tmp_path):
    path = tmp_path / "text"
    path.write_text("a\n" * 1000)

    def use(line, params):
        if not params:
            params.append(bytearray(b"x" * (64 << 20)))
            while sum(os.times()[:2]) < 0.5:
                pass
        yield os.getpid(), 1

    job = Job("used").run(input=[str(path)], map=use, params=[], processes=1)
    job.wait()
    [one] = attempts(job)
    assert (one["stage"], one["task"], one["attempt"], one["outcome"]) == ("map", 0, 0, "done")
    assert (one["host"], one["bytes"], one["records"]) == (socket.gethostname(), 2000, 1000)
    assert one["pid"] > 0 and one["pid"] != os.getpid()
    assert 64 << 20 < one["memory"] < 1 << 30
    assert 0.1 < one["user"] + one["system"] < 60
    assert one["start"] < one["end"] <= one["time"]


def test_the_memory_of_an_earlier_task_of_the_process_does_not_count():
    def use(line, params):
        if line == "large":
            bytearray(b"x" * (128 << 20))
        yield os.getpid(), 1

    job = Job("peak").run(
        input=["raw://large", "raw://small"],
        map=use,
        map_init=lambda entries, params: None,
        processes=1,
    )
    job.wait()
    large, small = attempts(job)
    assert large["pid"] == small["pid"]
    assert large["memory"] > 128 << 20 > small["memory"] > 1 << 20


def test_the_processor_time_of_a_program_counts(tmp_path):
    body = "import os\nwhile sum(os.times()[:2]) < 0.5: pass\n" + ECHO
    job = Job("program").run(input=["raw://x"], map=external([program(tmp_path, body)]))
    job.wait()
    [one] = attempts(job)
    assert one["user"] + one["system"] >= 0.5


def test_an_attempt_whose_process_dies_is_lost_and_the_next_one_is_done(tmp_path):
    mark = tmp_path / "mark"

    def kill(line, params):
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield line, 1

    job = Job("lost").run(input=["raw://x"], map=kill)
    job.wait()
    assert [(one["attempt"], one["outcome"]) for one in attempts(job)] == [(0, "lost"), (1, "done")]
    lost, done = attempts(job)
    assert lost["start"] <= lost["end"] <= done["end"]
    assert lost["pid"] == 0


def test_an_attempt_with_an_error_has_failed():
    def fail(line, params):
        raise ValueError("no")

    job = Job("failed").run(input=["raw://x"], map=fail)
    with pytest.raises(JobError):
        job.wait()
    assert [one["outcome"] for one in attempts(job)] == ["failed"]
