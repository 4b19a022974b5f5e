"""Pairs of objects dealt as typed frames, compiled and in Python: the same frames in the same
partitions, and the same stops.
"""

import math
import sys
from array import array
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.codecs_under_test import NAMES, codec_named

from kvproto import decode_pairs
from kvproto.protocol.reference import pack_typed, unpack_typed

PRIMITIVES = [name for name in NAMES if name != "c"]


class Text(str):
    """A subclass, which has no letter."""


class Number(int):
    """The same."""


TEXT = st.text(max_size=9) | st.text("aé\0\udc80", max_size=3) | st.just(Text("a"))
VALUES = (
    TEXT
    | st.binary(max_size=9)
    | st.integers()
    | st.floats()
    | st.sampled_from([1 << 63, (1 << 63) - 1, -(1 << 63), -(1 << 63) - 1, True, False, None])
    | st.sampled_from([Number(3), (), [1], -0.0, math.nan, 1 << 200])
)
KEYS = TEXT | st.binary(max_size=9) | st.integers(0, 3) | st.none()
ITEMS = st.tuples(KEYS, VALUES) | st.sampled_from([("a",), ("a", 1, 2), ["a", 1], "ab", None])
SIMPLE = st.tuples(st.text("abcd", max_size=20), st.integers(-9, 9))


def dealt(name, items, n_parts, *, is_text=True, max_bytes=1 << 20, partition=None):
    """The stops, and the frames of each part, which are emptied when one is full."""
    deal = codec_named(name).primitives.deal_typed
    parts = [bytearray() for _ in range(n_parts)]
    used, n_pairs = array("Q", bytes(8 * n_parts)), array("Q", bytes(8 * n_parts))
    frames, stops, pairs = [b""] * n_parts, [], iter(items)
    while True:
        stop = deal(pairs, parts, used, n_pairs, is_text, max_bytes, partition)
        stops.append((stop, list(used), list(n_pairs)))
        if stop == -1:
            break
        if isinstance(stop, int):
            frames[stop] += parts[stop][: used[stop]]
            used[stop] = n_pairs[stop] = 0
    return stops, [
        frame + part[:size] for frame, part, size in zip(frames, parts, used, strict=True)
    ]


@given(
    items=st.lists(ITEMS | SIMPLE, max_size=30),
    n_parts=st.integers(1, 4),
    is_text=st.booleans(),
    max_bytes=st.integers(1, 100),
    owner=st.none() | st.integers(0, 3),
)
def test_compiled_and_in_python_the_frames_and_the_stops_are_the_same(
    items, n_parts, is_text, max_bytes, owner
):
    def partition(key):
        return (owner + len(key)) % n_parts

    reference, *compiled = [
        repr(
            dealt(
                name,
                items,
                n_parts,
                is_text=is_text,
                max_bytes=max_bytes,
                partition=None if owner is None else partition,
            )
        )
        for name in PRIMITIVES
    ]
    assert compiled in ([], [reference])


@pytest.mark.parametrize("name", PRIMITIVES)
@given(pairs=st.lists(SIMPLE, max_size=60), n_parts=st.integers(1, 5))
def test_each_partition_has_its_pairs_in_the_order_given(name, pairs, n_parts):
    stops, frames = dealt(name, pairs, n_parts)
    assert [stop for stop, _used, _n_pairs in stops] == [-1]
    for number, part in enumerate(frames):
        wanted = [pair for pair in pairs if crc32(pair[0].encode()) % n_parts == number]
        assert unpack_typed(part, True, None) == wanted
        assert part == pack_typed(wanted, True, None) and stops[0][2][number] == len(wanted)


@pytest.fixture(params=PRIMITIVES)
def deal_typed(request):
    return codec_named(request.param).primitives.deal_typed


def numbers(n_parts):
    return array("Q", bytes(8 * n_parts))


@pytest.mark.parametrize(
    "odd",
    [
        *(None, "ab", ("a",), ["a", 1], (b"a", 1), (Text("a"), 1), ("a", ()), ("a", 1 << 63)),
        *(
            ("\ud800", 1),
            ("a", "\ud800"),
            ("a" * ((1 << 24) + 1), 1),
            ("a", b"a" * ((1 << 24) + 1)),
        ),
    ],
    ids=lambda odd: repr(odd)[:20],
)
def test_what_has_no_typed_frame_is_returned_and_the_rest_is_not_read(deal_typed, odd):
    parts, used, n_pairs = [bytearray()], numbers(1), numbers(1)
    pairs = iter([("a", 1), odd, ("b", 2)])
    assert deal_typed(pairs, parts, used, n_pairs, True, 1 << 20, None) == [odd]
    assert decode_pairs(parts[0][: used[0]]) == [(b"a", b"i\1" + bytes(7))]
    assert list(n_pairs) == [1] and next(pairs) == ("b", 2)


def test_a_part_is_full_when_it_has_the_most_bytes_and_holds_a_larger_pair(deal_typed):
    parts, used, n_pairs = [bytearray(b"old"), bytearray(10)], numbers(2), numbers(2)
    large = ("large", b"v" * 100_000)
    pairs = iter([("a", 1), large, ("b", None)])

    def partition(key):
        return int(key == "large")

    assert deal_typed(pairs, parts, used, n_pairs, True, 100, partition) == 1
    assert unpack_typed(parts[1][: used[1]], True, None) == [large]
    assert deal_typed(pairs, parts, used, n_pairs, True, 100, partition) == -1
    assert unpack_typed(parts[0][: used[0]], True, None) == [("a", 1), ("b", None)]
    assert list(n_pairs) == [2, 1]


def test_a_part_is_full_with_exactly_the_most_bytes(deal_typed):
    for max_bytes, stop in ((18, 0), (19, -1)):
        parts, used, n_pairs = [bytearray()], numbers(1), numbers(1)
        assert deal_typed(iter([("a", 1)]), parts, used, n_pairs, True, max_bytes, None) == stop
        assert used[0] == 18


def test_errors_of_the_iterator_and_of_the_partition_pass(deal_typed):
    def pairs():
        yield "a", 1
        raise ZeroDivisionError

    def partition(key):
        return {"a": 0, "b": 2, "c": -1, "d": 1 << 70}[key]

    parts, used, n_pairs = [bytearray(), bytearray()], numbers(2), numbers(2)
    with pytest.raises(ZeroDivisionError):
        deal_typed(pairs(), parts, used, n_pairs, True, 100, partition)
    for key in "bcdx":
        with pytest.raises((KeyError, IndexError, OverflowError)):
            deal_typed(iter([(key, 1)]), parts, used, n_pairs, True, 100, partition)
    assert list(n_pairs) == [1, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        ([], [bytearray()], numbers(1), numbers(1)),
        (iter([]), [], numbers(0), numbers(0)),
        (iter([]), [b""], numbers(1), numbers(1)),
        (iter([]), (bytearray(),), numbers(1), numbers(1)),
        (iter([]), [bytearray()], numbers(2), numbers(1)),
        (iter([]), [bytearray()], numbers(1), numbers(2)),
        (iter([]), [bytearray()], bytes(8), numbers(1)),
    ],
)
def test_other_arguments_are_refused(wrong):
    deal = codec_named("native").primitives.deal_typed
    with pytest.raises((TypeError, BufferError)):
        deal(*wrong, True, 100, None)
    with pytest.raises(TypeError, match="deal_typed"):
        deal(*wrong)


class Ended:
    """An iterator whose end is a StopIteration that it raises."""

    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration("the end")


def test_the_end_of_any_iterator_is_no_error(deal_typed):
    assert deal_typed(Ended(), [bytearray()], numbers(1), numbers(1), True, 1, None) == -1


def test_no_object_is_kept_or_lost():
    deal = codec_named("native").primitives.deal_typed
    key, value, odd = "the key", 12345, ("a", object())
    before = [sys.getrefcount(thing) for thing in (key, value, odd)]
    parts, used, n_pairs = [bytearray(), bytearray()], numbers(2), numbers(2)
    for _ in range(100):
        assert deal(iter([(key, value), odd]), parts, used, n_pairs, True, 1 << 20, None) == [odd]
    assert [sys.getrefcount(thing) for thing in (key, value, odd)] == before
