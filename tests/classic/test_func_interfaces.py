"""Range partitions, the interfaces of job functions, and what old code imports from func."""

import datetime
import pickle
from decimal import Decimal

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import results

from kvproto.classic import Job, func, result_iterator, task_io
from kvproto.classic.func import nop_reduce


@given(st.integers(), st.integers(min_value=1), st.data(), st.integers(1, 100))
def test_a_range_partition_keeps_the_order_and_stays_in_range(low, size, data, n_partitions):
    partition = func.make_range_partition(low, low + size)
    keys = sorted(data.draw(st.lists(st.integers(low - 5, low + size + 5))))
    numbers = [partition(key, n_partitions, None) for key in keys]
    assert numbers == sorted(numbers) and set(numbers) <= set(range(n_partitions))


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(allow_nan=False), st.integers(1, 1000))
def test_floats_have_a_partition_too(low, high, key, n_partitions):
    if low < high:
        assert 0 <= func.make_range_partition(low, high)(key, n_partitions, None) < n_partitions


def test_a_float_that_is_rounded_to_the_end_of_the_range_is_in_the_last_partition():
    assert func.make_range_partition(-1.0, 1e-17)(0.0, 5, None) == 4


@pytest.mark.documented(
    "5 make_range_partition: divides a range of keys into parts of equal size, one for "
    "each partition"
)
@pytest.mark.parametrize(
    "low, high, n_partitions", [(0, 99, 10), (-50, 49, 4), (1, 1000, 8), (0, 9, 10), (0, 1, 2)]
)
def test_partitions_of_a_range_are_of_equal_size_with_both_ends_in_it(low, high, n_partitions):
    partition = func.make_range_partition(low, high)
    sizes = [0] * n_partitions
    for key in range(low, high + 1):
        sizes[partition(key, n_partitions, None)] += 1
    assert set(sizes) == {(high + 1 - low) // n_partitions}


def test_keys_outside_a_range_go_to_its_ends():
    partition = func.make_range_partition(10, 20)
    keys = [-5, 9, 10, 20, 21, float("-inf"), float("inf"), "-1", b"1e9"]
    assert [partition(key, 5, None) for key in keys] == [0, 0, 0, 4, 4, 0, 4, 0, 4]


def test_keys_can_be_what_spells_a_number_or_is_measured_like_one():
    partition = func.make_range_partition(0, 100)
    assert [partition(key, 10, None) for key in ("55", b"55", "55.5", "55\n", Decimal(55))] == [
        5
    ] * 5
    days = func.make_range_partition(datetime.date(2010, 1, 1), datetime.date(2010, 12, 31))
    assert [days(datetime.date(2010, month, 15), 12, None) for month in range(1, 13)] == list(
        range(12)
    )


@pytest.mark.parametrize("low, high", [(3, 3), (4, 3), (float("nan"), 1), (0, float("nan"))])
def test_a_range_that_is_empty_or_none_is_refused(low, high):
    with pytest.raises(ValueError, match="is not less than"):
        func.make_range_partition(low, high)


@pytest.mark.parametrize(
    "key, what", [("ten", "key 'ten' is not a number"), (float("nan"), "key nan cannot be placed")]
)
def test_a_key_that_has_no_place_in_a_range_is_named(key, what):
    with pytest.raises(ValueError, match=what):
        func.make_range_partition(0, 10)(key, 2, None)


def test_a_range_partition_travels_to_other_processes():
    partition = func.make_range_partition(0, 9)
    assert pickle.loads(cloudpickle.dumps(partition))(7, 10, None) == 7
    inputs = [f"raw://{number}" for number in (7, 2, 9, 2)]
    pairs = results(
        input=inputs, map=func.nop_map, partition=partition, partitions=10, reduce=func.nop_reduce
    )
    assert pairs == [("2", ""), ("2", ""), ("7", ""), ("9", "")]


@pytest.mark.documented("5 the module has the interfaces, the defaults and ready-made functions")
@pytest.mark.parametrize(
    "name, arguments",
    [
        ("map", "entry, params"),
        ("combiner", "key, value, buffer, done, params"),
        ("partition", "key, nr_partitions, params"),
        ("reduce", "input_stream, output_stream, params"),
        ("reduce2", "input_stream, params"),
        ("input_stream", "stream, size, url, params"),
        ("output_stream", "stream, partition, url, params"),
    ],
)
def test_an_interface_is_documented_has_its_arguments_and_is_not_to_be_called(name, arguments):
    interface = getattr(func, name)
    code = interface.__code__
    assert ", ".join(code.co_varnames[: code.co_argcount]) == arguments and interface.__doc__
    with pytest.raises(NotImplementedError, match=name):
        interface(*arguments.split(", "))


def test_init_and_noop_do_nothing():
    assert func.init(iter([]), None) is None and func.noop(1, two=2) is None


def test_func_has_the_readers_and_streams_of_task_io_for_code_that_looks_there():
    for name in set(task_io.__all__) - {"chain_input", "chain_output"}:
        assert getattr(func, name) is getattr(task_io, name), name


def test_importing_all_of_func_hides_no_builtin():
    assert (
        set(func.__all__)
        & set(dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__)
        == set()
    )


@pytest.mark.parametrize(
    "keys, wanted", [([], []), (["k"], [("pairs", 1)]), (["k", "k"], [("pairs", 2)])]
)
def test_a_combiner_is_called_with_done_for_the_partitions_that_had_a_pair_and_no_others(
    keys, wanted
):
    def count(key, value, buffer, done, params):
        if done:
            return [("pairs", buffer["n"])]  # KeyError where no pair came before
        buffer["n"] = buffer.get("n", 0) + 1

    job = {
        "input": ["raw://x"],
        "map": lambda entry, params: [(key, 1) for key in keys],
        "combiner": count,
    }
    assert results(**job, partitions=4, reduce=nop_reduce) == wanted
    assert results(**job, partitions=4) == wanted


def test_hash_sends_equal_keys_to_one_partition_whichever_process_asks():
    def by_hash(key, nr_partitions, params):
        return hash(key) % nr_partitions

    def with_partition(pairs, params):
        return [(key, this_partition()) for key in {key for key, _ in pairs}]  # noqa: F821

    job = Job("hash").run(
        input=[f"raw://{number}" for number in range(8)],
        map=lambda entry, params: [(f"key {n}", 1) for n in range(50)],
        map_reader=None,
        map_init=lambda entries, params: None,
        partition=by_hash,
        partitions=4,
        reduce=with_partition,
        processes=2,
    )
    found = list(result_iterator(job.wait()))
    assert len(found) == len(dict(found)) == 50
    assert len(set(dict(found).values())) == 4
