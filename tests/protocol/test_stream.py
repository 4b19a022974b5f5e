"""Framed bytes checked as they pass: the same verdicts, in the same words, as the decoders that
make objects.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.codecs_under_test import NAMES
from support.stream_strategies import (
    KINDS,
    cut,
    cuts,
    encode,
    every_kind,
    frame_like,
    limits,
    list_lists,
    pair_lists,
)
from support.vectors_format import load

from kvproto import ListDecoder, PairDecoder, decode_pairs, encode_pairs
from kvproto.errors import ItemTooLarge, ProtocolError, Truncated
from kvproto.protocol import native as _native
from kvproto.protocol import stream

every_stream = pytest.mark.parametrize("stream_name", [name for name in NAMES if name != "c"])


def stream_named(name: str, kind: str, max_item: int):
    if name == "native" and not _native.NATIVE:
        raise RuntimeError(
            "the compiled codec is not built, so nothing here tests it: run `make build`"
        )
    make = stream.NativeStream if name == "native" else stream.ReferenceStream
    return make(with_lists=kind == "lists", max_item=max_item)


def fault_of(run) -> tuple:
    """The values that run() gives one by one, and its fault as a comparable tuple, ()
    without one.
    """
    values = []
    try:
        for value in run:
            values.append(value)
    except ProtocolError as e:
        details = (e.wanted, e.had) if isinstance(e, Truncated) else (e.size, e.limit)
        return values, (type(e), e.offset, e.field, e.clause, *details, str(e)), e.decoded
    return values, (), []


def passed(frames, pieces):
    for piece in pieces:
        yield bytes(frames.feed(piece))  # valid until the next call
    frames.close()


def decoded(kind, data, max_item):
    decoder = (PairDecoder if kind == "pairs" else ListDecoder)(max_item=max_item)
    yield decoder.feed(data)
    decoder.close()


@every_stream
@every_kind
@given(data=frame_like, max_item=limits, at=cuts)
def test_any_bytes_in_any_pieces_have_the_fault_that_the_decoders_find(
    stream_name, kind, data, max_item, at
):
    _, fault, _ = fault_of(passed(stream_named(stream_name, kind, max_item), cut(data, at)))
    assert fault == fault_of(decoded(kind, data, max_item))[1]


@pytest.mark.parametrize(
    ("kind", "vector"),
    [(kind, vector) for kind in KINDS for vector in load(kind)],
    ids=lambda x: getattr(x, "id", ""),
)
@every_stream
def test_vectors_have_the_fault_that_the_decoders_find(stream_name, kind, vector):
    frames = stream_named(stream_name, kind, vector.max_item)
    _, fault, _ = fault_of(passed(frames, [vector.input]))
    assert fault == fault_of(decoded(kind, vector.input, vector.max_item))[1]
    assert kind == "pairs" or frames.n_lists == len(vector.values)


@pytest.mark.clause("FRAME-5", "LIST-2")
@every_stream
@given(pairs=pair_lists, lists=list_lists, at=cuts)
def test_what_passes_is_the_pairs_and_they_are_counted(stream_name, pairs, lists, at):
    frames = stream_named(stream_name, "pairs", 1 << 30)
    assert b"".join(passed(frames, cut(encode("pairs", pairs), at))) == encode_pairs(pairs)
    assert (frames.n_pairs, frames.n_lists) == (len(pairs), 0)
    assert frames.pair_offset == len(encode_pairs(pairs))
    frames = stream_named(stream_name, "lists", 1 << 30)
    all_pairs = [pair for pairs_of_list in lists for pair in pairs_of_list]
    assert b"".join(passed(frames, cut(encode("lists", lists), at))) == encode_pairs(all_pairs)
    assert (frames.n_pairs, frames.n_lists) == (len(all_pairs), len(lists))


@every_stream
@every_kind
@given(data=frame_like, max_item=limits, at=cuts)
def test_checking_finds_the_same_fault_as_feeding(stream_name, kind, data, max_item, at):
    def checked(frames):
        for piece in cut(data, at):
            frames.check(piece)
            yield None
        frames.close()

    frames = stream_named(stream_name, kind, max_item)
    assert fault_of(checked(frames))[1] == fault_of(decoded(kind, data, max_item))[1]


@every_stream
@given(pairs=pair_lists, at=cuts, n=st.integers(0, 400))
def test_the_offset_of_the_first_incomplete_pair_is_known(stream_name, pairs, at, n):
    frames = stream_named(stream_name, "pairs", 1 << 30)
    ends = [len(encode_pairs(pairs[:index])) for index in range(len(pairs) + 1)]
    n = min(n, ends[-1])
    for piece in cut(encode_pairs(pairs)[:n], at):
        frames.check(piece)
    assert frames.pair_offset == max(end for end in ends if end <= n)


@pytest.mark.clause("LIMITS-1")
@every_stream
def test_the_pairs_before_an_item_over_the_limit_are_there(stream_name):
    frames = stream_named(stream_name, "pairs", 4)
    with pytest.raises(ItemTooLarge) as caught:
        frames.feed(encode_pairs([("k", "v"), ("l", "w")]) + b"\5\0\0\0")
    (before,) = caught.value.decoded
    assert decode_pairs(before[:20]) == [(b"k", b"v"), (b"l", b"w")]


@every_stream
@given(lists=list_lists, n=st.integers(0, 400))
def test_the_list_under_way_is_known_by_its_offset_and_its_count(stream_name, lists, n):
    frames = stream_named(stream_name, "lists", 1 << 30)
    data = encode("lists", lists)
    n = min(n, len(data))
    frames.feed(data[:n])
    begins, at = None, 0
    for pairs in lists:
        end = at + len(encode("lists", [pairs]))
        if at + 4 <= n < end:
            begins = (at, len(pairs))
        at = end
    assert frames.list_under_way() == begins


def at_each_byte(frames, data):
    """The place before each byte of data, until the fault."""
    for byte in data:
        yield (*frames.place(), frames.n_pairs, frames.n_lists)
        try:
            frames.check(bytes([byte]))
        except ItemTooLarge:
            return
    yield frames.place()


@every_kind
@given(data=frame_like, max_item=limits, offset=st.integers(0, 1 << 40))
def test_the_place_in_a_stream_is_the_same_field_for_both_codecs(kind, data, max_item, offset):
    native, reference = (
        make(with_lists=kind == "lists", max_item=max_item, offset=offset)
        for make in (stream.NativeStream, stream.ReferenceStream)
    )
    assert list(at_each_byte(native, data)) == list(at_each_byte(reference, data))


@every_stream
@every_kind
@given(data=frame_like, at=st.integers(0, 100))
def test_a_copy_of_a_stream_goes_on_from_the_same_place_on_its_own(stream_name, kind, data, at):
    frames = stream_named(stream_name, kind, 1 << 20)
    before = frames.copy()
    first = list(at_each_byte(frames, data[:at]))
    after = frames.copy()
    assert list(at_each_byte(before, data)) == list(
        at_each_byte(stream_named(stream_name, kind, 1 << 20), data)
    )
    if len(first) > len(data[:at]):  # no fault so far
        assert list(at_each_byte(after, data[at:])) == list(at_each_byte(frames, data[at:]))
