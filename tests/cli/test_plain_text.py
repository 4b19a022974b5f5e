"""Results become text in batches, with the bytes that they have one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto.cli.output import Output
from kvproto.errors import DataError
from kvproto.forms import encoder, plain_text


class Name(str):
    def __str__(self):
        return "shown"


ITEMS = st.one_of(
    st.binary(max_size=4),
    st.text(max_size=4),
    st.integers(),
    st.floats(),
    st.sampled_from([None, True, (), ("a", "b"), bytearray(b"x"), Name("n"), "\udcff", "\ud800"]),
)
PAIRS = st.one_of(
    *(st.lists(st.tuples(each, each)) for each in (st.binary(), st.text(), st.integers(), ITEMS)),
    st.lists(st.one_of(st.lists(ITEMS, max_size=3), st.lists(ITEMS, max_size=3).map(tuple))),
)


def one_by_one(pairs):
    """What the encoder of text makes of pairs; None if it cannot encode one of them."""
    encode = encoder("text")
    try:
        return b"".join(encode(key, value) for key, value in pairs)
    except (TypeError, ValueError):
        return None


@given(PAIRS)
def test_a_batch_has_the_bytes_of_its_pairs(pairs):
    batch = plain_text(pairs)
    assert batch is None or batch == one_by_one(pairs)


@pytest.mark.parametrize("pair", [(b"k\xff", b"\t"), ("k", 1), ("k\udcff", "v"), (1.5, None)])
def test_bytes_and_str_and_numbers_are_encoded_in_batches(pair):
    assert plain_text([pair, pair]) == 2 * one_by_one([pair])


def test_the_pairs_before_an_error_are_written(capfdbinary):
    def pairs():
        yield from [("k", 1)] * 1500
        raise DataError("damaged")

    with pytest.raises(DataError, match="damaged"), Output() as out:
        out.write_pairs(pairs())
    assert capfdbinary.readouterr().out == b"k\t1\n" * 1500


def test_a_pair_of_a_later_batch_has_its_number(capfdbinary):
    pairs = [("k", 1)] * 1500 + [("k", "\ud800")]
    with pytest.raises(DataError, match=r"pair 1500 of the results \(str, str\)"), Output() as out:
        out.write_pairs(pairs)
    assert capfdbinary.readouterr().out == b"k\t1\n" * 1500
