"""The event of each attempt of a task: how it ended, where it ran, and what it used."""

import os
import signal
import socket
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
from support.jobs import ECHO, program

import kvproto
from kvproto._record import Place, Record
from kvproto.classic import Job, Params, external
from kvproto.classic.func import nop_reduce
from kvproto.engine.description import details_of
from kvproto.engine.usage import Watch
from kvproto.errors import JobError, WorkerFailed


def attempts(job):
    return [event for _, event in job.events() if event["event"] == "task"]


def test_an_attempt_that_used_no_cpu_did_not_use_less():
    subprocess.run([sys.executable, "-c", "sum(range(10**6))"], check=True)
    for _ in range(40):
        until = time.process_time() + 0.01
        while time.process_time() < until:
            pass
        assert Watch().usage().user >= 0


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
    assert one["program_cpu"] >= 0.45  # the system counts these two in different ways


def loads(tmp_path, body, **jobargs):
    """The event of the only map of a job with a program, and its seconds in order."""
    job = Job("load").run(
        input=["raw://x"], map=external([program(tmp_path, body)]), processes=1, **jobargs
    )
    job.wait()
    [one] = [one for one in attempts(job) if one["stage"] == "map"]
    return one, [one[name] for name in ("computing", "waiting_for_input", "waiting_for_output")]


def test_a_program_that_computes_computes(tmp_path):
    body = "import os\ndata = b'x' * (64 << 20)\nwhile sum(os.times()[:2]) < 0.5: pass\n" + ECHO
    one, seconds = loads(tmp_path, body)
    assert max(seconds) == seconds[0] >= 0.5
    assert 64 << 20 < one["program_memory"] < 1 << 30
    assert sum(seconds) <= one["end"] - one["start"]


@pytest.mark.slow
def test_a_program_waits_for_a_reader_that_is_slow(tmp_path):
    def slow(file, size, url, params):
        while sum(os.times()[:2]) < 1.0:
            pass
        yield b"x"

    _, seconds = loads(tmp_path, ECHO, map_reader=slow)
    assert max(seconds) == seconds[1] > 0.3


@pytest.mark.slow
def test_a_program_waits_while_its_output_is_used(tmp_path):
    def slow(key, n, params):
        while sum(os.times()[:2]) < 1.0:
            pass
        return 0

    body = "for pair in pairs(): answer(*[(b'key', b'x' * 1000)] * 3000)\n"
    _, seconds = loads(
        tmp_path, body, partition=slow, partitions=2, reduce=lambda entries, params: []
    )
    assert max(seconds) == seconds[2] > 0.3


def event(job, kind):
    return next(event for _, event in job.events() if event["event"] == kind)


def test_the_first_event_describes_the_job_and_hides_passwords(tmp_path):
    path = program(tmp_path, ECHO)
    data = Path(path).read_bytes()
    job = Job("described").run(
        input=["raw://x"],
        map=external([path]),
        reduce=nop_reduce,
        sort=True,
        partitions=2,
        max_bad_records="1%",
        bad_inputs="skip",
        processes=1,
        params=Params(limit=7, db_password="hunter2", url="http://me:hunter2@host/", other=program),
    )
    job.wait()
    first = event(job, "job")
    assert first["parameters"] == {
        "processes": "1",
        "map": "program: op",
        "reduce": "kvproto.classic.func.nop_reduce",
        "partitions": "2",
        "sort": "True",
        "status_interval": "100000",
        "max_bad_records": "1%",
        "bad_inputs": "skip",
        "params.limit": "7",
        "params.db_password": "(hidden)",
        "params.url": "'http://me:***@host/'",
        "params.other": "support.jobs.program",
    }
    assert first["versions"]["kvproto"] == kvproto.__version__
    assert first["programs"] == {"map: op": f"{len(data)} bytes, sha256 {sha256(data).hexdigest()}"}


def test_the_event_of_a_failure_has_the_parts_of_the_error(tmp_path):
    body = r"""
for key, value in pairs():
    if value == b"bad\n":
        sys.stderr.write("it is bad\n")
        sys.exit(3)
    answer((key, value))
"""
    path = tmp_path / "text"
    path.write_text("good\nbad\ngood\n")
    job = Job("parts").run(input=[str(path)], map=external([program(tmp_path, body)]))
    with pytest.raises(JobError) as caught:
        job.wait()
    details = event(job, "failed")["details"]
    assert details["task"] == "map:0" and details["number"] == "1"
    assert details["program"] == f"{tmp_path}/op map" and details["what"] == caught.value.cause.what
    assert details["record"].splitlines() == [
        f"input: {path}, line 2, bytes 5 to 9",
        'value, 4 bytes: "bad\\n"',
    ]
    assert details["stderr"] == "it is bad"
    assert details["advice"] == caught.value.cause.advice


def test_the_parts_of_an_error_have_no_passwords_and_end():
    url = "http://me:hunter2@host/data"
    record = Record(3, b"", url.encode(), 3, Place(url, 3, line=4, start=0, end=9))
    error = WorkerFailed("exited", argv=["./op", url], stderr_tail=[url, "x" * (2 << 20)])
    error.replayed("again", record)
    details = details_of(JobError("failed", cause=error, task=("map", 1)))
    assert details["task"] == "map:1" and "hunter2" not in str(details)
    assert "http://me:***@host/data, line 4" in details["record"]
    assert len(details["stderr"]) < (1 << 20) + 100


def by_stage(job, stage):
    return sorted(
        (one for one in attempts(job) if one["stage"] == stage), key=lambda one: one["task"]
    )


def test_an_attempt_tells_what_it_wrote_for_each_partition():
    def spread(line, params):
        for number in range(10):
            yield number, "x" * 1000

    job = Job("written").run(
        input=["raw://a", "raw://b"],
        map=spread,
        partition=lambda key, n, params: key % n,
        partitions=3,
        reduce=lambda entries, params: [(key, len(value)) for key, value in entries],
    )
    job.wait()
    for one in by_stage(job, "map"):
        assert one["records_out"] == 10
        assert len(one["parts"]) == 3 and min(one["parts"]) > 1000
        assert one["bytes_out"] == sum(one["parts"])
    columns = zip(*[one["parts"] for one in by_stage(job, "map")], strict=True)
    reduces = by_stage(job, "reduce")
    assert [one["bytes"] for one in reduces] == [sum(column) for column in columns]
    assert [one["records_out"] for one in reduces] == [8, 6, 6]
    assert all(one["bytes_out"] > 0 and one["parts"] == [] for one in reduces)


def test_many_partitions_are_in_groups():
    job = Job("groups").run(
        input=["raw://a"],
        map=lambda line, params: [(number, 1) for number in range(1000)],
        partition=lambda key, n, params: key % n,
        partitions=130,
        reduce=lambda entries, params: list(entries),
    )
    job.wait()
    [one] = by_stage(job, "map")
    assert len(one["parts"]) == 44  # 43 groups of 3, and one
    assert sum(one["parts"]) == one["bytes_out"]
    reduces = [one["bytes"] for one in by_stage(job, "reduce")]
    assert one["parts"] == [sum(reduces[at : at + 3]) for at in range(0, 130, 3)]


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
    assert lost["host"] == socket.gethostname() and 0 != lost["pid"] != done["pid"]


def test_an_attempt_with_an_error_has_failed():
    def fail(line, params):
        raise ValueError("no")

    job = Job("failed").run(input=["raw://x"], map=fail)
    with pytest.raises(JobError):
        job.wait()
    assert [one["outcome"] for one in attempts(job)] == ["failed"]


def test_attempts_that_run_when_another_fails_are_cancelled(tmp_path):
    waits = tmp_path / "waits"
    os.mkfifo(waits)

    def fail(line, params):
        if line == "waits":
            waits.write_bytes(b"here")  # until the other one reads it
            signal.pause()
        waits.read_bytes()
        raise ValueError("no")
        yield

    job = Job("cancelled").run(input=["raw://waits", "raw://fails"], map=fail, processes=2)
    with pytest.raises(JobError):
        job.wait()
    failed, cancelled = attempts(job)
    assert (failed["task"], failed["outcome"]) == (1, "failed")
    assert (cancelled["task"], cancelled["outcome"]) == (0, "cancelled")
    assert cancelled["host"] == socket.gethostname() and cancelled["pid"] > 0
    assert cancelled["start"] <= failed["end"] <= cancelled["end"]
