"""The window of a map's input has the pairs without an answer, and a bounded history."""

from hypothesis import given
from hypothesis import strategies as st

from kvproto import decode_pairs, encode_pairs
from kvproto.driver.source import BytesSource
from kvproto.driver.window import Window, pair_offsets

SIZES = st.lists(st.integers(0, 10) | st.integers(0, 600_000), min_size=1, max_size=12)


def fed(window, source):
    """Read all of a source into its window."""
    while piece := source.read():
        window.add(piece)


@given(sizes=SIZES, cuts=st.lists(st.integers(1, 900_000), min_size=1, max_size=30), data=st.data())
def test_it_begins_between_two_pairs_at_or_before_the_first_without_an_answer(sizes, cuts, data):
    pairs = [(b"%d" % index, bytes(size)) for index, size in enumerate(sizes)]
    frames, pieces = encode_pairs(pairs), []
    for n_bytes in cuts:
        pieces.append(frames[:n_bytes])
        frames = frames[n_bytes:]
    source = BytesSource([*pieces, frames], max_item=1 << 30)
    window = Window(source)
    n_answered = 0
    while piece := source.read():
        window.add(piece)
        n_answered = data.draw(st.integers(n_answered, source.n_pairs))
        window.answered(n_answered)
    first, start, kept = window.frames()
    assert first <= n_answered
    assert start == len(encode_pairs(pairs[:first]))
    assert decode_pairs(kept) == pairs[first:]
    ends = [len(encode_pairs(pairs[first:end])) for end in range(first, len(pairs) + 1)]
    assert list(pair_offsets(kept)) == ends


def test_answered_pairs_are_dropped_but_for_a_mebibyte_or_so():
    piece = encode_pairs([(b"", bytes(100_000))])
    source = BytesSource([piece] * 100, max_item=1 << 30)
    window = Window(source)
    fed(window, source)
    window.answered(90)
    first, _, kept = window.frames()
    assert first == 90 - 11
    assert len(kept) == 21 * len(piece)


def test_the_oldest_pairs_are_dropped_beyond_64_mebibytes():
    piece = encode_pairs([(b"", bytes(1 << 20))])
    source = BytesSource([piece] * 100, max_item=1 << 30)
    window = Window(source)
    fed(window, source)
    first, _, kept = window.frames()
    assert (first, len(kept)) == (37, 63 * len(piece))


def test_a_pair_larger_than_the_window_is_not_kept_and_those_after_it_are():
    large, small = encode_pairs([(b"", bytes(65 << 20))]), encode_pairs([(b"k", b"v")])
    source = BytesSource([small, large, small], max_item=1 << 30)
    window = Window(source)
    window.add(source.read())
    window.add(source.read())
    assert window.frames()[2] == b""
    window.add(source.read())
    assert window.frames() == (2, len(small + large), small)
