"""How a job of Python functions runs: beside others, with progress, through the death of its
processes, to its end by Ctrl-C.
"""

import os
import select
import signal
import subprocess
import sys

import pytest
from support.jobs import KEPT, LIBRARY, events, results, words

from kvproto.classic import Job, result_iterator
from kvproto.classic.func import nop_reduce, sum_reduce
from kvproto.errors import JobError

pytestmark = pytest.mark.slow

TEXT = sorted(map(str, LIBRARY.glob("*.py")))[:60]


def test_two_jobs_at_once_each_give_their_own(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def meet(line, params):  # neither end opens before the other job runs too
        with open(fifo, params):
            return [(word, params) for word in line.split()]

    first = Job("meet").run(input=["raw://a b"], map=meet, reduce=nop_reduce, params="r")
    second = Job("meet").run(input=["raw://c"], map=meet, reduce=nop_reduce, params="w")
    assert sorted(result_iterator(second.wait())) == [("c", "w")]
    assert sorted(result_iterator(first.wait())) == [("a", "r"), ("b", "r")]
    assert first.directory != second.directory


def test_wait_with_a_timeout_says_so_and_the_job_goes_on(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    job = Job("slow").run(input=["raw://x"], map=lambda line, params: [(fifo.read_text(), 1)])
    with pytest.raises(TimeoutError, match="it continues"):
        job.wait(timeout=0)
    fifo.write_text("go")
    assert list(result_iterator(job.wait())) == [("go", 1)]


def test_a_done_job_leaves_its_results_events_and_logs_and_nothing_else():
    job = Job("tidy").run(input=["raw://a b a"], map=words, reduce=sum_reduce)
    files = job.wait()
    assert sorted(os.listdir(job.directory)) == [*KEPT, "results", "results.jsonl"]
    assert [os.path.basename(path) for path in files] == os.listdir(
        os.path.join(job.directory, "results")
    )
    told = events(job)
    assert [event["event"] for event in told] == ["job", "stage", "stage", "done"]
    assert told[0]["job"] == job.job and told[-1]["results"] == files


def test_progress_counts_bytes_and_records_of_each_stage(tmp_path):
    path = tmp_path / "text"
    path.write_text("a b\nc\n" * 10)
    told = []
    Job("progress").run(
        input=[str(path)], map=words, reduce=sum_reduce, on_event=told.append
    ).wait()
    last = {event["stage"]: event for event in told if event["event"] == "progress"}
    assert (
        last["map"]["bytes"],
        last["map"]["records"],
        last["map"]["done"],
        last["map"]["total"],
    ) == (60, 20, 1, 1)
    assert (last["reduce"]["records"], last["reduce"]["done"]) == (30, 1)


def test_a_killed_task_process_is_replaced_and_the_result_is_the_same(tmp_path):
    mark = tmp_path / "mark"

    def map(line, params):
        if line == "9\n" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        yield line, 1

    path = tmp_path / "text"
    path.write_text("".join(f"{number}\n" for number in range(20)))
    job = Job("killed").run(input=[str(path)], map=map, reduce=sum_reduce)
    assert dict(result_iterator(job.wait())) == {f"{number}\n": 1 for number in range(20)}
    told = events(job)
    assert [event["event"] for event in told] == ["job", "stage", "retry", "stage", "done"]
    assert told[2]["text"].endswith(f"\ninput: {path}")


def test_progress_is_told_while_the_map_is_slow(tmp_path):
    told = tmp_path / "told"
    os.mkfifo(told)
    progress = []

    def slow(line, params):
        told.read_bytes()  # blocks until the driver has opened it
        return [(line, 1)]

    def on_event(event):
        if event["event"] == "progress" and event["records"]:
            if not progress:
                told.write_bytes(b"")
            progress.append(event)

    Job("slow").run(input=["raw://a"], map=slow, on_event=on_event).wait(timeout=60)


def test_a_job_runs_once():
    job = Job("once").run(input=["raw://a"], map=words)
    with pytest.raises(JobError, match="was already started"):
        job.run()
    job.wait()
    with pytest.raises(JobError, match="call run"):
        Job("never").wait()


def test_a_list_is_a_pair_too():
    assert results(input=["raw://x"], map=lambda line, params: [["k", 1]]) == [("k", 1)]


INTERRUPTED = """
import os, sys
from kvproto.classic import Job
told, never = sys.argv[1:]
def block(line, params):
    with open(told, "w") as file:
        file.write(str(os.getpid()))
    open(never).read()
Job("stopped").run(input=["raw://x"], map=block).wait()
"""


@pytest.mark.parametrize(
    "number, status", [(signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_ctrl_c_and_a_killed_driver_leave_nothing_running(tmp_path, home, number, status):
    told, never = tmp_path / "told", tmp_path / "never"
    os.mkfifo(told)
    os.mkfifo(never)
    argv = [sys.executable, "-c", INTERRUPTED, str(told), str(never)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as driver:
        watch = os.pidfd_open(int(told.read_text()))
        driver.send_signal(number)
        said = driver.communicate()[1]
    assert driver.returncode == status
    assert is_gone_within(watch, 60)
    if number == signal.SIGINT:
        assert said.startswith("kvproto: job stopped@")
        assert f"was stopped; its logs are in {home}/jobs/stopped@" in said
        [directory] = (home / "jobs").iterdir()
        assert sorted(os.listdir(directory)) == KEPT


def is_gone_within(watch, seconds) -> bool:
    poll = select.poll()
    poll.register(watch, select.POLLIN)  # a pidfd is readable when its process has ended
    try:
        return bool(poll.poll(1000 * seconds))
    finally:
        os.close(watch)
