"""Every combination of map, combiner, partitions, sort, streams and reduce gives the same words,
each as often as it is there.

Jobs run in this process, task after task; those at the end run in task processes.
"""

import collections
import functools
import itertools
import json

import pytest
from support.jobs import InThisProcess

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import sum_combiner
from kvproto.classic.task_io import (
    OutputStream,
    chain_reader,
    disco_output_stream,
    plain_output_stream,
    task_output_stream,
)
from kvproto.engine.job import run_job
from kvproto.storage.job_directory import JobDirectory

pytestmark = pytest.mark.slow

TEXTS = [
    b"",
    b"one\ntwo\nthree\none\n",
    b"crlf\r\nwith a \0 NUL\n\xff no UTF-8 \xed\xa0\x80\none\n\nlast line, no newline",
    "grün 🍀 grün\n".encode() + b"x" * 3000 + b"\n" + b"one\n",
]
LINES = collections.Counter(line for text in TEXTS for line in text.splitlines(keepends=True))


def one(line, params):
    return [(line, 1)]


def one_as_text(line, params):
    return [(line, "1")]


def keep(key, value, buffer, done, params):
    """Counts, and lets go of what it has now and then."""
    if not done:
        buffer.setdefault(key, []).append(value)
        if len(buffer) < 3:
            return None
    pairs = [(key, value) for key, values in buffer.items() for value in values]
    buffer.clear()
    return pairs


def each(iter, params):
    return ((key, value) for key, value in iter)


def add_each(iter, out, params):
    for key, value in iter:
        out.add(key, value)


def line_pairs(fd, size, url, params):
    for line in fd:
        yield line, "1"


class Json(OutputStream):
    def add(self, key, value):
        self.write(json.dumps([_text(key), _text(value)]).encode() + b"\n")


def _text(item):
    return item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item


def json_stream(stream, partition, url, params):
    return Json(stream)


def json_reader(fd, size, url, params):
    return (tuple(json.loads(line)) for line in fd)


STREAMS = {  # name -> (output streams, reader)
    "own format": ([task_output_stream], chain_reader),
    "hunks": ([task_output_stream, disco_output_stream], chain_reader),
    "netstrings": ([task_output_stream, plain_output_stream], chain_reader),
    "a stream of one's own": ([task_output_stream, json_stream], json_reader),
}


@pytest.fixture(scope="module")
def programs(identity):
    return external([str(identity)])


@pytest.fixture
def texts(tmp_path):
    paths = [tmp_path / f"text-{number}" for number in range(len(TEXTS))]
    for path, text in zip(paths, TEXTS, strict=True):
        path.write_bytes(text)
    return [str(path) for path in paths]


def functions(map, reduce, combiner, partitions, sort, streams, program):
    output, reader = STREAMS[streams]
    found = {"partitions": partitions, "sort": sort, "combiner": combiner}
    found["map"] = {
        "function": one_as_text if reduce == "external" else one,
        "external": program,
        None: None,
    }[map]
    found["reduce"] = {"of 2": each, "of 3": add_each, "external": program, None: None}[reduce]
    found["reduce_reader"] = reader if map else line_pairs
    if map:
        found["map_output_stream"] = output
    if reduce:
        found["reduce_output_stream"] = output
    return found


def makes_sense(map, reduce, combiner):
    has_numbers = map == "function" and reduce != "external"
    return (
        (map or reduce)
        and (map or combiner is None)
        and (has_numbers or combiner is not sum_combiner)
    )


def found_lines(urls, reader):
    """(line -> times, key -> the files that it is in) in results."""
    lines, places = collections.Counter(), collections.defaultdict(set)
    for url in urls:
        for pair in result_iterator([url], reader=reader):
            key, value = (
                item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item
                for item in pair
            )
            places[key].add(url)
            if key:
                lines[key] += int(value)
            else:
                lines[value] += 1
    return lines, places


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("map", ["function", "external", None])
def test_each_line_comes_out_as_often_as_it_went_in(map, streams, texts, programs):
    everything = itertools.product(
        ["of 2", "of 3", "external", None], [None, keep, sum_combiner], [1, 3, None], [False, True]
    )
    for reduce, combiner, partitions, sort in everything:
        if not makes_sense(map, reduce, combiner):
            continue
        about = (reduce, combiner, partitions, sort)
        job = Job("combined")
        jobargs = {
            "input": texts,
            **functions(map, reduce, combiner, partitions, sort, streams, programs),
        }
        spec = job.worker.spec(job, jobargs)
        directory = JobDirectory("combined")
        try:
            urls = run_job(
                spec, job.worker.inputs(job, jobargs, spec), directory, InThisProcess(), 2
            )
        finally:
            directory.close()
        lines, places = found_lines(urls, STREAMS[streams][1])
        assert lines == LINES, about
        if reduce:
            assert len(urls) == (partitions or 1) and all(
                len(files) == 1 for files in places.values()
            ), about


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    "combination",
    [
        ("function", "of 3", sum_combiner, 3, True, "hunks"),
        ("function", "of 2", keep, 1, False, "a stream of one's own"),
        ("external", "external", None, 3, True, "own format"),
        ("external", "of 2", keep, None, True, "netstrings"),
        (None, "external", None, 3, False, "own format"),
    ],
)
def test_so_it_does_in_task_processes(combination, processes, texts, programs):
    jobargs = functions(*combination, programs)
    urls = Job("combined").run(input=texts, processes=processes, **jobargs).wait()
    assert found_lines(urls, STREAMS[combination[-1]][1])[0] == LINES


KEYS = [
    "",
    "a",
    "\udcff",
    "\ud800",
    "a\0b",
    b"",
    b"a",
    b"\xff\0",
    0,
    -1,
    1.5,
    10**30,
    None,
    (),
    (1, "a"),
    (1, ("\ud800", None)),
]


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("combiner", [None, keep, sum_combiner])
def test_keys_of_any_type_come_out_as_they_are(combiner, partitions):
    def keys(line, params):
        return [(key, 1) for key in [*KEYS, True, 1, 1.0]]

    def sums(iter, params):
        found = collections.Counter()
        for key, value in iter:
            found[key] += value
        return found.items()

    jobargs = {
        "input": ["raw://x", "raw://y"],
        "map": keys,
        "combiner": combiner,
        "partitions": partitions,
        "reduce": sums,
    }
    urls = Job("keys").run(**jobargs).wait()
    assert sorted(map(repr, result_iterator(urls))) == sorted(
        [repr((key, 2)) for key in KEYS] + ["(True, 6)"]
    )


def give(keys, line, params):
    return [(key, 1) for key in keys]


def test_all_keys_of_one_type_are_sorted():
    for keys in [
        [None] * 5,
        [True, 1, 0.5, -1, 10**30],
        ["\ud800", "", "b", "\U0001f340", "a"],
        [(2, "b"), (), (2, "a")],
    ]:
        jobargs = {
            "input": ["raw://x"],
            "map": functools.partial(give, keys),
            "reduce": each,
            "sort": True,
        }
        urls = Job("keys").run(**jobargs).wait()
        assert [key for key, _ in result_iterator(urls)] == (keys if None in keys else sorted(keys))
