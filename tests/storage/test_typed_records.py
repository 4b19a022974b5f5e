"""Records of a shuffle: what goes in comes out, of its own type, and damage is never unpickled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto import encode_pair
from kvproto.errors import DataError
from kvproto.storage.typed_records import (
    TypedBatch,
    WrongKey,
    pack_batch,
    pack_pickles,
    pairs_in,
    read_typed,
    typed_batch,
)

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text("aé\0\udc80")
    | st.binary()
    | st.tuples(st.integers())
)
TEXTS = st.lists(st.tuples(st.text("aé\0\udc80"), VALUES), max_size=9)
OCTETS = st.lists(st.tuples(st.binary(), VALUES), max_size=9)
ANY = st.lists(st.tuples(VALUES, VALUES), max_size=9)


def cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(texts=TEXTS, octets=OCTETS, others=ANY, size=st.integers(1, 50))
def test_pairs_come_back_equal_and_of_their_type_however_the_bytes_are_cut(
    texts, octets, others, size
):
    data = pack_batch(typed_batch(texts, True).frames, True) + pack_pickles(others)
    data += pack_batch(typed_batch(octets, False).frames, False)
    batches = list(read_typed(cut(data, size), "x"))
    assert [type(batch) for batch in batches] == [TypedBatch, list, TypedBatch]
    assert repr([pairs_in(batch) for batch in batches]) == repr([texts, others, octets])


def test_a_key_of_another_kind_is_told_apart():
    for is_text, key in ((True, b"a"), (True, 1), (False, "a"), (False, None)):
        with pytest.raises(WrongKey) as e:
            typed_batch([(key, 1)], is_text)
        assert e.value.key == key


def test_values_of_a_class_that_cannot_be_imported_travel_with_their_class():
    class Local:
        def __init__(self, number):
            self.number = number

    [(key, value)] = typed_batch([("k", Local(3))], True).pairs()
    assert (key, value.number) == ("k", 3)


class Tripwire:
    def __reduce__(self):
        return (pytest.fail, ("damaged or foreign bytes were unpickled",))


@pytest.mark.parametrize(
    "record",
    [
        pack_pickles([("k", Tripwire())]),
        pack_batch(typed_batch([("k", Tripwire())], True).frames, 1),
    ],
)
def test_damaged_records_are_refused_by_name_and_never_unpickled(record):
    for at in range(len(record)):
        damaged = bytearray(record)
        damaged[at] ^= 0x40
        if at == 4:  # the form: a pickle is then read as frames
            continue
        with pytest.raises(DataError, match=r"^some file is damaged"):
            list(read_typed([bytes(damaged)], "some file"))
    for end in range(1, len(record)):
        with pytest.raises(DataError, match=r"^some file is damaged"):
            list(read_typed([record[:end]], "some file"))


def test_records_of_other_files_are_refused():
    with pytest.raises(DataError, match="checksum"):
        list(read_typed([encode_pair(b"12345678", b"data")], "x"))
