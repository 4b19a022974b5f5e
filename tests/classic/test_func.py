"""The default partitioning and the ready-made job functions."""

import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto import encode_pair
from kvproto.classic import kvgroup
from kvproto.classic.func import (
    default_partition,
    nop_map,
    nop_reduce,
    sum_combiner,
    sum_reduce,
)
from kvproto.protocol.dealing import Dealer

KEYS = [
    b"key",
    "key",
    "schl\xfcssel",
    "\udcff",
    0,
    1,
    -1,
    2**70,
    1.5,
    None,
    ("a", 1),
    (("a",), b"b"),
    Decimal("1.1"),
]


@given(st.binary(), st.integers(1, 100))
def test_bytes_keys_go_where_the_compiled_routing_sends_them(key, n_partitions):
    written = []
    dealer = Dealer(
        n_partitions, lambda partition, data, n_pairs: written.append(partition), with_lists=False
    )
    dealer.feed(encode_pair(key, b""))
    dealer.flush()
    assert written == [default_partition(key, n_partitions)]


@given(st.text(), st.integers(1, 100))
def test_str_keys_go_where_their_utf8_bytes_go(key, n_partitions):
    assert default_partition(key, n_partitions) == default_partition(key.encode(), n_partitions)


@pytest.mark.parametrize(
    "equal",
    [
        (1, 1.0, True, Decimal(1), Fraction(1)),
        (0, -0.0, False),
        (("a", 1), ("a", 1.0)),
        (b"x", bytearray(b"x")),
    ],
)
def test_equal_keys_go_together(equal):
    assert len({default_partition(key, 1009) for key in equal}) == 1


def test_it_is_the_same_in_every_process_whatever_the_hash_seed():
    script = (
        f"from decimal import Decimal\n"
        f"from kvproto.classic.func import default_partition as p\n"
        f"print([p(k, 1009) for k in {KEYS!r}])"
    )
    expected = str([default_partition(key, 1009) for key in KEYS])
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        said = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
        ).stdout
        assert said.strip() == expected


def test_a_nan_has_one_partition_too():
    assert len({default_partition(nan, 1009) for nan in [float("nan") for _ in range(20)]}) == 1


@pytest.mark.documented(
    "5 partition: gets key, number and params, and returns an integer below the number"
)
@given(
    st.text() | st.integers() | st.floats() | st.tuples(st.text(), st.integers()),
    st.integers(1, 50),
)
def test_a_partition_is_in_range(key, n_partitions):
    assert 0 <= default_partition(key, n_partitions) < n_partitions


def test_a_key_that_has_no_stable_hash_is_refused_by_type():
    with pytest.raises(TypeError, match="not list: give the job a partition function"):
        default_partition(["a"], 2)


@pytest.mark.documented("5 sum_reduce: sums the values of each key in the reduce")
def test_sum_reduce_sums_by_key():
    assert dict(sum_reduce(iter([("a", 1), ("b", 2), ("a", 3)]), None)) == {"a": 4, "b": 2}


@pytest.mark.documented("5 sum_combiner: sums the values of each key in the combiner")
def test_sum_combiner_gives_its_sums_when_done_and_before_its_buffer_grows_too_large():
    buffer = {}
    assert sum_combiner("a", 1, buffer, False, None) is None
    assert sum_combiner("a", 2, buffer, False, None) is None
    assert sum_combiner(None, None, buffer, True, None) == [("a", 3)]
    assert buffer == {}
    given_out = [sum_combiner(number, 1, buffer, False, None) for number in range(100_000)]
    assert given_out[:-1] == [None] * 99_999 and len(given_out[-1]) == 100_000 and buffer == {}


@pytest.mark.documented("5 nop_map: returns each entry of the input stream")
def test_nop_functions_pass_everything_on():
    class Out(list):
        def add(self, key, value):
            self.append((key, value))

    out = Out()
    nop_reduce(iter([("a", 1), ("a", 2)]), out, None)
    assert out == [("a", 1), ("a", 2)]
    assert list(nop_map(("url", "line"), None)) == [("url", "line")]
    assert list(nop_map("line", None)) == [("line", "")]
    assert list(nop_map(["url", "line"], None)) == [["url", "line"]]


def test_kvgroup_groups_what_is_consecutive():
    pairs = [("a", 1), ("a", 2), ("b", 3), ("a", 4)]
    assert [(key, list(values)) for key, values in kvgroup(pairs)] == [
        ("a", [1, 2]),
        ("b", [3]),
        ("a", [4]),
    ]
