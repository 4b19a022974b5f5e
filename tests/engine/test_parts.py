"""The output of a map by partition: as typed frames and as pickles it is read as the same pairs."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto.classic.func import default_partition, sum_combiner
from kvproto.engine import parts
from kvproto.engine.pair_source import PairSource
from kvproto.engine.shuffle import Encoder, route_pairs
from kvproto.storage.records import OBJECTS, TYPED, read_batches
from kvproto.storage.typed_records import TypedBatch, pairs_in, read_typed


class Text(str):
    """A subclass."""


class Collected:
    """A writer that keeps what it gets."""

    def __init__(self, n_partitions):
        self.data = [b""] * n_partitions
        self.n_pairs = [0] * n_partitions

    def write(self, partition, data, n_pairs):
        self.data[partition] += data
        self.n_pairs[partition] += n_pairs


def no_map():
    """What gave the pairs, in errors."""


def routed(pairs, kind, n_partitions=3, partition=default_partition, combiner=None):
    """The pairs of each partition, the types of its batches."""
    spec = SimpleNamespace(
        partition=partition, n_partitions=n_partitions, params=None, kind=kind, combiner=combiner
    )
    writer = Collected(n_partitions)
    source = PairSource(pairs, no_map)
    route_pairs(spec, source, Encoder(kind, no_map), writer)
    assert not source.is_giving
    read = read_typed if kind == TYPED else lambda data, x: read_batches(OBJECTS, data, x)
    batches = [list(read([data], "x")) for data in writer.data]
    out = [[pair for batch in part for pair in pairs_in(batch)] for part in batches]
    assert [len(part) for part in out] == writer.n_pairs
    return out, [[type(batch) for batch in part] for part in batches]


def last_of(key, value, buffer, done, params):
    """A combiner that keeps the last value, and gives other pairs at times."""
    if done:
        return list(buffer.items())
    buffer[key] = value
    return [[key, value], ("seen", key)] if value == 1 else None


def by_repr(key, n_partitions, params):
    return len(repr(key)) % n_partitions


KEYS = (
    st.sampled_from(["", "a", "é", "\udc80", Text("a")])
    | st.binary(max_size=1)
    | st.sampled_from([0, 1, True, None, 1.0, (1, "a")])
)
VALUES = st.sampled_from([0, 1, 1 << 63, True, None, 0.5, "a", "\ud800", b"b", (), Text("v")])
RUNS = st.lists(
    st.lists(st.tuples(st.text("ab", max_size=2), st.integers(0, 3)), max_size=40)
    | st.lists(st.tuples(st.binary(max_size=1), st.integers(0, 3)), max_size=40)
    | st.lists(st.tuples(KEYS, VALUES), max_size=40),
    max_size=4,
)


@given(
    runs=RUNS,
    n_partitions=st.integers(1, 3),
    partition=st.sampled_from([default_partition, by_repr]),
    combiner=st.sampled_from([None, last_of]),
    max_batch=st.integers(1, 200),
)
def test_typed_and_pickled_the_partitions_have_the_same_pairs_in_the_same_order(
    runs, n_partitions, partition, combiner, max_batch
):
    pairs = [pair for run in runs for pair in run]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_MAX_BATCH", max_batch)
        outs = [
            routed(pairs, kind, n_partitions, partition, combiner)[0] for kind in (TYPED, OBJECTS)
        ]
    assert repr(outs[0]) == repr(outs[1])


@given(runs=st.lists(st.tuples(st.text("ab"), st.integers() | st.floats(0, 1)), max_size=60))
def test_combined_in_batches_they_are_the_same_too(runs):
    outs = [routed(runs, kind, combiner=sum_combiner)[0] for kind in (TYPED, OBJECTS)]
    assert repr(outs[0]) == repr(outs[1])


def test_pairs_of_simple_types_are_typed_and_others_pickled():
    texts, octets = [("a", 1)] * 3000, [(b"b", None)] * 3000
    for pairs, kinds in (
        (texts, {TypedBatch}),
        (octets, {TypedBatch}),
        ([("a", [])] * 3000, {list}),
        ([*texts, *octets], {TypedBatch}),
        ([*texts, (1, 2), *texts], {TypedBatch, list}),
        ([*octets, ("a", [1]), *texts], {TypedBatch, list}),
    ):
        out, types = routed(pairs, TYPED, 1)
        assert out == [pairs] and set(types[0]) == kinds


def test_a_pair_that_is_none_is_an_error_of_what_gave_it():
    for wrong in (7, ("a",), "ab"):
        source = PairSource([("a", 1), wrong, ("b", 2)], no_map)
        spec = SimpleNamespace(
            partition=default_partition, n_partitions=2, params=None, kind=TYPED, combiner=None
        )
        with pytest.raises(TypeError, match=r"no_map returned .* not a \(key, value\) pair"):
            route_pairs(spec, source, Encoder(TYPED, no_map), Collected(2))
        assert source.is_giving


def test_an_error_of_the_partition_function_is_not_one_of_the_map():
    def partition(key, n_partitions, params):
        return {"a": 0}[key]

    source = PairSource([("a", 1), ("b", 1)], no_map)
    spec = SimpleNamespace(
        partition=partition, n_partitions=2, params=None, kind=TYPED, combiner=None
    )
    with pytest.raises(KeyError):
        route_pairs(spec, source, Encoder(TYPED, no_map), Collected(2))
    assert not source.is_giving


def test_the_memory_of_a_large_pair_is_given_back():
    large = ("a", "v" * 1_000_000)
    out, types = routed([("a", 1), large, ("a", 2)], TYPED, 1)
    assert out == [[("a", 1), large, ("a", 2)]] and types == [[TypedBatch, TypedBatch]]
