"""Promises of the documented parameters and functions that no other test shows, in real jobs."""

from pathlib import Path

import pytest
from support.jobs import results, words

from kvproto.classic import Job, result_iterator, worker
from kvproto.classic import task as of_task
from kvproto.classic.func import nop_map, nop_reduce
from kvproto.classic.task_io import chain_reader, task_input_stream, task_output_stream
from kvproto.inputs.streams import InputStream, OutputStream

pytestmark = pytest.mark.slow


def modulo(key, nr_partitions, params):
    return key % nr_partitions


def numbers(entry, params):
    """A map: (0, entry) to (5, entry)."""
    return [(number, entry) for number in range(6)]


# --- readers and streams
# ----------------------------------------------------------------------------


@pytest.mark.documented("2 map_reader: chain_reader reads the results of an earlier job")
def test_chain_reader_as_map_reader_reads_the_results_of_an_earlier_job():
    earlier = (
        Job("earlier").run(input=["raw://b a b"], map=words, reduce=nop_reduce, partitions=2).wait()
    )
    given = results(
        input=earlier,
        map=lambda entry, params: [(entry[0].upper(), entry[1])],
        map_reader=chain_reader,
    )
    assert sorted(given) == [("A", 1), ("B", 1), ("B", 1)]


class Doubled(InputStream):
    """An input stream with each value of the stream below twice."""

    def __iter__(self):
        return ((key, value * 2) for key, value in self.stream)


@pytest.mark.documented(
    "2 reduce_input_stream: the functions are chained, and the last stream is the "
    "reduce's first argument"
)
def test_reduce_input_streams_are_chained_into_the_first_argument_of_the_reduce():
    def doubled(stream, size, url, params):
        return Doubled(stream)

    given = results(
        input=["raw://a", "raw://b"],
        map=numbers,
        reduce=nop_reduce,
        reduce_input_stream=[task_input_stream, chain_reader, doubled, doubled],
        reduce_reader=None,
    )
    assert sorted(given) == [(number, entry * 4) for number in range(6) for entry in "ab"]


class Log(OutputStream):
    """An output stream that can do more than add."""

    def add(self, key, value):
        self.write(f"{key}={value}\n".encode())

    def remark(self, text):
        self.write(f"# {text}\n".encode())


def log(stream, partition, url, params):
    return Log(stream)


@pytest.mark.documented(
    "2 reduce_output_stream: the functions are chained, and the last stream is the "
    "reduce's second argument"
)
def test_the_last_output_stream_is_the_second_argument_of_the_reduce():
    def reduce(entries, out, params):
        out.remark("begin")
        for key, value in entries:
            out.add(key, value)
            out.remark(f"that was {key}")

    job = Job("log").run(
        input=["raw://x"], map=words, reduce=reduce, reduce_output_stream=[task_output_stream, log]
    )
    assert Path(job.wait()[0]).read_text() == "# begin\nx=1\n# that was x\n"


@pytest.mark.documented(
    "5 reduce2: has two parameters and returns an iterator of pairs, which go to the output stream"
)
def test_what_a_reduce_with_two_arguments_gives_is_added_to_the_output_stream():
    def reduce(entries, params):
        return entries

    job = Job("log").run(
        input=["raw://x"], map=words, reduce=reduce, reduce_output_stream=[task_output_stream, log]
    )
    assert Path(job.wait()[0]).read_text() == "x=1\n"


# --- partitions and combiners
# -----------------------------------------------------------------------


@pytest.mark.documented("2 partition: decides which reduce gets a pair of the map")
def test_a_partition_function_sends_each_pair_to_a_reduce():
    files = (
        Job("parts")
        .run(input=["raw://x"], map=numbers, partition=modulo, partitions=3, reduce=nop_reduce)
        .wait()
    )
    assert [[key for key, _ in result_iterator(path)] for path in files] == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.documented(
    "5 nop_reduce: makes one result file for each partition, for any number of maps"
)
def test_nop_reduce_makes_one_file_for_each_partition_of_many_maps():
    inputs = [f"raw://{number}" for number in range(5)]
    files = (
        Job("parts")
        .run(input=inputs, map=numbers, partition=modulo, partitions=2, reduce=nop_reduce)
        .wait()
    )
    assert [len(list(result_iterator(path))) for path in files] == [15, 15]


@pytest.mark.documented("2 combiner: is called after the partition function, for each partition")
def test_what_a_combiner_gives_stays_in_the_partition_that_its_pairs_went_to():
    def renamed(key, value, buffer, done, params):
        return None if done else [(0, key)]  # 0 would go to the first partition

    files = (
        Job("parts")
        .run(
            input=["raw://x"],
            map=numbers,
            partition=modulo,
            partitions=2,
            combiner=renamed,
            reduce=nop_reduce,
        )
        .wait()
    )
    assert [list(result_iterator(path)) for path in files] == [
        [(0, 0), (0, 2), (0, 4)],
        [(0, 1), (0, 3), (0, 5)],
    ]


@pytest.mark.documented(
    "5 combiner: gets each pair of the map, a buffer of its partition and params",
    "5 combiner: returns pairs or None; only the pairs that it returns are kept",
)
def test_a_combiner_gets_every_pair_and_alone_decides_what_is_kept():
    def odd(key, value, buffer, done, params):
        if done:
            return iter([("seen", sorted(buffer))])
        buffer[key] = value
        return [(key, value)] if key % 2 else None

    given = results(
        input=["raw://x"], map=numbers, combiner=odd, partition=lambda key, n, params: 0
    )
    assert given == [(1, "x"), (3, "x"), (5, "x"), ("seen", [0, 1, 2, 3, 4, 5])]


@pytest.mark.documented("5 combiner: may clear its buffer to limit its size")
def test_a_combiner_may_empty_its_buffer_whenever_it_is_full():
    def in_twos(key, value, buffer, done, params):
        if not done:
            buffer[key] = value
        if done or len(buffer) == 2:
            block = (tuple(buffer), done)
            buffer.clear()
            return [block]

    assert results(input=["raw://x"], map=numbers, combiner=in_twos) == [
        ((0, 1), False),
        ((2, 3), False),
        ((4, 5), False),
        ((), True),
    ]


# --- the job dict
# -----------------------------------------------------------------------------------


@pytest.mark.documented(
    "3 jobdict() returns the job dict, whose parameters getitem finds",
    "3 input: a list of urls, or of lists of urls",
    "3 scheduler: goes into the job dict unchanged",
)
def test_the_job_dict_has_the_parameters_of_job_and_arguments():
    class Described(Job):
        map = staticmethod(nop_map)
        scheduler = {"max_cores": 1, "force_local": True}  # noqa: RUF012
        input = ["raw://never asked for"]  # noqa: RUF012

    inputs = ["raw://a", ["raw://b", "raw://the same"], "tag://some:tag"]
    given = worker.Worker(partitions=3).jobdict(Described(), input=inputs, reduce=nop_reduce)
    assert given["input"] == inputs
    assert given["scheduler"] == {"max_cores": 1, "force_local": True}
    assert (given["prefix"], given["nr_reduces"]) == ("Described", 3)
    assert (given["map?"], given["reduce?"]) == (True, True)


# --- in a task
# --------------------------------------------------------------------------------------


@pytest.mark.documented("4 the worker module has both, and the functions below")
@pytest.mark.parametrize("name", of_task.NAMES)
def test_the_worker_module_has_what_a_task_has(name):
    assert getattr(worker, name) is getattr(of_task, name)
