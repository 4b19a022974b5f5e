"""Values and byte streams for Hypothesis, and ways of cutting them; used by the tests of all the
decoders.
"""

import pytest
from hypothesis import strategies as st

from kvproto import MAX_ITEM, encode_list, encode_pairs

KINDS = ("pairs", "lists")

every_kind = pytest.mark.parametrize("kind", KINDS)

items = st.binary(max_size=12) | st.sampled_from(
    [b"\0" * 4, b"\1\0\0\0", b"\xff" * 4, b"x" * 255, b"x" * 256]
)
pair_lists = st.lists(st.tuples(items, items), max_size=8)
list_lists = st.lists(pair_lists, max_size=5)
# Bytes of which a good part is read as sizes that make sense: arbitrary bytes alone are nearly
# always too large.
frame_like = st.lists(
    st.integers(0, 6).map(lambda size: size.to_bytes(4, "little"))
    | st.binary(max_size=5)
    | st.sampled_from(
        [b"\0" * 8, b"\xf7\xff\xff\xff", b"\0\0\0\x40", b"\1\0\0\x40", b"\0\0\0\x80"]
    ),
    max_size=12,
).map(b"".join)
limits = st.sampled_from([0, 1, 5, 6, MAX_ITEM, 0xFFFFFFFF])
cuts = st.lists(st.integers(0, 80), max_size=6)


def cut(data, at) -> list:
    places = sorted(min(place, len(data)) for place in at)
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def encode(kind: str, values: list) -> bytes:
    return (
        encode_pairs(values)
        if kind == "pairs"
        else b"".join(encode_list(pairs) for pairs in values)
    )
