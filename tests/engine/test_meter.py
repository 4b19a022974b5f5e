"""What is counted of the work of tasks, whatever attempts they take."""

import os
import threading

import pytest
from support.jobs import program

from kvproto.classic import Job, external
from kvproto.engine.meter import Counts, Meter
from kvproto.engine.task_events import begin_task, end_task, set_sink
from kvproto.engine.usage import Watch
from kvproto.errors import DataError


def counted(counts):
    return counts.n_bytes, counts.n_records


def test_counts_are_the_sums_of_what_the_tasks_have_read():
    counts = Counts()
    counts.add(0, 10, 1)
    counts.add(1, 5, 2)
    counts.add(0, 10, 1)
    assert counted(counts) == (25, 4)


def test_a_failed_attempt_does_not_count():
    counts = Counts()
    counts.add(0, 10, 1)
    counts.add(1, 5, 2)
    counts.restart(0)
    assert counted(counts) == (5, 2)
    counts.add(0, 7, 3)
    assert counted(counts) == (12, 5)


def test_the_attempt_that_succeeds_counts_and_nothing_that_another_one_reads():
    counts = Counts()
    counts.add(0, 10, 1)
    counts.add(0, 10, 1)  # of a second attempt
    counts.finish(0, 12, 4)
    counts.add(0, 10, 1)
    counts.restart(0)
    assert counted(counts) == (12, 4)


def test_what_a_short_task_has_read_comes_with_its_end_alone():
    sent = []
    set_sink(sent.append)
    try:
        begin_task("map", 0, "log")
        with Meter("mapped", 0) as meter:
            meter.add(10)
            meter.add_records(2)
        ended = end_task(0, "done", Watch().usage())
    finally:
        set_sink(None)
    assert (ended.bytes, ended.records, sent) == (10, 2, [])


def test_a_task_that_reads_nothing_for_a_while_says_so():
    is_silent = threading.Event()

    def sink(event):
        if (event.bytes, event.records) == (0, 0):
            is_silent.set()

    set_sink(sink)
    try:
        with Meter("mapped", 0):
            assert is_silent.wait(30)
    finally:
        set_sink(None)


def events_of(job, kind):
    return [event for _, event in job.events() if event["event"] == kind]


@pytest.mark.parametrize("is_external", [False, True])
def test_a_sorted_reduce_counts_what_comes_out_of_the_sort(tmp_path, is_external):
    (tmp_path / "input").write_text("b\na\n" * 50)
    reduce = external([program(tmp_path, "answer(*pairs())")]) if is_external else list_of
    job = Job().run(
        input=[str(tmp_path / "input")],
        map=lambda entry, params: [(entry.strip(), "1")],
        reduce=reduce,
        sort=True,
    )
    job.wait()
    [_, begun] = events_of(job, "stage")
    assert begun["sorted_records"] == 100
    last = events_of(job, "progress")[-1]
    assert (last["stage"], last["records"], last["bytes"]) == ("reduce", 100, begun["bytes"])


def list_of(entries, params):
    return list(entries)


def test_the_records_of_a_failed_attempt_are_not_counted(tmp_path):
    (tmp_path / "input").write_text("a\nb\nc\n")

    def map(entry, params):
        if entry == "c\n" and not os.path.exists(params):
            open(params, "x").close()
            raise DataError("try again")
        yield entry, 1

    job = Job().run(input=[str(tmp_path / "input")], map=map, params=str(tmp_path / "tried"))
    job.wait()
    assert len(events_of(job, "retry")) == 1
    last = events_of(job, "progress")[-1]
    assert (last["records"], last["bytes"]) == (3, 6)
