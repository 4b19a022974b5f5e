"""Sums over frames, compiled and in Python: the same sums of any values, and of any cuts."""

import itertools
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import ECHO, program, results
from support.memory import memory_for

from kvproto import decode_pairs, encode_pair, encode_pairs, external
from kvproto.classic import frame_sums
from kvproto.classic.frame_sums import Stop, combine_frames, reduce_frames
from kvproto.classic.func import sum_combiner, sum_reduce
from kvproto.errors import DataError, JobError, Truncated
from kvproto.protocol import native
from kvproto.storage.typed_records import TypedBatch, typed_batch

IMPLEMENTATIONS = [frame_sums._ReferenceSums]
if native.NATIVE:
    IMPLEMENTATIONS.append(frame_sums._NativeSums)

KEYS = st.binary(max_size=2) | st.text("ab", min_size=7, max_size=17).map(str.encode)
LARGE = [(1 << 63) - 1, -(1 << 63), 1 << 63, 10**18, 10**18 - 1, 1 - 10**18, 1 << 200]
NUMBERS = st.integers(-20, 20) | st.sampled_from(LARGE)
SIMPLE = NUMBERS.map(b"%d".__mod__)
ANY = SIMPLE | st.sampled_from([b" 7", b"+7", b"007", b"-0", b"1_000", b"7\n", b"00"])


def pairs_of(values):
    return st.lists(st.tuples(KEYS, values), max_size=60)


def pieces(frames, size):
    return [frames[start : start + size] for start in range(0, len(frames), size)]


def expected(pairs):
    """The definition."""
    sums = defaultdict(int)
    for key, value in pairs:
        sums[key] += int(value)
    return {key: b"%d" % total for key, total in sums.items()}


@pytest.fixture(params=IMPLEMENTATIONS, ids=["Python", "compiled"][: len(IMPLEMENTATIONS)])
def implementation(request, monkeypatch):
    monkeypatch.setattr(frame_sums, "new_sums", request.param)
    return request.param


@given(pairs=pairs_of(ANY), size=st.integers(1, 200), max_bytes=st.integers(0, 5_000))
def test_any_frames_are_summed_by_key_in_any_memory(pairs, size, max_bytes):
    frames = encode_pairs(pairs)
    for sums in IMPLEMENTATIONS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(frame_sums, "new_sums", sums)
            assert list(reduce_frames(pieces(frames, size))) == list(expected(pairs).items())
            patch.setattr(frame_sums, "_COMBINED", max_bytes)
            combined = decode_pairs(b"".join(combine_frames(pieces(frames, size))))
            assert expected(combined) == expected(pairs)
            assert {key for key, _value in combined} == {key for key, _value in pairs}


@given(pairs=pairs_of(ANY | st.sampled_from([b"", b"-", b"x", b"1.5", b"\xff"])))
def test_compiled_and_in_python_the_same_is_added_before_the_same_stop(pairs):
    frames = bytearray(encode_pairs(pairs))
    outcomes = []
    for implementation in IMPLEMENTATIONS:
        sums = implementation(1 << 30)
        outcomes.append((sums.add(frames, 0), b"".join(sums.take()), b"".join(sums.take())))
    assert outcomes[1:] in ([], outcomes[:1])


def test_many_keys_are_summed(implementation):
    pairs = [(b"%d" % (number * number % 50_021), b"%d" % number) for number in range(200_000)]
    frames = encode_pairs(pairs)
    assert list(reduce_frames(pieces(frames, 1 << 16))) == list(expected(pairs).items())


def test_sums_that_are_full_take_a_key_all_the_same(implementation):
    sums = implementation(0)
    frames = bytearray(encode_pairs([(b"k" * 300_000, b"1"), (b"other", b"2")] * 20))
    taken, at = [], 0
    while (step := sums.add(frames, at))[1] != Stop.MORE:
        assert step[1] == Stop.FULL and step[0] > at
        taken += decode_pairs(b"".join(sums.take()))
        at = step[0]
    taken += decode_pairs(b"".join(sums.take()))
    assert expected(taken) == {b"k" * 300_000: b"20", b"other": b"40"}


@pytest.mark.parametrize("function", [combine_frames, reduce_frames])
def test_a_pair_that_is_cut_is_an_error(implementation, function):
    frames = encode_pairs([(b"key", b"1"), (b"other", b"22")])
    for end in range(1, len(frames)):
        if end != 12:
            with pytest.raises(Truncated):
                list(function([frames[:end]]))
    for odd in (b"01", b"1"):
        cut = encode_pairs([(b"key", odd), (b"other", b"22")])[:-1]
        with pytest.raises(Truncated):
            list(function([cut]))


@pytest.mark.parametrize("function", [combine_frames, reduce_frames])
def test_a_value_that_is_not_a_number_is_an_error_with_its_key(implementation, function):
    frames = encode_pairs([(b"good", b"1"), (b"bad", b"one")])
    with pytest.raises(ValueError, match=r"the key b'bad' cannot be added.*: b'one'"):
        list(function([frames]))


def test_a_sum_of_more_than_64_bits_is_right(implementation):
    pairs = [(b"a", b"9" * 18)] * 20 + [(b"b", b"-" + b"9" * 18)] * 20
    frames = encode_pairs(pairs)
    assert dict(reduce_frames([frames])) == expected(pairs)
    assert expected(decode_pairs(b"".join(combine_frames([frames])))) == expected(pairs)


NEEDS_C = pytest.mark.skipif(
    not native.NATIVE, reason="KVPROTO_PURE=1 asks for the reference alone"
)


@NEEDS_C
@pytest.mark.parametrize("size", [8, 100_000], ids=["many keys", "long keys"])
def test_without_memory_sums_say_so(size):
    """The table, or the keys, have no room."""
    sums = frame_sums.new_sums(1 << 40)
    with memory_for(64 << 20), pytest.raises(MemoryError, match="more partitions need less"):
        for number in itertools.count():
            keys = range(number << 10, (number + 1) << 10)
            frames = [encode_pair(b"%0*d" % (size, key), b"1") for key in keys[: (1 << 20) // size]]
            sums.add(bytearray().join(frames), 0)
    assert sum(map(len, sums.take())) > 0


def test_a_size_over_the_limit_is_an_error(implementation):
    with pytest.raises(DataError, match="damaged: an item is over"):
        list(combine_frames([b"\xff\xff\xff\xff" + bytes(8)]))


WORDS = "for key, line in pairs():\n    answer(*[(word, b'1') for word in line.split()])\n"


@pytest.mark.parametrize("partitions", [1, 3])
@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("combiner", [None, sum_combiner])
def test_the_output_of_an_external_map_is_summed(tmp_path, partitions, sort, combiner):
    words = external([program(tmp_path, WORDS)])
    text = "raw://the fox and the dog\nand the cat\n"
    functions = {"map": words, "combiner": combiner, "reduce": sum_reduce}
    summed = results(input=[text], partitions=partitions, sort=sort, **functions)
    assert dict(summed) == {b"the": b"3", b"and": b"2", b"fox": b"1", b"dog": b"1", b"cat": b"1"}
    if sort and partitions == 1:
        assert list(summed) == sorted(summed)


def by_length(key, n_partitions, params):
    return len(key) % n_partitions


@pytest.mark.parametrize("partition", [None, by_length])
def test_sums_go_to_an_external_reduce_as_numbers_in_text(tmp_path, partition):
    words = external([program(tmp_path, WORDS)])
    echo = external([program(tmp_path, ECHO, name="echo")])
    functions = {"map": words, "combiner": sum_combiner, "reduce": echo, "partition": partition}
    summed = results(input=["raw://a b a\n"], partitions=2, **functions)
    assert sorted(summed) == [(b"a", b"2"), (b"b", b"1")]


def test_a_value_of_a_program_that_is_not_a_number_fails_the_job_with_its_key(tmp_path):
    echo = external([program(tmp_path, ECHO)])
    for functions in ({"combiner": sum_combiner}, {"reduce": sum_reduce}):
        with pytest.raises(JobError, match=r"of the key b'' cannot be added.*b'some line"):
            results(input=["raw://some line"], map=echo, **functions)


def test_the_functions_sum_numbers_in_text_one_at_a_time_too():
    buffer: dict = {}
    for value in (b"1", b"007", b"-3"):
        assert sum_combiner("key", value, buffer, False, None) is None
    assert sum_combiner(None, None, buffer, True, None) == [("key", b"5")]
    pairs = [(b"a", b"1"), (b"b", b"2"), (b"a", b"30")]
    assert list(sum_reduce(pairs, None)) == [(b"a", b"31"), (b"b", b"2")]
    ones = itertools.repeat((b"a", b"1"), 1000)
    assert list(sum_reduce(ones, None)) == [(b"a", b"1000")]


# --- typed batches -----------------------------------------------------------------------------

TYPED_VALUES = NUMBERS | st.sampled_from([0.5, True, None, "1", b"1", b"x"])


def as_batch(pairs):
    """Typed frames, of keys of str or bytes, where all pairs have them."""
    for kind in (str, bytes):
        if all(type(key) is kind for key, _ in pairs):
            return typed_batch(pairs, kind is str)
    return pairs


def outcome(sums):
    try:
        return repr(list(sums))
    except (TypeError, ValueError) as e:
        return repr(e)


@given(
    pairs=st.lists(st.tuples(st.text("ab\udc80", max_size=2), NUMBERS), max_size=40)
    | st.lists(st.tuples(KEYS, NUMBERS), max_size=40)
    | st.lists(st.tuples(KEYS | st.text("ab", max_size=2), TYPED_VALUES), max_size=40),
    size=st.integers(1, 15),
)
def test_typed_batches_of_any_pairs_have_the_sums_of_their_objects(pairs, size):
    batches = [pairs[at : at + size] for at in range(0, len(pairs), size)]
    for sums in IMPLEMENTATIONS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(frame_sums, "new_sums", sums)
            typed = outcome(frame_sums.reduce_typed(map(as_batch, batches)))
        assert typed == outcome(sum_reduce(iter(pairs), None))


def test_typed_sums_of_many_keys_and_of_more_than_64_bits(implementation):
    pairs = [(f"{number * number % 50_021}", number) for number in range(200_000)]
    batches = [as_batch(pairs[at : at + 1000]) for at in range(0, len(pairs), 1000)]
    assert list(frame_sums.reduce_typed(batches)) == list(sum_reduce(iter(pairs), None))
    large = [("a", (1 << 63) - 1), ("b", -1 << 63)] * 3
    assert list(frame_sums.reduce_typed([as_batch(large)])) == [
        ("a", 3 * ((1 << 63) - 1)),
        ("b", -3 << 63),
    ]


def test_a_sum_over_typed_frames_makes_no_object_of_them(implementation):
    class Batch(TypedBatch):
        def pairs(self):
            raise AssertionError("the pairs became objects")

    batch = typed_batch([("a", 1), ("b", 2), ("a", -5)], True)
    assert list(frame_sums.reduce_typed([Batch(*batch)] * 3)) == [("a", -12), ("b", 6)]
