"""The parameter sort: what a reduce gets, from functions and from external programs."""

import os

import pytest
from support.jobs import ECHO, program, results

from kvproto.classic import Job, external, kvgroup, result_iterator
from kvproto.classic.func import nop_reduce
from kvproto.errors import JobError

KEYS = [
    b"\n",
    b"",
    b"\x00",
    b"\xff",
    b"a\x00b",
    b"a",
    b"a\x01",
    b"\x02",
    b"\xff\xff",
    b"\n\n",
    b"a b",
]


def spread(entry, params):
    """Each of the keys in params, several times, its values numbered."""
    return [(key, number) for number in range(3) for key in params]


@pytest.mark.parametrize(
    "given",
    [
        KEYS,
        ["b", "", "\U0001f600", "\ue000", "a\x00", "a", "\n", "\udcff"],
        [3, 1.5, -2, True, 10**30],
        [(2, "b"), (2, "a"), (1, "z")],
    ],
    ids=["bytes", "str", "numbers", "tuples"],
)
def test_a_reduce_gets_keys_in_ascending_order_and_the_values_of_one_in_the_order_given(
    given,
):
    pairs = results(input=["raw://a"], map=spread, params=given, reduce=nop_reduce, sort=True)
    assert pairs == [(key, number) for key in sorted(given) for number in range(3)]


def test_in_sorted_input_equal_keys_are_together():
    def grouped(entries, params):
        return [(key, list(values)) for key, values in kvgroup(entries)]

    assert results(
        input=["raw://a", "raw://b"], map=spread, params=["x", "y"], reduce=grouped, sort=True
    ) == [
        ("x", [0, 1, 2, 0, 1, 2]),
        ("y", [0, 1, 2, 0, 1, 2]),
    ]


def test_each_partition_is_sorted():
    job = Job("sorted").run(
        input=["raw://a"],
        map=spread,
        params=list(range(9, 0, -1)),
        reduce=nop_reduce,
        sort=True,
        partitions=2,
        partition=lambda key, n, params: key % n,
    )
    assert [[key for key, _ in result_iterator(path)][::3] for path in job.wait()] == [
        [2, 4, 6, 8],
        [1, 3, 5, 7, 9],
    ]


def test_an_external_reduce_gets_its_pairs_sorted(tmp_path):
    def texts(entry, params):
        return [(key, b"\x00\n\xff") for key in params]

    given = results(
        input=["raw://a"],
        map=texts,
        params=KEYS,
        reduce=external([program(tmp_path, ECHO)]),
        sort=True,
    )
    assert given == [(key, b"\x00\n\xff") for key in sorted(KEYS)]


def test_the_pairs_of_an_external_map_are_sorted_for_a_function(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"b 1\na 2\n\xff 3\n")
    swap = program(tmp_path, "for key, value in pairs():\n    answer((value[:1], value[2:3]))\n")
    assert results(input=[str(path)], map=external([swap]), reduce=nop_reduce, sort=True) == [
        (b"a", b"2"),
        (b"b", b"1"),
        (b"\xff", b"3"),
    ]


def test_keys_of_several_types_are_an_error_that_names_them():
    with pytest.raises(JobError, match=r"str.*int|int.*str"):
        results(input=["raw://a"], map=spread, params=["a", 1], reduce=nop_reduce, sort=True)


def test_a_sort_leaves_nothing_in_the_jobs_directory():
    job = Job("tidy").run(input=["raw://a"], map=spread, params=KEYS, reduce=nop_reduce, sort=True)
    job.wait()
    assert "tmp" not in os.listdir(job.directory)


@pytest.mark.parametrize("size", ["much", "10 %", "", "-1M", 3.5])
def test_a_buffer_size_that_sort_would_not_take_is_refused_at_once(size):
    with pytest.raises((ValueError, TypeError), match=r"sort_buffer_size|buffer"):
        Job("refused").run(
            input=["raw://a"], map=spread, reduce=nop_reduce, sort=True, sort_buffer_size=size
        )
