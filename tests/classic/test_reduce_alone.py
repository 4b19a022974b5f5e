"""A reduce without a map: what it reads, and which partition reads what."""

import os

import pytest
from support.jobs import ECHO, program, results

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import nop_map, nop_reduce
from kvproto.errors import JobError

pytestmark = pytest.mark.slow


def numbered(entry, params):
    return [(number, entry.strip()) for number in range(6)]


def by_number(key, n_partitions, params):
    return key % n_partitions


@pytest.fixture
def earlier():
    """The results of a job with three partitions."""
    return (
        Job("earlier")
        .run(input=["raw://a"], map=numbered, reduce=nop_reduce, partition=by_number, partitions=3)
        .wait()
    )


def count(entries, params):
    return [(sorted(key for key, _ in entries), "keys")]


@pytest.mark.documented(
    "2 reduce: works without a map",
    "2 reduce_reader: is chain_reader by default",
)
def test_one_partition_reads_the_results_of_an_earlier_job_all_together(earlier):
    assert results(input=earlier, reduce=count) == [([0, 1, 2, 3, 4, 5], "keys")]


@pytest.mark.documented("2 reduce: works without a map")
def test_several_partitions_get_the_pairs_by_their_keys(earlier):
    assert results(input=earlier, reduce=count, partitions=2, partition=by_number) == [
        ([0, 2, 4], "keys"),
        ([1, 3, 5], "keys"),
    ]


def test_what_is_the_maps_alone_is_not_done_where_there_is_none(earlier):
    def never(*arguments):
        raise AssertionError("called")

    of_maps = {
        "map_init": never,
        "combiner": never,
        "map_reader": never,
        "map_output_stream": [never],
    }
    assert (
        len(results(input=earlier, reduce=count, partitions=2, partition=by_number, **of_maps)) == 2
    )


@pytest.mark.documented(
    "2 partitions: is their number, or None",
    "3 input: dir:// is an index of results",
)
def test_inputs_with_labels_keep_their_partitions(earlier, tmp_path):
    index = tmp_path / "index"
    index.write_text(
        "".join(f"{label} {path} {os.path.getsize(path)}\n" for label, path in enumerate(earlier))
    )
    for partitions in (None, 3):
        job = Job("labels").run(input=[f"dir://{index}"], reduce=count, partitions=partitions)
        assert list(result_iterator(job.wait())) == [
            ([0, 3], "keys"),
            ([1, 4], "keys"),
            ([2, 5], "keys"),
        ]


@pytest.mark.documented("2 reduce_reader: without a map, reads any input, as map_reader does")
def test_entries_are_those_of_the_reduce_reader(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("b\na\n")

    def lines(fd, size, url, params):
        return (line.strip() for line in fd)

    def reduce(entries, params):
        return [(entry, size) for size, entry in enumerate(entries)]

    assert results(input=[str(path)], reduce=reduce, reduce_reader=lines) == [("b", 0), ("a", 1)]


def test_without_a_reader_the_entries_are_lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("b\na\n")
    given = results(
        input=[str(path)],
        reduce=lambda entries, params: [(e, 0) for e in entries],
        reduce_reader=None,
    )
    assert given == [("b\n", 0), ("a\n", 0)]


def test_text_is_not_what_the_default_reader_expects(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("some text\n")
    with pytest.raises(JobError, match=r"lines.txt"):
        results(input=[str(path)], reduce=nop_reduce)


def lists_of_three(file, size, url, params):
    return [[1, 2, 3]]


def pairs_of_objects(file, size, url, params):
    return [("key", object())]


@pytest.mark.parametrize(
    ("reader", "error"),
    [
        (None, "TypeError: the input returned 'a', which is not a .key, value. pair"),
        (lists_of_three, "TypeError: classic.test_reduce_alone.lists_of_three returned .1, 2"),
    ],
)
def test_entries_that_are_no_pairs_cannot_be_partitioned(reader, error):
    with pytest.raises(JobError, match=error):
        results(input=["raw://a"], reduce=nop_reduce, reduce_reader=reader, partitions=2)


def test_an_error_of_pairs_that_no_program_can_read_names_what_made_them(tmp_path):
    echo = external([program(tmp_path, ECHO)])
    with pytest.raises(JobError, match=r"test_reduce_alone.pairs_of_objects returned a pair that"):
        results(input=["raw://a"], reduce=echo, reduce_reader=pairs_of_objects, partitions=2)


def test_an_external_reduce_alone_reads_pairs_and_lines(earlier, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("b\na\n")
    echo = external([program(tmp_path, ECHO)])
    assert results(input=[str(path)], reduce=echo, reduce_reader=None) == [
        (b"", b"b\n"),
        (b"", b"a\n"),
    ]
    texts = Job("texts").run(input=[str(path)], map=nop_map).wait()
    assert results(input=texts, reduce=echo) == [(b"b\n", b""), (b"a\n", b"")]


def test_the_pairs_are_sorted_when_the_job_wants_that(earlier):
    assert [key for key, _ in results(input=earlier, reduce=nop_reduce, sort=True)] == [
        0,
        1,
        2,
        3,
        4,
        5,
    ]


def test_a_job_with_neither_map_nor_reduce_is_refused():
    with pytest.raises(JobError, match="neither map nor reduce"):
        results(input=["raw://a"])


def test_with_none_each_task_reads_the_results_of_its_partition(earlier):
    def keys(pairs, params):
        return [(sorted(key for key, _ in pairs), "")]

    mapped = (
        Job("mapped")
        .run(input=["raw://a", "raw://b"], map=numbered, partition=by_number, partitions=3)
        .wait()
    )
    urls = Job("none").run(input=[*earlier, *mapped], reduce=keys, partitions=None).wait()
    assert [key for key, _ in result_iterator(urls)] == [
        [0, 0, 0, 3, 3, 3],
        [1, 1, 1, 4, 4, 4],
        [2, 2, 2, 5, 5, 5],
    ]
