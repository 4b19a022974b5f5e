"""Pairs dealt to their partitions, compiled and in Python: each where `default_partition` has it,
in the order given.
"""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.codecs_under_test import NAMES, codec_named

from kvproto.classic.func import default_partition

PRIMITIVES = [name for name in NAMES if name != "c"]
KEYS = (
    st.text()
    | st.text("aé\udc80")
    | st.binary()
    | st.integers()
    | st.sampled_from(
        [True, 1.0, -1, -2, (1 << 61) - 1, None, ("a", 1), bytearray(b"a"), float("nan")]
    )
)


@pytest.fixture(params=PRIMITIVES)
def deal_pairs(request):
    return codec_named(request.param).primitives.deal_pairs


@pytest.mark.parametrize("name", PRIMITIVES)
@given(keys=st.lists(KEYS), n_partitions=st.integers(1, 7))
def test_each_pair_goes_where_the_default_partition_says_in_the_order_given(
    name, keys, n_partitions
):
    pairs = [(key, number) for number, key in enumerate(keys)]
    parts, expected = [[[("before", 0)] for _ in range(n_partitions)] for _ in range(2)]
    other = functools.partial(default_partition, nr_partitions=n_partitions)
    codec_named(name).primitives.deal_pairs(pairs, parts, other)
    for pair in pairs:
        expected[default_partition(pair[0], n_partitions)].append(pair)
    assert parts == expected


def test_keys_of_other_types_are_asked_for_and_no_others(deal_pairs):
    asked = []
    deal_pairs(
        [("a", 1), (b"b", 1), (3, 1), (4.5, 1), ("\udc80", 1), (True, 1)],
        [[], []],
        lambda key: asked.append(key) or 0,
    )
    assert asked == [4.5, "\udc80", True]


def test_what_is_asked_may_fail_or_answer_nonsense(deal_pairs):
    with pytest.raises(TypeError, match="not list: give the job"):
        deal_pairs([(["a"], 1)], [[], []], functools.partial(default_partition, nr_partitions=2))
    with pytest.raises(IndexError):
        deal_pairs([(None, 1)], [[], []], lambda key: 2)
