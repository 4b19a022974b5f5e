"""The page about a job: what it says is what the events say."""

import csv
import io
import os

import pytest
from support.job_pages import done, ended, failed, in_stages, page_of, written

from kvproto._record import Place
from kvproto.engine.events import Counted, JobStarted, Note, Progress, Resumed, Retry, StageStarted
from kvproto.report.course import read_course
from kvproto.report.table import MAX_ROWS, as_tsv
from kvproto.storage.bad_records import BadRecord, append_bad_records

PARTS = ([100, 200, 300], [0, 50, 60], [1, 2, 3])


def maps():
    return [
        ended(
            "map",
            number,
            number,
            number + 1.5,
            user=0.5,
            memory=5_000_000,
            bytes=400 + number,
            records=4,
            bytes_out=sum(parts),
            records_out=20,
            parts=parts,
        )
        for number, parts in enumerate(PARTS)
    ]


def reduces():
    return [
        ended("reduce", number, 4, 4 + number, pid=8, bytes=sum(column), records_out=1)
        for number, column in enumerate(zip(*PARTS, strict=True))
    ]


def test_the_figures_are_those_of_the_events():
    page = page_of(written("done", *in_stages(maps(), reduces(), done(7))))
    assert "done@20231114-221320-00000000 is done" in page.text
    assert "ran for 7 s." in page.text
    for figure in (
        "10 records read",
        "1.0 kB read",
        "3 map tasks",
        "3 result records",
        "1.5 s CPU",
    ):
        assert figure in page.text
    _, of_maps, of_reduces = page.rows["stages"]
    assert of_maps[:2] == ["map", "3 of 3"]
    assert of_maps[4:] == ["716 bytes 60 records", "1.5 s", "5.0 MB"]
    assert of_reduces[0] == "reduce"
    assert "Partition 2 is the largest, with 363 bytes; the median is 252 bytes." in page.text
    assert {
        f"partition {number}: {size}" for number, size in ((0, "101 bytes"), (1, "252 bytes"))
    } < set(page.titles)
    for number, parts in enumerate(PARTS):
        for partition, n_bytes in enumerate(parts):
            size = f"{n_bytes} byte{'s' * (n_bytes != 1)}"
            assert f"map {number}, partition {partition}: {size}" in page.titles


def test_of_partitions_in_groups_the_reduces_say_the_size_of_each_and_before_them_the_maps():
    some = [ended("map", number, 0, 1, bytes_out=90, parts=[60, 30]) for number in range(2)]
    read = [ended("reduce", n, 2, 3, bytes=n_bytes) for n, n_bytes in enumerate((50, 70, 60))]
    assert (
        "Partition 1 is the largest, with 70 bytes"
        in page_of(written("reduced", *in_stages(some, read, done(4)))).text
    )
    begun = (1, StageStarted("reduce", 3, 180))
    page = page_of(written("mapped", *in_stages(some, [], begun)))
    assert "Partitions 0 to 1 are the largest, with 120 bytes" in page.text
    assert "Partitions are counted in groups of 2." in page.text


def test_the_table_of_attempts_is_that_of_the_events():
    page = page_of(written("table", *in_stages(maps(), reduces(), done(7))))
    heads, *rows = page.rows["attempts"]
    assert [dict(zip(heads, row, strict=True))["task"] for row in rows] == [
        *("map:0", "map:1", "map:2"),
        *("reduce:0", "reduce:1", "reduce:2"),
    ]
    second = dict(zip(heads, rows[1], strict=True))
    assert (second["began,\u00a0s"], second["took,\u00a0s"], second["read"]) == (
        "1.00",
        "1.50",
        "401 bytes",
    )
    assert (second["records out"], second["wrote"], second["process"]) == ("20", "110 bytes", "7")


def test_what_is_not_known_of_an_attempt_that_is_lost_is_a_dash():
    lost = ended("map", 0, 0, 1, "lost")
    heads, row = page_of(written("lost", *in_stages([lost], [], done(2)))).rows["attempts"]
    cells = dict(zip(heads, row, strict=True))
    assert (cells["took,\u00a0s"], cells["began,\u00a0s"]) == ("1.00", "0.00")
    assert {cells[name] for name in ("read", "wrote", "memory", "CPU,\u00a0s")} == {"\u2013"}


def test_the_values_of_the_file_are_those_of_the_events():
    events = in_stages(maps(), reduces(), done(7))
    course = read_course(written("tsv", *events))
    rows = list(csv.DictReader(io.StringIO(as_tsv(course.attempts)), delimiter="\t"))
    assert len(rows) == 6
    attempts = [event for _, event in events if event.name == "task"]
    for row, event in zip(rows, attempts, strict=True):
        assert row["task"] == f"{event.stage}:{event.task}" and row["outcome"] == event.outcome
        assert float(row["seconds"]) == pytest.approx(event.end - event.start)
        assert int(row["bytes_in"]) == event.bytes and int(row["bytes_out"]) == event.bytes_out
        assert int(row["records_out"]) == event.records_out and int(row["pid"]) == event.pid


def test_of_many_attempts_the_page_has_the_slowest_and_those_that_failed_and_says_so():
    many = [ended("map", number, number, number + number / 1000) for number in range(1, 500)]
    many.append(ended("map", 0, 0, 0.001, "failed"))
    page = page_of(written("many", *in_stages(many, [ended("reduce", 0, 600, 601)], done(602))))
    rows = page.rows["attempts"][1:]
    assert len(rows) == MAX_ROWS
    assert f"{MAX_ROWS} of 501 attempts: all that are not done" in page.text
    tasks = {row[0] for row in rows}
    assert {"map:0", "map:499", "reduce:0"} < tasks and "map:1" not in tasks
    assert len(page.source) < 300_000


def test_a_failure_comes_first_with_its_record_and_what_the_program_said():
    handle = written(
        "failed",
        *in_stages(maps(), [ended("reduce", 0, 4, 5, "failed")], (5, Counted({"seen": 12345}))),
        failed(
            6,
            "the whole error",
            kind="TaskError",
            task="reduce:0",
            program="./op reduce",
            what="exited with exit status 3",
            number="7",
            record="input: /data, line 8\nvalue: x",
            replay="a fresh worker fails in the same way",
            stderr="no such column",
            hexdump="> 0000  41",
            advice="look at the column",
        ),
    )
    page = page_of(handle)
    assert (
        "Task reduce:0 failed" in page.text
        and "failed@20231114-221320-00000000 failed" in page.text
    )
    assert page.text.index("Task reduce:0 failed") < page.text.index("Stages")
    assert page.pre == [
        "value: x",
        "> 0000  41",
        "no such column",
        "the whole error",
    ]
    for text in (
        "exited with exit status 3",
        "/data, line 8, record 7 of the task",
        "look at the column",
    ):
        assert text in page.text
    assert ("rect", "failed", "reduce") in page.kinds
    assert page.rows["counters"] == [["seen", "12,345"]]


def test_a_failure_without_parts_is_shown_whole():
    page = page_of(written("python", *in_stages(maps(), [], failed(6, "Traceback\n  line"))))
    assert page.pre == ["Traceback\n  line"]


def test_a_job_that_was_killed_was_stopped():
    last = failed(6, "the map stage was stopped", kind="Cancelled")
    page = page_of(written("killed", *in_stages(maps(), [], last)))
    assert "was stopped" in page.text and "A kill or Ctrl-C ended it." in page.text


def test_a_job_that_lost_its_driver_says_what_is_not_known():
    page = page_of(written("lost", *in_stages(maps(), [], (5, Note("a note")))))
    assert "lost its driver" in page.text
    assert "What ran when the driver was lost is not known." in page.text
    assert "a note" in page.text


def test_a_log_without_the_ends_of_attempts_says_so():
    page = page_of(
        written(
            "old",
            (0, JobStarted("old", 1, 10)),
            (0, StageStarted("map", 2, 10)),
            (3, Progress("map", 2, 2, 10, 1)),
            done(4),
        )
    )
    assert "did not record the ends of attempts" in page.text
    assert "does not have the parameters" in page.text
    assert "attempts" not in page.rows and page.rows["stages"][1][4:] == ["?", "?", "?"]


def test_a_job_without_any_event_has_a_page():
    assert "No stage has begun." in page_of(written("empty")).text


def test_the_time_between_two_drivers_is_left_out():
    handle = written(
        "resumed",
        (0, JobStarted("resumed", 1, 10)),
        (0, StageStarted("map", 2, 10)),
        ended("map", 0, 0, 2),
        (100_000, Resumed(["map:0"], 2.0)),
        (100_000, StageStarted("map", 2, 10)),
        ended("map", 1, 100_000, 100_003),
        done(100_003),
    )
    course = read_course(handle)
    assert course.seconds == 5 and [one.began for one in course.attempts] == [0, 2]
    page = page_of(handle)
    assert "ran for 5 s" in page.text and "resumed by another driver" in page.titles


def test_failures_that_were_tried_again_are_shown():
    events = [ended("map", 0, 0, 1, "failed"), (1, Retry("map", 0, 1, "the reason"))]
    retried = [(second, event) for second, event in [*events, *maps()]]
    attempts = [one for one in retried if one[1].name == "task"]
    handle = written("retried", *in_stages(attempts, [], retried[1]), done(7))
    page = page_of(handle)
    assert "1 failure." in page.text and page.pre == ["the reason"]


def test_processes_that_do_not_fit_are_counted():
    many = [ended("map", n, 0, 1 + n, pid=100 + n, host=f"host{n}") for n in range(30)]
    page = page_of(written("processes", *in_stages(many, [], done(40))))
    assert "24 of 30 processes are shown" in page.text and "the others ran 6 attempts" in page.text
    assert "host29, process 129" in page.text and "host0, process 100" not in page.text


def test_what_a_job_has_set_aside_is_counted_and_the_first_are_shown():
    handle = written("bad", *in_stages(maps(), [], done(7)))
    some = [
        BadRecord("record", 0, Place("/data", 7, line=8, start=70, end=80), "no number", b"", b"x")
        for _ in range(60)
    ]
    append_bad_records(
        handle.paths.bad_records, [*some, BadRecord("input", 1, Place("/lost", 0), "is cut")]
    )
    page = page_of(handle)
    assert "60 bad records" in page.text and "1 input left out" in page.text
    assert "60 records and 1 input were set aside. The first 50 are below." in page.text
    home = f"KVPROTO_HOME={os.environ['KVPROTO_HOME']} kvproto"
    assert f"{home} bad {handle.paths.job} prints all." in page.text
    assert f"{home} report --tsv {handle.paths.job} prints all" in page.text
    assert page.pre[0] == '/data, line 8, bytes 70 to 80: no number\n  value, 1 byte: "x"'
    with open(handle.paths.bad_records, "a", encoding="utf-8") as file:
        file.write("damaged\n")
    assert "bad.jsonl, line 62" in page_of(handle).text
