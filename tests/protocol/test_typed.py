"""Pairs of objects as frames with typed values, compiled and in Python: the same frames, and the
same objects back.
"""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.codecs_under_test import NAMES, codec_named

from kvproto import decode_pairs, encode_pair

PRIMITIVES = [name for name in NAMES if name != "c"]
TEXT = st.text() | st.text("aé\0\udc80") | st.text(min_size=60, max_size=80)
VALUES = (
    TEXT
    | st.binary(max_size=100)
    | st.integers()
    | st.sampled_from([1 << 63, (1 << 63) - 1, -(1 << 63), -(1 << 63) - 1, True, None])
    | st.floats()
    | st.tuples(st.integers())
)


class Text(str):
    """A subclass, which has no letter."""


def other(pair):
    return b"key", b"p" + pickle.dumps(pair)


def from_other(key, value):
    assert key == b"key" and value[:1] == b"p"
    return pickle.loads(value[1:])


def same(one, another):
    if isinstance(one, float) and math.isnan(one):
        return isinstance(another, float) and math.isnan(another)
    return type(one) is type(another) and one == another


def pairs_with(keys):
    return st.lists(st.tuples(keys, VALUES), max_size=20)


@pytest.mark.parametrize("is_text", [True, False])
@given(data=st.data())
def test_pairs_have_the_same_frames_in_c_and_python_and_come_back_as_they_were(is_text, data):
    keys = TEXT | st.just(Text("key")) if is_text else st.binary(max_size=20)
    pairs = data.draw(pairs_with(keys))
    packed = [
        bytes(codec_named(name).primitives.pack_typed(pairs, is_text, other)) for name in PRIMITIVES
    ]
    assert len(set(packed)) == 1
    for name in PRIMITIVES:
        unpacked = codec_named(name).primitives.unpack_typed(packed[0], is_text, from_other)
        assert len(unpacked) == len(pairs)
        for (key, value), (key_back, value_back) in zip(pairs, unpacked, strict=True):
            assert same(key, key_back) and same(value, value_back)


@pytest.fixture
def native():
    return codec_named("native").primitives


@pytest.fixture(params=PRIMITIVES)
def primitives(request):
    return codec_named(request.param).primitives


def test_the_letters_say_the_type_of_the_value(primitives):
    pairs = [("a", value) for value in ("é", b"\0", -2, 0.5, None, True, False)]
    frames = bytes(primitives.pack_typed(pairs, True, other))
    assert decode_pairs(frames) == [
        (b"a", b"s\xc3\xa9"),
        (b"a", b"b\0"),
        (b"a", b"i\xfe" + b"\xff" * 7),
        (b"a", b"f\0\0\0\0\0\0\xe0?"),
        (b"a", b"n"),
        (b"a", b"t"),
        (b"a", b"u"),
    ]


@pytest.mark.parametrize(
    "pair",
    [("a", ()), ("a", 1 << 63), ("a", "\ud800"), ("\ud800", 1), (Text("a"), 1), ("a", Text("a"))],
)
def test_what_has_no_letter_is_left_to_the_caller_in_its_place(primitives, pair):
    pairs = [("b", 1), pair, ("c", 2)]
    frames = bytes(primitives.pack_typed(pairs, True, other))
    assert decode_pairs(frames)[1] == other(pair)
    assert primitives.unpack_typed(frames, True, from_other) == pairs


@pytest.mark.parametrize("value", [b"", b"i", b"i1234567", b"f123456789", b"nn", b"t1", b"x", b"p"])
def test_a_value_that_is_not_one_of_a_letter_is_left_to_the_caller(primitives, value):
    frames = encode_pair(b"key", value)
    assert primitives.unpack_typed(frames, False, lambda *item: item) == [(b"key", value)]


def test_frames_that_are_not_whole_are_refused(primitives):
    frames = bytes(primitives.pack_typed([("key", 1)], True, other))
    for end in range(1, len(frames)):
        with pytest.raises(ValueError, match="not whole frames"):
            primitives.unpack_typed(frames[:end], True, from_other)
    assert primitives.unpack_typed(b"", True, from_other) == []


def test_an_error_of_the_caller_passes(primitives):
    def fail(*_arguments):
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        primitives.pack_typed([("a", 1), ("a", ())], True, fail)
    frames = bytes(primitives.pack_typed([("a", 1), ("a", ())], True, other))
    with pytest.raises(KeyError, match="its own"):
        primitives.unpack_typed(frames, True, fail)


def test_equal_keys_in_a_row_are_one_object(native):
    frames = bytes(native.pack_typed([("the key", 1), ("the key", 2), ("other", 3)], True, other))
    (first, _), (second, _), (third, _) = native.unpack_typed(frames, True, from_other)
    assert first is second and third == "other"


@pytest.mark.parametrize(
    "wrong", [((), True, other), ([["a", 1]], True, other), ([("a",)], True, other), ([], True, 1)]
)
def test_other_arguments_are_refused(native, wrong):
    with pytest.raises(TypeError, match="pack_typed"):
        native.pack_typed(*wrong)


@pytest.mark.parametrize("items", [None, (b"a",), (b"a", "b"), [b"a", b"b"]])
def test_other_must_return_bytes(native, items):
    with pytest.raises(TypeError, match="two bytes objects"):
        native.pack_typed([("a", ())], True, lambda _pair: items)


class Undecided:
    def __bool__(self):
        raise ZeroDivisionError


def test_other_arguments_of_both_are_refused(native):
    with pytest.raises(TypeError, match="unpack_typed"):
        native.unpack_typed(b"")
    with pytest.raises(TypeError):
        native.unpack_typed("text", True, from_other)
    with pytest.raises(TypeError, match="pack_typed"):
        native.pack_typed([], True)
    for function in (native.pack_typed, native.unpack_typed):
        with pytest.raises(ZeroDivisionError):
            function([] if function is native.pack_typed else b"", Undecided(), other)
