"""What no input, worker or parameter can make larger than it should be: events, partitions, open
files, lines.
"""

import json
import os
import re
import resource
import subprocess

import pytest
from support.command_line import command_line, kvproto_command
from support.jobs import program

from kvproto.classic import Job, external, result_iterator
from kvproto.engine import reading
from kvproto.engine.events import MAX_MESSAGES
from kvproto.engine.meter import Meter
from kvproto.engine.plan import Split
from kvproto.engine.spec import InputChain
from kvproto.engine.task_events import MESSAGES_PER_SECOND
from kvproto.errors import DataError, JobError
from kvproto.inputs.schemes import files, open_input

pytestmark = pytest.mark.slow

TALK = """
for key, value in pairs():
    for number in range(30_000):
        sys.stderr.write(f"**<MSG> {number} {'x' * 100}\\n")
    answer((key, value))
"""


def test_messages_over_a_thousand_a_second_are_counted_and_the_log_of_the_task_has_all(tmp_path):
    job = Job("talk").run(input=["raw://a"], map=external([program(tmp_path, TALK)]))
    assert list(result_iterator(job.wait())) == [(b"", b"a")]
    told = [event["text"] for _, event in job.events() if event["event"] == "message"]
    log = os.path.join(job.directory, "logs", "process-0.txt")
    more = re.compile(f"and ([0-9,]+) more messages; all are in {re.escape(log)}")
    counts = [int(match[1].replace(",", "")) for text in told if (match := more.fullmatch(text))]
    n_told = len(told) - len(counts)
    lines = [f"{number} {'x' * 100}" for number in range(30_000)]
    assert told[:MESSAGES_PER_SECOND] == lines[:MESSAGES_PER_SECOND]
    assert n_told <= MESSAGES_PER_SECOND * len(counts)
    assert n_told + sum(counts) == 30_000
    with open(log) as file:
        assert file.read().splitlines() == lines


def test_each_task_may_tell_as_much(tmp_path):
    def map(entry, params):
        for _ in range(9):
            print("x" * 60_000)
        return []

    job = Job("talk").run(
        input=["raw://a", "raw://b", "raw://c"],
        map=map,
        map_init=lambda entries, params: None,
        processes=1,
    )
    job.wait()
    assert len([event for _, event in job.events() if event["event"] == "message"]) == 27


@pytest.mark.parametrize("n_partitions", [100_001, 99_999_999_999])
def test_more_partitions_than_can_be_meant_are_refused_at_once(n_partitions):
    with pytest.raises(ValueError, match=f"partitions must be at most 100000, not {n_partitions}"):
        Job().run(input=["raw://x"], map=lambda entry, params: [], partitions=n_partitions)
    refused = kvproto_command(
        "run",
        "kvproto.classic.Job",
        "-m",
        "kvproto.classic.func.nop_map",
        "-P",
        "partitions",
        n_partitions,
        "raw://x",
    )
    assert refused.returncode == 1 and b"partitions must be at most 100000" in refused.stderr


def test_a_map_alone_may_have_more_partitions_than_there_are_descriptors(tmp_path):
    (tmp_path / "many.py").write_text(
        "from kvproto.classic import Job\n"
        "class Many(Job):\n"
        "    partitions = 300\n"
        "    def map(entry, params): return [(n, 'v' * 200_000) for n in range(300)]\n"
        "    def partition(key, nr_partitions, params): return key\n"
    )

    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    command = command_line("run", "-q", "--out", "jsonl", "many.Many", "raw://x")
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=few_descriptors,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        [n, "v" * 200_000] for n in range(300)
    ]
    [job] = os.listdir(os.path.join(os.environ["KVPROTO_HOME"], "jobs"))
    assert len(os.listdir(os.path.join(os.environ["KVPROTO_HOME"], "jobs", job, "results"))) == 300


@pytest.mark.parametrize("is_text", [True, False])
def test_a_line_longer_than_an_item_may_be_is_refused_before_it_is_all_read(
    tmp_path, monkeypatch, is_text
):
    monkeypatch.setattr(reading, "MAX_ITEM", 3 * reading.BLOCK)
    path = tmp_path / "long"
    with open(path, "wb") as file:
        file.write(b"short\n" + b"x" * (3 * reading.BLOCK - 1) + b"\n")
        file.truncate(20 * reading.BLOCK)
    meter = Meter("mapped", 0)
    splits = [Split(str(path), 0, None, 0)]
    entries = reading.InputReader(
        splits, InputChain(), None, meter, for_function=len, is_text=is_text
    ).entries()
    assert len(next(entries)) == 6
    with pytest.raises(
        DataError, match=f"{path} has a line of more than {3 * reading.BLOCK} bytes"
    ) as caught:
        list(entries)
    assert caught.value.is_final
    assert meter.n_bytes < 8 * reading.BLOCK


def test_a_cut_inside_such_a_line_does_not_read_on_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_ITEM", 3 * reading.BLOCK)
    path = tmp_path / "long"
    with open(path, "wb") as file:
        file.truncate(1 << 43)  # which nobody would read to its end
    with pytest.raises(
        DataError, match=f"{path} has a line of more than {3 * reading.BLOCK} bytes"
    ):
        open_input(str(path), 0, 1000)


def test_messages_are_limited_by_what_they_take_in_the_file(tmp_path):
    def map(entry, params):
        for _ in range(2000):
            print("\U0001f600" * 600)
        return []

    job = Job("emoji").run(input=["raw://x"], map=map)
    job.wait()
    assert os.path.getsize(os.path.join(job.directory, "events.jsonl")) < 2 * MAX_MESSAGES


def test_an_error_of_any_length_is_told_and_can_be_read_again(tmp_path):
    def map(entry, params):
        raise ValueError("x" * 70_000_000)

    job = Job("long").run(input=["raw://x"], map=map)
    with pytest.raises(JobError):
        job.wait()
    [failed] = [event["text"] for _, event in job.events() if event["event"] == "failed"]
    assert "more characters]" in failed and len(failed) < 2 * MAX_MESSAGES
    assert kvproto_command("jobs").stderr == b""


def test_a_task_that_closes_its_stderr_is_done_all_the_same():
    def map(entry, params):
        os.close(2)
        return [(entry, 1)]

    job = Job("closes").run(input=["raw://x"], map=map)
    assert list(result_iterator(job.wait())) == [("x", 1)]
