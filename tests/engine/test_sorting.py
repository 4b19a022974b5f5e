"""The sort of a reduce's input: order, stability, any bytes and types."""

import os
import pickle
import random
from decimal import Decimal
from enum import Enum
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.sorting import by_sort

from kvproto import decode_pairs, encode_pairs
from kvproto.engine import sort_runs as runs
from kvproto.engine.sort import sort_frames, sort_pairs
from kvproto.storage.typed_records import pairs_in

pytestmark = pytest.mark.slow

AWKWARD = st.sampled_from([0, 1, 2, 3, 4, 5, 10, 255]) | st.integers(0, 255)
BYTES = st.lists(AWKWARD, max_size=6).map(bytes) | st.binary()
TEXT = st.text(
    st.sampled_from("\0\1\2\3\4\5\n%a\u00e9\ud800\udfff\uffff\U0001f600") | st.characters(),
    max_size=6,
)
VALUES = (
    BYTES | TEXT | st.integers() | st.floats(allow_nan=False) | st.none() | st.tuples(TEXT, BYTES)
)


def in_order(pairs):
    return sorted(pairs, key=itemgetter(0))


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return tmp_path_factory.mktemp("sort")


# --- order, and what comes out is what went in ---------------------------------------------------


@pytest.mark.documented("2 sort: the reduce gets its pairs in ascending order of keys")
@given(pairs=st.lists(st.tuples(BYTES, BYTES)))
def test_frames_of_any_bytes_come_out_in_the_order_of_their_keys(room, pairs):
    data = encode_pairs(pairs)
    chunks = [data[at : at + 11] for at in range(0, len(data), 11)]
    assert decode_pairs(b"".join(sort_frames(chunks, "1M", str(room)))) == in_order(pairs)
    assert os.listdir(room) == []


@pytest.mark.documented("2 sort: the reduce gets its pairs in ascending order of keys")
@given(pairs=st.lists(st.tuples(BYTES, VALUES)) | st.lists(st.tuples(TEXT, VALUES)))
def test_keys_of_bytes_or_of_text_come_out_in_order_with_values_of_any_type(room, pairs):
    assert repr(by_sort(pairs, room)) == repr(in_order(pairs))


KINDS = [BYTES, TEXT, st.integers(), st.floats()]


@given(
    pairs=st.sampled_from(KINDS[:2]).flatmap(
        lambda keys: st.sampled_from(KINDS).flatmap(lambda v: st.lists(st.tuples(keys, v)))
    )
)
def test_values_of_one_type_come_back_as_they_were(room, pairs):
    assert repr(by_sort(pairs, room)) == repr(in_order(pairs))


COMPARABLE = [
    st.integers() | st.floats(allow_nan=False) | st.booleans(),
    st.decimals(allow_nan=False),
    st.fractions() | st.integers(),
    st.tuples(TEXT, st.integers()),
    st.tuples(st.none(), BYTES),
    st.none(),
    st.frozensets(st.nothing()),
]


@given(pairs=st.sampled_from(COMPARABLE).flatmap(lambda keys: st.lists(st.tuples(keys, VALUES))))
def test_keys_of_other_types_come_out_in_their_own_order(room, pairs):
    keys = [key for key, _ in pairs]
    assert repr(by_sort(pairs, room)) == repr(pairs if None in keys else in_order(pairs))


def test_every_byte_at_every_place_of_a_key_keeps_its_place(room):
    keys = (
        [bytes([a, b]) for a in range(256) for b in range(256)]
        + [bytes([a]) for a in range(256)]
        + [b""]
    )
    pairs = [(key, key[::-1]) for key in keys]
    random.Random(3).shuffle(pairs)
    assert by_sort(pairs, room, size=1000) == in_order(pairs)


@pytest.mark.parametrize(
    "key", [str, str.encode, int, lambda text: (text,)], ids=["text", "bytes", "int", "tuple"]
)
def test_equal_keys_keep_the_order_in_which_they_came_on_disk_too(room, key, monkeypatch):
    monkeypatch.setattr(runs, "_FAN_IN", 3)  # many runs, merged in several passes
    numbers = random.Random(5).choices(range(10, 30), k=60_000)
    pairs = [(key(str(number)), at) for at, number in enumerate(numbers)]
    assert by_sort(pairs, room, "1M", size=1000) == in_order(pairs)


def test_one_and_true_and_one_point_naught_are_the_same_key(room):
    assert (
        repr(by_sort([(2, "a"), (True, "b"), (1.0, "c"), (1, "d")], room))
        == "[(True, 'b'), (1.0, 'c'), (1, 'd'), (2, 'a')]"
    )


def test_none_as_every_key_keeps_the_order_on_disk_too(room):
    pairs = [(None, at) for at in range(30_000)]
    assert by_sort(pairs, room, size=1000) == pairs


@pytest.mark.parametrize("value", [1, "\udfff", b"\xff", None])
def test_lone_surrogates_come_back_and_have_the_place_of_their_code_point(room, value):
    pairs = [
        ("\U0001f600", value),
        ("\ue000", value),
        ("\ud800", value),
        ("\udfffx", value),
        ("\ud7ff", value),
    ]
    assert by_sort(pairs, room) == in_order(pairs)


class OnlyLess:
    """Keys that can be compared with `<` and nothing else."""

    def __init__(self, number):
        self.number = number

    def __lt__(self, other):
        return self.number < other.number


def test_keys_of_a_class_that_has_only_less_than_stay_in_order_on_disk_too(room):
    numbers = random.Random(7).choices(range(50), k=30_000)
    done = by_sort(
        [(OnlyLess(number), at) for at, number in enumerate(numbers)], room, "1M", size=1000
    )
    assert [(key.number, at) for key, at in done] == in_order(
        [(number, at) for at, number in enumerate(numbers)]
    )


class Colour(str, Enum):  # noqa: UP042
    RED = "red"


class Octets(bytes):
    pass


def test_keys_of_subclasses_of_text_and_bytes_come_back_as_such(room):
    done = by_sort([("z", 1), (Colour.RED, 2), ("a", 3)], room)
    assert [(type(key), key, value) for key, value in done] == [
        (str, "a", 3),
        (Colour, Colour.RED, 2),
        (str, "z", 1),
    ]
    done = by_sort([(Octets(b"b"), 1), (bytearray(b"a\0"), 2), (b"c", 3)], room)
    assert [(type(key), key, value) for key, value in done] == [
        (bytearray, b"a\0", 2),
        (Octets, b"b", 1),
        (bytes, b"c", 3),
    ]
    assert [type(key) for key, _ in by_sort([(Colour.RED, 1)], room)] == [Colour]


def test_a_record_longer_than_the_buffer_and_the_blocks_is_sorted(room):
    pairs = [("b", b"\0" * 3_000_000), ("a" * 2_000_000, "x"), ("a", bytes(range(256)) * 10_000)]
    assert by_sort(pairs, room) == in_order(pairs)
    pairs = [(3, b"\0" * 3_000_000), (1, b"y" * 3_000_000), (2, None)]
    assert by_sort(pairs, room, size=1) == in_order(pairs)


def test_a_value_of_a_class_that_cannot_be_imported_comes_back(room):
    class Local:
        number = 3

    [(_, value)] = by_sort([("a", Local())], room)
    assert value.number == 3


class Tripwire:
    def __reduce__(self):
        return (pytest.fail, ("what an external program gave was unpickled",))


def test_frames_are_never_unpickled(room):
    frames = encode_pairs(
        [(b"k", b"p" + pickle.dumps(Tripwire())), (b"a", b"k" + pickle.dumps(Tripwire()))]
    )
    assert len(b"".join(sort_frames([frames], "1M", str(room)))) == len(frames)


def test_nothing_is_sorted_to_nothing(room):
    assert by_sort([], room) == [] == list(sort_pairs([[], []], "1M", str(room)))
    assert b"".join(sort_frames([], "1M", str(room))) == b""
    [batch] = sort_pairs([[], [("a", 1)], [], []], "1M", str(room))
    assert pairs_in(batch) == [("a", 1)]


# --- keys without an order -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys, types",
    [
        (["a", b"b"], "types bytes and str cannot be ordered: 'a' and b'b'"),
        ([b"b", "a"], "types bytes and str cannot be ordered: b'b' and 'a'"),
        (["a", 7], "types int and str cannot be ordered: 'a' and 7"),
        ([7, "a"], "types int and str cannot be ordered: 7 and 'a'"),
        ([7, None], "types NoneType and int cannot be ordered: 7 and None"),
        ([None, "x"], "types NoneType and str cannot be ordered: None and 'x'"),
        ([{}, {}], "type dict cannot be ordered: {} and {}"),
        ([1j], "type complex cannot be ordered"),
        ([Decimal(1), (1,)], "types Decimal and tuple cannot be ordered"),
        ([1.0, float("nan")], "the key nan cannot be ordered"),
    ],
)
@pytest.mark.parametrize("n_between", [0, 50_000])
def test_keys_without_an_order_are_an_error_that_shows_them_wherever_they_come(
    room, keys, types, n_between
):
    pairs = [(keys[0], 0)] * (n_between if keys[0] != {} else 0) + [(key, 0) for key in keys]
    with pytest.raises(TypeError) as caught:
        by_sort(pairs, room, size=1000)
    assert str(caught.value).startswith("sort: ") and types in str(caught.value)
    assert os.listdir(room) == []


def test_keys_whose_parts_have_no_order_are_shown_in_memory_and_in_the_merge(room):
    pairs = [((1, 2), 0), ((1, "x"), 0)]
    with pytest.raises(TypeError, match=r"type tuple cannot be ordered: .*\(1, 'x'\)"):
        by_sort(pairs, room)
    apart = [((1, number), None) for number in range(30_000)] + [
        ((1, str(number)), None) for number in range(30_000)
    ]
    with pytest.raises(TypeError, match=r"type tuple cannot be ordered: \(1, .*\) and \(1, "):
        by_sort(apart, room, size=1000)
