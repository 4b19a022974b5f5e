"""Jobs of Python functions: what they give, in each form a job can have."""

import collections
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.jobs import LIBRARY, events, results, words

from kvproto.classic import Job, kvgroup, result_iterator
from kvproto.classic.func import nop_map, nop_reduce, sum_combiner, sum_reduce

TEXT = sorted(map(str, LIBRARY.glob("*.py")))[:20]


@pytest.mark.slow
@pytest.mark.documented(
    "2 map: is the map of the job",
    "2 reduce: is the reduce of the job",
    "2 partitions: is their number, or None",
)
@pytest.mark.parametrize("partitions", [1, 3, None])
@pytest.mark.parametrize("combiner", [None, sum_combiner])
def test_counted_words_are_those_of_a_counter(partitions, combiner):
    files = (
        Job("count")
        .run(input=TEXT, map=words, combiner=combiner, reduce=sum_reduce, partitions=partitions)
        .wait()
    )
    expected = collections.Counter()
    for path in TEXT:
        expected.update(Path(path).read_text(encoding="utf-8", errors="surrogateescape").split())
    assert dict(result_iterator(files)) == expected
    assert len(files) == (partitions or 1)


@pytest.mark.slow
def test_one_large_file_is_cut_and_every_line_counts_once(tmp_path):
    path = tmp_path / "large"
    path.write_text("".join(f"line {number}\n" for number in range(400_000)))
    job = Job("lines").run(
        input=[str(path)], map=lambda line, params: [(line, 1)], partitions=2, reduce=sum_reduce
    )
    pairs = dict(result_iterator(job.wait()))
    assert pairs == {f"line {number}\n": 1 for number in range(400_000)}
    stages = [event for event in events(job) if event["event"] == "stage"]
    assert [(e["stage"], e["tasks"]) for e in stages] == [("map", 5), ("reduce", 2)]


def test_the_same_job_gives_the_same_files_every_time():
    def run():
        job = Job("same").run(
            input=TEXT, map=words, combiner=sum_combiner, reduce=nop_reduce, partitions=2
        )
        return [Path(path).read_bytes() for path in job.wait()]

    assert run() == run()


@pytest.mark.documented("2 map_reader: without one, entries are lines")
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
    pairs = [
        ("s", 1),
        (b"b", "x"),
        (3, None),
        (2.5, [1, {"a": b"c"}]),
        (("t", 1), True),
        (None, 1j),
    ]

    def give(entry, params):
        return pairs

    for reduce in (None, nop_reduce):
        got = results(input=["raw://x"], map=give, reduce=reduce, partitions=3)
        assert sorted(map(repr, got)) == sorted(map(repr, pairs))


def test_equal_keys_of_different_types_meet_in_one_reduce():
    def give(entry, params):
        return [(1, 1), (1.0, 1), (True, 1)]

    assert results(input=["raw://x"], map=give, reduce=sum_reduce, partitions=7) == [(1, 3)]


@pytest.mark.documented("2 reduce: without one, the job ends after the map")
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

    input = ["raw://b a b"]  # noqa: RUF012
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


@pytest.mark.documented("1 a subclass of Job can set parameters")
def test_a_job_is_a_class():
    assert dict(result_iterator(Count().run().wait())) == {"a": 1, "b": 2}


def test_a_job_is_an_instance_with_methods_and_attributes():
    job = Scaled(10)
    job.partitions = 2
    files = job.run().wait()
    assert dict(result_iterator(files)) == {"a": 10, "b": 20} and len(files) == 2


@pytest.mark.documented("5 map: returns an iterable of pairs for an entry")
@pytest.mark.parametrize(
    "map",
    [
        words,
        lambda line, params: [(word, 1) for word in line.split()],
        functools.partial(with_factor, 1),
    ],
)
def test_a_job_is_keyword_arguments_with_functions_of_any_kind(map):
    assert dict(results(input=["raw://b a b"], map=map, reduce=sum_reduce)) == {"a": 1, "b": 2}


@pytest.mark.slow
@pytest.mark.documented("1 every parameter is resolved by getitem")
def test_a_parameter_comes_from_the_arguments_then_the_job_then_the_worker_then_the_default():
    class Sparse(Count):
        partitions = 2

    def n_files(job, **jobargs):
        return len(job.run(**jobargs).wait())

    assert n_files(Sparse(worker={"partitions": 3}), partitions=4) == 4
    assert n_files(Sparse(worker={"partitions": 3})) == 2
    assert n_files(Count(worker={"partitions": 3})) == 3
    assert n_files(Count()) == 1


@pytest.mark.documented("1 the grep example runs as printed")
def test_a_job_with_its_reader_greps_as_the_reference_prints_it(tmp_path):
    class Grep(Job):
        map = staticmethod(nop_map)
        params = r""

        def map_reader(fd, size, url, params):

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


@pytest.mark.documented(
    "2 params: each function of a task gets them and can keep state in them",
    "5 partition: gets key, number and params, and returns an integer below the number",
    "5 reduce: iterates over its input stream, adds to its output stream, gets params",
)
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


@pytest.mark.documented(
    "2 combiner: is called after the partition function, for each partition",
    "5 combiner: gets each pair of the map, a buffer of its partition and params",
    "5 combiner: is called a last time with done set, when all entries are mapped",
)
def test_a_combiner_has_a_buffer_for_each_partition_and_a_last_call():
    def combiner(key, value, buffer, done, params):
        if done:
            return [(tuple(sorted(buffer)), 1)] if buffer else None
        buffer[key] = value

    def map(line, params):
        return [(number, 1) for number in range(6)]

    got = results(
        input=["raw://x"],
        map=map,
        combiner=combiner,
        partitions=2,
        partition=lambda key, n, params: key % n,
    )
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


@pytest.mark.documented("1 a job's functions run in separate processes, each with a new worker")
def test_a_job_in_main_has_its_functions_globals_and_classes(tmp_path):
    (tmp_path / "main.py").write_text(MAIN)
    said = subprocess.run(
        [sys.executable, str(tmp_path / "main.py")], capture_output=True, text=True, check=True
    )
    assert said.stdout == "a! True a\nb! True b\n"


def test_an_init_that_leaves_out_the_one_of_the_job_is_named():
    class Own(Job):
        def __init__(self):
            self.n = 1

    with pytest.raises(TypeError, match=r"Own.__init__ must call super\(\).__init__\(\)"):
        Own().run(input=["raw://a"], map=lambda entry, params: [])


def test_a_job_shows_its_name_and_how_it_stands():
    job = Job("shown")
    assert repr(job) == "<Job shown: not started>"
    job.run(input=["raw://a"], map=words).wait()
    assert repr([job]) == f"[<Job {job.name}: ready>]"
    job.purge()
    assert repr(job) == f"<Job {job.name}: not started>"

    class Unmade(Job):
        def __init__(self):
            pass

    assert "Unmade" in repr(Unmade())
