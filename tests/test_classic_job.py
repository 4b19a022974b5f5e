"""Jobs of Python functions: what they give, in each form a job can have, and how they fail."""

import collections
import functools
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jobs import LIBRARY
from kvproto.classic import Job, kvgroup, result_iterator
from kvproto.classic.func import nop_map, nop_reduce, sum_combiner, sum_reduce
from kvproto.errors import DataError, FilesError, JobError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def results(**jobargs):
    return list(result_iterator(Job("test").run(**jobargs).wait()))


def words(line, params):
    return [(word, 1) for word in line.split()]


TEXT = sorted(map(str, LIBRARY.glob("*.py")))[:60]


@pytest.mark.parametrize("partitions", [1, 3, None])
@pytest.mark.parametrize("combiner", [None, sum_combiner])
def test_counted_words_are_those_of_a_counter(partitions, combiner):
    files = Job("count").run(input=TEXT, map=words, combiner=combiner, reduce=sum_reduce, partitions=partitions).wait()
    expected = collections.Counter()
    for path in TEXT:
        expected.update(Path(path).read_text(encoding="utf-8", errors="surrogateescape").split())
    assert dict(result_iterator(files)) == expected
    assert len(files) == (partitions or 1)


def test_one_large_file_is_cut_and_every_line_counts_once(tmp_path):
    path = tmp_path / "large"
    path.write_text("".join(f"line {number}\n" for number in range(400_000)))
    job = Job("lines").run(input=[str(path)], map=lambda line, params: [(line, 1)], partitions=2, reduce=sum_reduce)
    pairs = dict(result_iterator(job.wait()))
    assert pairs == {f"line {number}\n": 1 for number in range(400_000)}
    stages = [event for event in events(job) if event["event"] == "stage"]
    assert [(e["stage"], e["tasks"]) for e in stages] == [("map", 5), ("reduce", 2)]


def events(job):
    return [json.loads(line) for line in Path(job.directory, "events.jsonl").read_text().splitlines()]


def test_the_same_job_gives_the_same_files_every_time():
    def run():
        job = Job("same").run(input=TEXT, map=words, combiner=sum_combiner, reduce=nop_reduce, partitions=2)
        return [Path(path).read_bytes() for path in job.wait()]

    assert run() == run()


def test_lines_come_with_their_newline_and_any_bytes_come_out_as_they_went_in(tmp_path):
    path = tmp_path / "file"
    data = b"one\r\n\xff\xfe\x00\n\ncaf\xc3\xa9\x0b\xe2\x80\xa8unended"
    path.write_bytes(data)
    lines = [key for key, _ in results(input=[str(path)], map=nop_map)]
    assert [line.encode("utf-8", "surrogateescape") for line in lines] == [
        b"one\r\n",
        b"\xff\xfe\x00\n",
        b"\n",
        b"caf\xc3\xa9\x0b\xe2\x80\xa8unended",
    ]


def test_keys_and_values_keep_their_types():
    pairs = [("s", 1), (b"b", "x"), (3, None), (2.5, [1, {"a": b"c"}]), (("t", 1), True), (None, 1j)]

    def give(entry, params):
        return pairs

    for reduce in (None, nop_reduce):
        got = results(input=["raw://x"], map=give, reduce=reduce, partitions=3)
        assert sorted(map(repr, got)) == sorted(map(repr, pairs))


def test_equal_keys_of_different_types_meet_in_one_reduce():
    def give(entry, params):
        return [(1, 1), (1.0, 1), (True, 1)]

    assert results(input=["raw://x"], map=give, reduce=sum_reduce, partitions=7) == [(1, 3)]


def test_without_reduce_each_map_gives_a_file_for_each_partition():
    files = Job("maps").run(input=["raw://a b", "raw://c d"], map=words, partitions=2).wait()
    assert len(files) % 2 == 0
    assert sorted(result_iterator(files)) == [("a", 1), ("b", 1), ("c", 1), ("d", 1)]


@pytest.mark.parametrize("inputs", [[], ["raw://"]])
def test_no_input_and_an_empty_one_give_empty_partitions(inputs):
    files = Job("empty").run(input=inputs, map=words, reduce=sum_reduce, partitions=3).wait()
    assert len(files) == 3
    assert list(result_iterator(files)) == []


# --- the forms of a job --------------------------------------------------------------------------


class Count(Job):
    """The parameters as attributes: map plain, reduce static."""

    input = ["raw://b a b"]
    reduce = staticmethod(sum_reduce)

    def map(line, params):
        return [(word, 1) for word in line.split()]


class Scaled(Count):
    """A map that is a method, with state of the instance."""

    def __init__(self, factor):
        super().__init__("scaled")
        self.factor = factor

    def map(self, line, params):
        return [(word, self.factor) for word in line.split()]


def with_factor(factor, line, params):
    return [(word, factor) for word in line.split()]


def test_a_job_is_a_class():
    assert dict(result_iterator(Count().run().wait())) == {"a": 1, "b": 2}


def test_a_job_is_an_instance_with_methods_and_attributes():
    job = Scaled(10)
    job.partitions = 2
    files = job.run().wait()
    assert dict(result_iterator(files)) == {"a": 10, "b": 20} and len(files) == 2


@pytest.mark.parametrize("map", [words, lambda line, params: words(line, params), functools.partial(with_factor, 1)])
def test_a_job_is_keyword_arguments_with_functions_of_any_kind(map):
    assert dict(results(input=["raw://b a b"], map=map, reduce=sum_reduce)) == {"a": 1, "b": 2}


def test_a_parameter_comes_from_the_arguments_then_the_job_then_the_worker_then_the_default():
    class Sparse(Count):
        partitions = 2

    def n_files(job, **jobargs):
        return len(job.run(**jobargs).wait())

    assert n_files(Sparse(worker={"partitions": 3}), partitions=4) == 4
    assert n_files(Sparse(worker={"partitions": 3})) == 2
    assert n_files(Count(worker={"partitions": 3})) == 3
    assert n_files(Count()) == 1


def test_a_job_with_its_reader_greps_as_the_reference_prints_it(tmp_path):
    class Grep(Job):
        map = staticmethod(nop_map)
        params = r""

        def map_reader(fd, size, url, params):
            import re

            pattern = re.compile(params)
            for line in fd:
                if pattern.match(line):
                    yield url, line

    path = tmp_path / "text"
    path.write_text("apple\nbanana\napricot\n")
    pairs = list(result_iterator(Grep().run(input=[str(path)], params="ap").wait()))
    assert pairs == [(str(path), "apple\n"), (str(path), "apricot\n")]


def test_a_reader_gets_the_size_and_the_bytes(tmp_path):
    def reader(fd, size, url, params):
        yield size, fd.buffer.read()

    path = tmp_path / "file"
    path.write_bytes(b"\xff" * 10)
    assert results(input=[str(path)], map=nop_map, map_reader=reader) == [(10, b"\xff" * 10)]


def test_a_large_file_is_not_cut_for_a_reader(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(b"line\n" * 1_000_000)

    def reader(fd, size, url, params):
        yield size, len(fd.read())

    assert results(input=[str(path)], map=nop_map, map_reader=reader) == [(5_000_000, 5_000_000)]


def test_results_are_in_the_order_of_the_inputs_whichever_is_done_first(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    paths = [tmp_path / "first", tmp_path / "second"]
    for path in paths:
        path.write_text("x" * 1_500_000)  # enough for a task of its own

    def reader(fd, size, url, params):
        if url.endswith("first"):
            fifo.read_text()
        yield url

    went_on = []

    def let_the_first_go_on(event):
        if event["event"] == "progress" and event["done"] == 1 and not went_on:
            went_on.append(True)
            fifo.write_text("go")

    functions = {"map": nop_map, "map_reader": reader, "on_event": let_the_first_go_on}
    job = Job("order").run(input=paths, processes=2, **functions)
    assert [key for key, _ in result_iterator(job.wait())] == list(map(str, paths))


def test_params_reach_every_function():
    def reader(fd, size, url, params):
        yield params["reader"]

    def map(entry, params):
        yield entry + params["map"], 1

    def partition(key, nr_partitions, params):
        return params["partition"]

    def reduce(iter, out, params):
        for key, value in iter:
            out.add(key + params["reduce"], value)

    params = {"reader": "r", "map": "m", "partition": 1, "reduce": "d"}
    functions = {"map_reader": reader, "map": map, "partition": partition, "reduce": reduce}
    files = Job("params").run(input=["raw://x"], partitions=2, params=params, **functions).wait()
    assert [list(result_iterator(path)) for path in files] == [[], [("rmd", 1)]]


def test_a_combiner_has_a_buffer_for_each_partition_and_a_last_call():
    def combiner(key, value, buffer, done, params):
        if done:
            return [(tuple(sorted(buffer)), 1)] if buffer else None
        buffer[key] = value

    def map(line, params):
        return [(number, 1) for number in range(6)]

    got = results(input=["raw://x"], map=map, combiner=combiner, partitions=2, partition=lambda key, n, params: key % n)
    assert got == [((0, 2, 4), 1), ((1, 3, 5), 1)]


def test_kvgroup_in_a_reduce():
    def reduce(iter, params):
        for key, values in kvgroup(sorted(iter)):
            yield key, sum(values)

    assert results(input=["raw://b a b"], map=words, reduce=reduce) == [("a", 1), ("b", 2)]


MAIN = """
from kvproto.classic import Job, result_iterator

class Pair:
    def __init__(self, word):
        self.word = word

SUFFIX = "!"

def shout(word):
    return word + SUFFIX

class Shout(Job):
    def map(line, params):
        return [(shout(word), Pair(word)) for word in line.split()]

if __name__ == "__main__":
    for key, value in result_iterator(Shout().run(input=["raw://a b"]).wait()):
        print(key, isinstance(value, Pair), value.word)
"""


def test_a_job_in_main_has_its_functions_globals_and_classes(tmp_path):
    (tmp_path / "main.py").write_text(MAIN)
    said = subprocess.run([sys.executable, str(tmp_path / "main.py")], capture_output=True, text=True, check=True)
    assert said.stdout == "a! True a\nb! True b\n"


# --- running ------------------------------------------------------------------------------------


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
    with pytest.raises(TimeoutError, match="it goes on"):
        job.wait(timeout=0)
    fifo.write_text("go")
    assert list(result_iterator(job.wait())) == [("go", 1)]


def test_a_done_job_leaves_its_results_events_and_logs_and_nothing_else():
    job = Job("tidy").run(input=["raw://a b a"], map=words, reduce=sum_reduce)
    files = job.wait()
    assert sorted(os.listdir(job.directory)) == ["events.jsonl", "logs", "results"]
    assert [os.path.basename(path) for path in files] == os.listdir(os.path.join(job.directory, "results"))
    told = events(job)
    assert [event["event"] for event in told] == ["job", "stage", "stage", "done"]
    assert told[0]["job"] == job.job and told[-1]["results"] == files


def test_progress_counts_bytes_and_records_of_each_stage(tmp_path):
    path = tmp_path / "text"
    path.write_text("a b\nc\n" * 10)
    told = []
    Job("progress").run(input=[str(path)], map=words, reduce=sum_reduce, on_event=told.append).wait()
    last = {event["stage"]: event for event in told if event["event"] == "progress"}
    assert (last["map"]["bytes"], last["map"]["records"], last["map"]["done"], last["map"]["total"]) == (60, 20, 1, 1)
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
    assert [event["event"] for event in events(job)] == ["job", "stage", "retry", "stage", "done"]


# --- failing ------------------------------------------------------------------------------------


def failure(**jobargs):
    job = Job("bad").run(**jobargs)
    with pytest.raises(JobError) as caught:
        job.wait()
    return job, caught.value


def test_a_map_that_raises_fails_the_job_with_traceback_input_and_entry(tmp_path):
    path = tmp_path / "text"
    path.write_text("1\n2\nthree\n")

    def number(line, params):
        return [(int(line), 1)]

    job, error = failure(input=[str(path)], map=number)
    said = str(error)
    assert f"job {job.job} failed: task map:0 failed:" in said
    assert "in number" in said and "ValueError: invalid literal for int()" in said
    assert f"input: {path}\n" in said and "entry: number 2 of this task, counted from 0: 'three\\n'" in said
    assert job.directory in said
    assert isinstance(error.__cause__, ValueError)


def test_a_reduce_that_raises_names_its_partition():
    def faulty(iter, params):
        raise KeyError("lost")

    _, error = failure(input=["raw://x"], map=words, reduce=faulty)
    assert "task reduce:0 failed" in str(error) and "KeyError: 'lost'\npartition: 0" in str(error)


def test_a_failed_job_leaves_no_results_but_its_events_and_logs():
    def half(line, params):
        yield line, 1
        raise ValueError("half way")

    job, _ = failure(input=["raw://x"], map=half)
    assert sorted(os.listdir(job.directory)) == ["events.jsonl", "logs"]
    assert [event["event"] for event in events(job)] == ["job", "stage", "failed"]
    assert "half way" in events(job)[-1]["text"]


def test_an_input_that_fails_once_is_tried_again(tmp_path):
    mark = tmp_path / "mark"

    def reader(fd, size, url, params):
        yield "first"
        if not mark.exists():
            mark.touch()
            raise DataError("the disk hiccuped")
        yield "second"

    job = Job("again").run(input=["raw://x"], map=nop_map, map_reader=reader)
    assert [key for key, _ in result_iterator(job.wait())] == ["first", "second"]


def test_an_input_that_always_fails_fails_the_job_after_three_attempts():
    def reader(fd, size, url, params):
        raise DataError("unreadable")
        yield

    job, error = failure(input=["raw://x"], map=nop_map, map_reader=reader)
    assert "failed after 3 attempts; the last one's error:\nDataError: unreadable\ninput: raw://x" in str(error)
    assert [event["event"] for event in events(job)].count("retry") == 2


def test_an_input_that_cannot_be_read_is_named():
    _, error = failure(input=["/proc/self/mem"], map=words)  # its first page gives EIO
    assert "failed after 3 attempts" in str(error) and "DataError: input /proc/self/mem: Input/output error" in str(error)


def test_a_missing_input_is_named_before_anything_runs(home):
    with pytest.raises(DataError, match="input /no/such/file: No such file"):
        Job("missing").run(input=["raw://x", "/no/such/file"], map=words)
    assert not home.exists()


@pytest.mark.parametrize(
    "jobargs, error, says",
    [
        ({"map": words, "redcue": sum_reduce}, TypeError, "no parameter 'redcue'; did you mean 'reduce'"),
        ({"map": words, "partitions": 0}, ValueError, "partitions is a number from 1 on"),
        ({"map": "words"}, TypeError, "map must be a function or an external program, not 'words'"),
        ({"map": words, "partition": 3}, TypeError, "partition must be a function, not 3"),
        ({"map": {"program": b""}}, FilesError, "without 'op'"),
        ({}, JobError, "has no map"),
    ],
)
def test_a_wrong_parameter_is_refused_at_once(jobargs, error, says, home):
    with pytest.raises(error, match=says):
        Job("wrong").run(input=["raw://x"], **jobargs)
    assert not home.exists()


def test_a_job_without_input_says_so():
    with pytest.raises(JobError, match="job test has no input"):
        Job("test").run(map=words)


def test_a_job_runs_once():
    job = Count().run()
    with pytest.raises(JobError, match="was started before"):
        job.run()
    job.wait()
    with pytest.raises(JobError, match="call run"):
        Count().wait()


@pytest.mark.parametrize(
    "functions, says",
    [
        ({"map": lambda line, params: ["word"]}, "gave 'word', which is no \\(key, value\\) pair"),
        ({"map": lambda line, params: [("a", 1, 2)]}, "gave \\('a', 1, 2\\), which is no"),
        ({"map": lambda line, params: None}, "NoneType"),
        ({"map": words, "partition": lambda key, n, params: n}, "gave 2 for the key 'x': a partition is an int from 0 to 1"),
        ({"map": words, "reduce": lambda iter, params: None}, "returned None, not an iterable"),
        ({"map": lambda line, params: [(["x"], 1)]}, "not list: give the job a partition function"),
    ],
)
def test_a_function_that_gives_the_wrong_thing_is_named(functions, says):
    _, error = failure(input=["raw://x"], partitions=2, **functions)
    assert re.search(says, str(error))


def test_a_list_is_a_pair_too():
    assert results(input=["raw://x"], map=lambda line, params: [["k", 1]]) == [("k", 1)]


def test_what_cannot_travel_to_a_task_says_so():
    lock = threading.Lock()
    _, error = failure(input=["raw://x"], map=lambda line, params: [(lock, 1)])
    assert "cannot be sent to its task processes" in str(error)


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


@pytest.mark.parametrize("number, status", [(signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)])
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
        assert f"was stopped; its logs are in {home}/jobs/stopped@" in said
        [directory] = (home / "jobs").iterdir()
        assert sorted(os.listdir(directory)) == ["events.jsonl", "logs"]


def is_gone_within(watch, seconds) -> bool:
    poll = select.poll()
    poll.register(watch, select.POLLIN)  # a pidfd is readable when its process has ended
    try:
        return bool(poll.poll(1000 * seconds))
    finally:
        os.close(watch)
