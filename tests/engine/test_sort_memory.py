"""The sort of frames in memory: compiled and in Python it gives the same, for any pairs."""

import random
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.memory import memory_for

from kvproto.engine import sort_memory
from kvproto.engine.sort_memory import new_sorter, to_frames, to_records
from kvproto.errors import DataError
from kvproto.protocol import native
from kvproto.protocol.frames import decode_pairs, encode_pairs

SORTERS = [sort_memory._ReferenceSorter]
if native.NATIVE:
    SORTERS.append(sort_memory._NativeSorter)


@pytest.fixture(params=SORTERS, ids=["Python", "compiled"][: len(SORTERS)])
def sorter_type(request):
    return request.param


def sorted_by(sorter, pairs, n_piece=1 << 16):
    """The runs that a sorter makes of pairs that come in pieces of n_piece bytes."""
    frames, runs = encode_pairs(pairs), []
    for start in range(0, len(frames), n_piece):
        piece = frames[start : start + n_piece]
        while (n_taken := sorter.add(piece)) < len(piece):
            runs.append(decode_pairs(b"".join(sorter.sorted())))
            piece = piece[n_taken:]
    assert sorter.n_left == 0
    runs.append(decode_pairs(b"".join(sorter.sorted())))
    return runs


def in_order(pairs):
    return sorted(pairs, key=lambda pair: pair[0])


# Few bytes, so that keys are equal, or begin alike, beyond the 8 bytes that are compared at once.
KEYS = st.binary(max_size=3) | st.text("\0\1a", max_size=40).map(str.encode)
PAIRS = st.lists(st.tuples(KEYS, st.binary(max_size=3)), max_size=400)


@given(PAIRS, st.integers(1, 50))
def test_any_pairs_are_sorted_and_equal_keys_keep_their_order(pairs, n_piece):
    for sorter_type in SORTERS:
        assert sorted_by(sorter_type(1 << 20), pairs, n_piece) == [in_order(pairs)]


@given(PAIRS, st.integers(0, 5000))
def test_a_full_sorter_gives_back_what_it_has_and_goes_on(pairs, max_bytes):
    for sorter_type in SORTERS:
        runs = sorted_by(sorter_type(max_bytes), pairs, 100)
        assert all(run == in_order(run) for run in runs)
        assert in_order(chain.from_iterable(runs)) == in_order(pairs)


def words(n, n_different):
    source = random.Random(n)
    return [b"%d" % number for number in source.choices(range(n_different), k=n)]


ADDRESS = b"http://www.example.org/a/path/that/many/pages/have/in/common/"


@pytest.mark.slow
@pytest.mark.parametrize(
    "make_keys",
    [
        lambda: words(300_000, 1000),
        lambda: words(300_000, 1 << 60),  # the table of keys does not pay
        lambda: words(100_000, 10) + words(200_000, 1 << 60) + words(100_000, 10),
        lambda: [ADDRESS + word for word in words(100_000, 1 << 30)],
        lambda: [b"a" * (number % 3000) for number in range(20_000)],
        lambda: [b"\0" * (number * 7 % 20) for number in range(100_000)],
        lambda: [b"same"] * 100_000,
        lambda: [b"", b"\0", b"", b"\0\0", b"\0"] * 1000,
    ],
    ids=[
        "few keys",
        "all different",
        "first few keys, then many",
        "a long prefix in common",
        "prefixes of each other",
        "zeros",
        "one key",
        "empty keys and zeros",
    ],
)
def test_many_pairs(sorter_type, make_keys):
    pairs = [(key, b"%d" % number) for number, key in enumerate(make_keys())]
    [run] = sorted_by(sorter_type(1 << 30), pairs)
    assert run == in_order(pairs)


def test_no_pairs(sorter_type):
    sorter = sorter_type(1000)
    assert list(sorter.sorted()) == [] and sorter.n_left == 0


def test_a_pair_larger_than_a_block_and_than_the_memory(sorter_type):
    pairs = [(b"b", b"x" * (3 << 20)), (b"a", b"y" * (2 << 20))]
    assert sorted_by(sorter_type(1000), pairs) in ([pairs[:1], pairs[1:]], [in_order(pairs)])


def test_an_incomplete_pair_stays_for_the_next_run(sorter_type):
    sorter = sorter_type(1000)
    frames = encode_pairs([(b"b", b"1"), (b"a", b"2")])
    assert sorter.add(frames[:13]) == 13
    assert (sorter.n_pairs, sorter.n_left) == (1, 3)
    assert list(sorter.sorted()) == [frames[:10]]
    assert sorter.add(frames[13:]) == 7
    assert list(sorter.sorted()) == [frames[10:]]


def test_a_size_over_the_limit_is_damage(sorter_type):
    with pytest.raises(DataError, match="an item is over the limit of 1073741824 bytes"):
        sorter_type(1000).add(b"\1\0\0\0a\xff\xff\xff\xff")


def test_the_sorter_is_compiled_unless_the_reference_is_asked_for():
    assert type(new_sorter(1000)) is SORTERS[-1]


NEEDS_C = pytest.mark.skipif(
    not native.NATIVE, reason="KVPROTO_PURE=1 asks for the reference alone"
)


@NEEDS_C
@pytest.mark.parametrize("size", [0, 100_000], ids=["small pairs", "large pairs"])
def test_without_memory_a_sorter_says_so(size):
    """Its data, or what it knows of each pair, has no room."""
    sorter = new_sorter(1 << 40)
    frames = encode_pairs([(b"", bytes(size))] * ((1 << 20) // (size + 8)))
    with memory_for(64 << 20), pytest.raises(MemoryError, match="a smaller sort_buffer_size"):
        while sorter.add(frames):
            pass
    assert sorter.n_pairs > 0


# --- records -------------------------------------------------------------------------------------


ANY = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=20)


def in_python(function, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "NATIVE", False)
        return function(data)


@given(ANY)
def test_records_have_the_order_of_keys_and_become_the_frames_again(pairs):
    frames = encode_pairs(pairs)
    records = to_records(frames)
    assert records == in_python(to_records, frames)
    assert to_frames(records) == frames == in_python(to_frames, records)
    keys = [record.partition(b"\2")[0] for record in records.split(b"\0")[:-1]]
    assert all(
        (keys[one] < keys[two]) == (pairs[one][0] < pairs[two][0])
        for one in range(len(pairs))
        for two in range(len(pairs))
    )


@pytest.mark.parametrize(
    "damaged",
    [b"key", b"key\0", b"key\2", b"key\2value", b"\2a\2\0", b"\0", b"a\1\6\2\0", b"a\1\2\0"],
)
def test_what_is_no_record_is_an_error(damaged):
    for decode in (to_frames, lambda data: in_python(to_frames, data)):
        with pytest.raises(ValueError, match="these are not records"):
            decode(damaged)
