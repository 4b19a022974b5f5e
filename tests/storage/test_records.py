"""Records of spool and result files: what goes in comes out, of its own type, and damage is never
unpickled.
"""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto import decode_pairs, encode_pair
from kvproto.errors import DataError
from kvproto.storage.records import FRAMES, OBJECTS, pack_frames, pack_objects, read_batches

OBJECTS_OF_ALL_KINDS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=3),
    max_leaves=5,
)


def cut(data: bytes, size: int):
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(
    st.lists(st.tuples(OBJECTS_OF_ALL_KINDS, OBJECTS_OF_ALL_KINDS), min_size=1), st.integers(1, 50)
)
def test_objects_come_back_equal_and_of_their_type_however_the_bytes_are_cut(pairs, size):
    data = pack_objects(pairs) + pack_objects(pairs[:1])
    assert repr(list(read_batches(OBJECTS, cut(data, size), "x"))) == repr([pairs, pairs[:1]])


@given(st.lists(st.tuples(st.binary(), st.binary())), st.integers(1, 50))
def test_frames_are_the_wire_and_come_back_as_bytes(pairs, size):
    data = pack_frames(pairs, 0)
    assert decode_pairs(data) == pairs
    assert [pair for batch in read_batches(FRAMES, cut(data, size), "x") for pair in batch] == pairs


def test_str_goes_into_frames_as_utf8_and_undecodable_bytes_as_themselves():
    text = b"caf\xc3\xa9 \xff\xfe".decode("utf-8", "surrogateescape")
    assert decode_pairs(pack_frames([(text, "é")], 0)) == [(b"caf\xc3\xa9 \xff\xfe", "é".encode())]


def test_a_pair_that_is_not_bytes_names_its_type_and_index():
    with pytest.raises(TypeError, match="value of pair 8 must be bytes or str, not int"):
        pack_frames([("a", "b"), ("a", 1)], 7)


def test_objects_of_a_class_that_cannot_be_imported_travel_with_their_class():
    class Local:
        def __init__(self, number):
            self.number = number

    [[(_key, value)]] = read_batches(OBJECTS, [pack_objects([("k", Local(3))])], "x")
    assert value.number == 3


class Tripwire:
    def __reduce__(self):
        return (pytest.fail, ("damaged or foreign bytes were unpickled",))


def test_damaged_objects_are_refused_by_name_and_never_unpickled():
    data = bytearray(pack_objects([("k", Tripwire())]))
    data[-3] ^= 1
    with pytest.raises(DataError, match=r"^some file is damaged.*checksum"):
        list(read_batches(OBJECTS, [bytes(data)], "some file"))


def test_frames_that_hold_a_pickle_are_not_unpickled():
    data = pickle.dumps(Tripwire())
    assert list(read_batches(FRAMES, [encode_pair(b"k", data)], "x")) == [[(b"k", data)]]


def test_records_that_end_inside_a_pair_are_refused():
    with pytest.raises(DataError, match="some file is damaged: the stream ends inside the value"):
        list(read_batches(FRAMES, [pack_frames([("key", "value")], 0)[:-1]], "some file"))
