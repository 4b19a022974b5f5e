"""What one task does to its process is not there for the next, and what it does to itself is its
own error.
"""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from support.jobs import events, results, words

from kvproto.classic import Job, result_iterator
from kvproto.classic.func import nop_map, sum_reduce
from kvproto.errors import JobError

TWO = {"input": ["raw://first", "raw://second"], "processes": 1}
"""Two tasks, one after the other in one process."""


def test_a_task_begins_in_the_directory_of_the_job_wherever_the_one_before_went():
    def map(entry, params):
        before = os.getcwd()
        os.chdir("/")
        return [(entry, before)]

    [(_, first), (_, second)] = results(**TWO, map=map)
    assert first == second != "/"


def test_a_task_has_the_environment_of_the_driver_whatever_the_one_before_did_to_it(monkeypatch):
    monkeypatch.setenv("LEFT", "as it was")

    def map(entry, params):
        before = os.environ.get("LEFT"), os.environ.get("NEW")
        os.environ["NEW"] = os.environ["LEFT"] = "changed"
        return [(entry, before)]

    assert results(**TWO, map=map) == [
        ("first", ("as it was", None)),
        ("second", ("as it was", None)),
    ]


def test_a_task_that_takes_away_its_stdout_succeeds_and_the_next_one_prints():
    def map(entry, params):
        print(entry)
        sys.stdout = None
        return [(entry, 1)]

    job = Job("mute").run(**TWO, map=map)
    assert list(result_iterator(job.wait())) == [("first", 1), ("second", 1)]
    assert [event["text"] for event in events(job) if event["event"] == "message"] == [
        "first",
        "second",
    ]


@pytest.mark.parametrize("reduce", [None, sum_reduce])
def test_a_fork_that_comes_back_from_a_job_function_gives_nothing_a_second_time(reduce):
    def map(entry, params):
        os.fork()
        return [(entry, 1)]

    def forking(iter, params):
        os.fork()
        return reduce(iter, params)

    assert results(**TWO, map=map, reduce=reduce and forking) == [("first", 1), ("second", 1)]


def test_a_printed_line_that_is_too_long_is_cut_and_says_so():
    def map(entry, params):
        print("x" * 1_000_000)
        print("\udcff")
        print("y" * 100_000, end="")
        return []

    job = Job("long").run(input=["raw://x"], map=map)
    job.wait()
    told = [event["text"] for event in events(job) if event["event"] == "message"]
    assert [text.strip("xy") for text in told] == [
        " [cut: the line has 1000000 characters]",
        "\udcff",
        " [cut: the line has 100000 characters]",
    ]
    assert [len(text) < 66_000 for text in told] == [True] * 3


class CannotBeShown(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "error, says",
    [
        (SystemExit(0), "SystemExit: 0"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (StopIteration(), "StopIteration"),
        (MemoryError(), "MemoryError"),
        (CannotBeShown(), "CannotBeShown"),
    ],
)
@pytest.mark.parametrize(
    "where", ["map", "combiner", "partition", "reduce", "map_init", "map_reader"]
)
def test_whatever_a_function_raises_fails_the_job_with_it(where, error, says):
    def function(*args):
        raise error

    functions = {"map": nop_map, "reduce": lambda iter, params: iter, where: function}
    if where == "reduce":
        functions["reduce"] = lambda iter, out, params: function()
    with pytest.raises(JobError, match=says):
        results(input=["raw://x"], partitions=2, **functions)


def test_a_task_that_exits_at_once_fails_after_its_retries():
    with pytest.raises(
        JobError,
        match=r"failed after 3 attempts; .*\nthe task process .* ended with exit status 0",
    ):
        results(input=["raw://x"], map=lambda entry, params: os._exit(0))


def test_threads_that_go_on_printing_disturb_no_later_task():
    def map(entry, params):
        def print_on():
            while True:
                print("noise" * 100)

        threading.Thread(target=print_on, daemon=True).start()
        return [(entry, 1)]

    numbers = [str(number) for number in range(20)]
    assert results(input=[f"raw://{number}" for number in numbers], map=map, processes=2) == [
        (n, 1) for n in numbers
    ]


def test_a_job_may_run_a_job():
    def map(entry, params):
        return result_iterator(
            Job("inner").run(input=[f"raw://{entry} b"], map=words, reduce=sum_reduce).wait()
        )

    assert sorted(results(**TWO, map=map)) == [("b", 1), ("b", 1), ("first", 1), ("second", 1)]


@pytest.mark.parametrize("processes", [-1, False, "2"])
def test_a_number_of_processes_that_is_none_is_refused(processes, home):
    with pytest.raises(
        ValueError, match=f"processes must be a number from 1, .* not {processes!r}"
    ):
        Job("none").run(input=["raw://x"], map=nop_map, processes=processes)
    assert not Path(home).exists()


def test_a_home_that_is_a_relative_path_is_the_same_one_in_a_task_that_works_elsewhere(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KVPROTO_HOME", "here")

    def leave(entry, params):
        put("key", entry)  # noqa: F821
        return []

    job = Job("before").run(input=["raw://value"], map=leave)
    job.wait()
    fetched = {"map": lambda entry, params: [(get("key", params), 1)], "params": job.name}  # noqa: F821
    assert results(input=["raw://x"], required_files={"a": b""}, **fetched) == [("value", 1)]


def test_a_task_that_left_its_process_group_is_stopped_with_its_job(tmp_path):
    moved = tmp_path / "moved"
    os.mkfifo(moved)

    def map(entry, params):
        os.setpgid(0, os.getpgid(os.getppid()))
        moved.write_text(str(os.getpid()))
        signal.pause()

    job = Job("elsewhere").run(input=["raw://x"], map=map)
    pid = int(moved.read_text())
    job.kill()
    with pytest.raises(JobError, match="stage was stopped by a kill or Ctrl-C"):
        job.wait()
    assert not os.path.exists(f"/proc/{pid}")
