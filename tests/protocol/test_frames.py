"""Pairs and result lists: what holds for all values, all bytes, and all ways of cutting them."""

import array
import io
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.codecs_under_test import NAMES, Outcome, agrees, codec_named
from support.stream_strategies import (
    cut,
    cuts,
    encode,
    every_kind,
    frame_like,
    items,
    limits,
    list_lists,
    pair_lists,
)

from kvproto import (
    MAX_ITEM,
    ListDecoder,
    PairDecoder,
    decode_lists,
    decode_pairs,
    encode_list,
    encode_pair,
    encode_pairs,
)
from kvproto.errors import ItemTooLarge, Truncated
from kvproto.protocol import reference as _reference

every_codec = pytest.mark.parametrize("codec_name", NAMES)
every_python_codec = pytest.mark.parametrize("codec_name", [name for name in NAMES if name != "c"])


# --- decoding ---------------------------------------------------------------------------------


@pytest.mark.clause("FRAME-1", "FRAME-2", "FRAME-3", "FRAME-6", "LIST-1", "LIST-2")
@every_codec
@given(pairs=pair_lists, lists=list_lists, at=cuts)
def test_whatever_is_encoded_is_decoded_again(codec_name, pairs, lists, at):
    codec = codec_named(codec_name)
    assert agrees(
        codec, "pairs", codec.pairs(cut(encode_pairs(pairs), at), MAX_ITEM), Outcome(pairs)
    )
    assert agrees(
        codec, "lists", codec.lists(cut(encode("lists", lists), at), MAX_ITEM), Outcome(lists)
    )


@pytest.mark.clause("FRAME-4", "FRAME-5", "LIST-3", "LIMITS-1")
@every_codec
@every_kind
@given(data=frame_like, max_item=limits, at=cuts)
def test_any_bytes_in_any_pieces_give_the_values_and_the_fault_of_the_reference(
    codec_name, kind, data, max_item, at
):
    codec, reference = codec_named(codec_name), codec_named("reference")
    due = getattr(reference, kind)([data], max_item)
    assert agrees(codec, kind, getattr(codec, kind)(cut(data, at), max_item), due)


@every_codec
@every_kind
@given(data=frame_like, max_item=limits)
def test_any_bytes_one_by_one_give_the_values_and_the_fault_of_the_reference(
    codec_name, kind, data, max_item
):
    codec, reference = codec_named(codec_name), codec_named("reference")
    due = getattr(reference, kind)([data], max_item)
    pieces = [data[i : i + 1] for i in range(len(data))]
    assert agrees(codec, kind, getattr(codec, kind)(pieces, max_item), due)


@pytest.mark.slow
@pytest.mark.clause("FRAME-4")
@every_codec
@given(pairs=pair_lists)
def test_pairs_ended_anywhere_but_between_two_are_truncated(codec_name, pairs):
    codec = codec_named(codec_name)
    data = encode_pairs(pairs)
    ends = {len(encode_pairs(pairs[:n])) for n in range(len(pairs) + 1)}
    for n in range(len(data) + 1):
        outcome = codec.pairs([data[:n]], MAX_ITEM)
        assert (outcome.error == "") == (n in ends), n
        if outcome.error:
            assert outcome.error == "Truncated"
            assert outcome.offset + outcome.had == n and outcome.had < outcome.wanted


@pytest.mark.slow
@pytest.mark.clause("LIST-3")
@every_codec
@given(lists=list_lists)
@settings(max_examples=25)  # each of them is cut at every byte
def test_lists_ended_anywhere_but_between_two_are_truncated(codec_name, lists):
    codec = codec_named(codec_name)
    data = encode("lists", lists)
    ends = {len(encode("lists", lists[:n])) for n in range(len(lists) + 1)}
    for n in range(len(data) + 1):
        outcome = codec.lists([data[:n]], MAX_ITEM)
        assert (outcome.error == "") == (n in ends), n
        if outcome.error:
            assert outcome.offset + outcome.had == n and outcome.had < outcome.wanted


@pytest.mark.clause("FRAME-5")
@every_python_codec
@given(pairs=pair_lists, at=cuts)
def test_a_pair_is_given_as_soon_as_its_last_byte_is_there(codec_name, pairs, at):
    decoder = codec_named(codec_name).pair_decoder()
    data, n_fed, n_given = encode_pairs(pairs), 0, 0
    ends = [len(encode_pairs(pairs[: n + 1])) for n in range(len(pairs))]
    for piece in cut(data, at):
        n_fed += len(piece)
        n_given += len(decoder.feed(piece))
        assert n_given == sum(end <= n_fed for end in ends)
        assert decoder.offset == ([0, *ends][n_given])


@every_python_codec
@every_kind
def test_an_item_over_the_limit_stays_an_error(codec_name, kind):
    codec = codec_named(codec_name)
    decoder = (codec.pair_decoder if kind == "pairs" else codec.list_decoder)(max_item=1)
    count = b"" if kind == "pairs" else b"\1\0\0\0"
    good = [(b"k", b"v")] if kind == "pairs" else [[(b"k", b"v")]]
    with pytest.raises(ItemTooLarge) as first:
        decoder.feed(count + encode_pair("k", "v") + count + b"\2\0\0\0")
    assert first.value.decoded == good
    for again in (lambda: decoder.feed(b"\0" * 12), decoder.close, lambda: decoder.feed(b"")):
        with pytest.raises(ItemTooLarge) as later:
            again()
        assert later.value is first.value


@every_kind
def test_feeding_after_close_is_the_callers_mistake(kind):
    decoder = PairDecoder() if kind == "pairs" else ListDecoder()
    decoder.close()
    with pytest.raises(ValueError, match="close"):
        decoder.feed(b"")


@every_kind
def test_close_says_truncated_each_time(kind):
    decoder = PairDecoder() if kind == "pairs" else ListDecoder()
    assert decoder.feed(b"\1") == []
    for _ in range(2):
        with pytest.raises(Truncated):
            decoder.close()


def test_a_truncated_stream_still_gives_what_it_had():
    with pytest.raises(Truncated) as caught:
        decode_pairs(encode_pair("k", "v") + b"\1")
    assert caught.value.decoded == [(b"k", b"v")]
    with pytest.raises(Truncated) as caught:
        decode_lists(encode_list([("k", "v")]) + b"\1\0\0\0")
    assert caught.value.decoded == [[(b"k", b"v")]]


def test_errors_say_what_where_and_what_to_do():
    with pytest.raises(Truncated) as caught:
        decode_pairs(b"\5\0\0\0ab")
    assert (
        str(caught.value)
        == "the stream ends inside the key at byte 4: it needs 5 bytes, but has 2 [FRAME-4]"
    )
    with pytest.raises(Truncated) as caught:
        decode_lists(b"\2\0\0\0" + encode_pair("", ""))
    assert "the result list has 1 of its 2 pairs" in str(caught.value)
    with pytest.raises(
        ItemTooLarge,
        match="key size at byte 0 announces 17 bytes, but the limit is 16; raise max_item",
    ):
        decode_pairs(b"\x11\0\0\0", max_item=16)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            b"\0\0\0\x0eabc",
            "has 3; read from its other end, this size is 14: the lowest byte comes first",
        ),
        (b"line 1\n", '1073741824; this size is the text "line"'),
        (b"\xff\xff\xff\xff", "1073741824; raise max_item"),
        (b"\0\0\0\1", "needs 16777216 bytes, but has 0; read from its other end, this size is 1:"),
        (b"\1\2\3\1", r"needs 16974337 bytes, but has 0 \["),
    ],
)
def test_the_error_of_a_very_large_size_says_what_it_probably_is(data, says):
    with pytest.raises((ItemTooLarge, Truncated), match=says):
        decode_pairs(data)


# --- kinds of input ----------------------------------------------------------------------------


@every_python_codec
@pytest.mark.parametrize(
    "make", [bytes, bytearray, memoryview, lambda data: array.array("I", data)]
)
def test_any_bytes_like_object_can_be_fed(codec_name, make):
    codec = codec_named(codec_name)
    data = encode_pair("key", "value") + encode_pair("", "")
    data = data[:20]
    assert codec.pairs([make(data)], MAX_ITEM) == codec.pairs([data], MAX_ITEM)
    assert codec.pairs([make(data[:8]), make(data[8:])], MAX_ITEM) == codec.pairs([data], MAX_ITEM)


@every_python_codec
@every_kind
def test_the_callers_buffer_is_free_again_after_feed(codec_name, kind):
    codec = codec_named(codec_name)
    decoder = codec.pair_decoder() if kind == "pairs" else codec.list_decoder()
    buffer = bytearray(
        encode(kind, [("key", "value")] if kind == "pairs" else [[("key", "value")]]) + b"\1"
    )
    given_values = decoder.feed(buffer)
    buffer[:] = b"\xff" * len(buffer)
    buffer.clear()  # BufferError while somebody holds it
    assert given_values == ([(b"key", b"value")] if kind == "pairs" else [[(b"key", b"value")]])
    with pytest.raises(Truncated):
        decoder.close()


@every_python_codec
@every_kind
@pytest.mark.parametrize("first", [b"", b"\1"])
def test_what_is_not_bytes_is_refused_and_changes_nothing(codec_name, kind, first):
    codec = codec_named(codec_name)
    decoder = codec.pair_decoder() if kind == "pairs" else codec.list_decoder()
    decoder.feed(first)
    for wrong in ("text", 3, None, [1], 1.5):
        with pytest.raises(TypeError):
            decoder.feed(wrong)
    values = [(b"k", b"v")] if kind == "pairs" else [[(b"k", b"v")]]
    assert decoder.feed(encode(kind, values)[len(first) :]) == values
    decoder.close()


@pytest.mark.parametrize("limit", [-1, 1 << 32, 1.5, "16", None])
@pytest.mark.parametrize(
    "make", [PairDecoder, ListDecoder, lambda max_item: encode_pairs([], max_item=max_item)]
)
def test_a_limit_that_is_none_is_refused(make, limit):
    with pytest.raises(ValueError, match="max_item"):
        make(max_item=limit)


# --- memory --------------------------------------------------------------------------------------


@pytest.mark.clause("LIST-4", "LIMITS-1", "LIMITS-2")
@every_python_codec
@pytest.mark.parametrize(
    "data",
    [b"\xff" * 4, b"\xff" * 4 + bytes(8), b"\1\0\0\0\0\0\0\x40", b"\1\0\0\0\xff\xff\xff\xff"],
)
def test_memory_is_not_taken_by_the_peers_word(codec_name, data):
    codec = codec_named(codec_name)
    codec.lists([data], MAX_ITEM)  # whatever is made once
    tracemalloc.start()
    try:
        codec.lists([data], MAX_ITEM)
        assert tracemalloc.get_traced_memory()[1] < 64 * 1024
    finally:
        tracemalloc.stop()


# --- encoding ------------------------------------------------------------------------------------


@pytest.mark.documented(
    "7 a pair is key size, key, value size, value; sizes are 32 bits, little-endian, in bytes"
)
@pytest.mark.clause("FRAME-1", "FRAME-2", "FRAME-3")
def test_a_pair_is_its_two_items():
    assert encode_pair(b"k", b"one") == b"\1\0\0\0k\3\0\0\0one"
    assert encode_list([]) == b"\0\0\0\0"
    assert encode_list([[b"", b""]]) == b"\1\0\0\0" + bytes(8)
    assert encode_pairs(iter([("a", "")])) == encode_pairs([("a", "")]) == encode_pair("a", "")


@pytest.mark.clause("FRAME-6")
@every_python_codec
@given(key=st.text(max_size=8), value=st.text(max_size=8))
def test_text_goes_out_as_utf8(codec_name, key, value):
    pack_pairs = codec_named(codec_name).primitives.pack_pairs
    assert pack_pairs([(key, value)], MAX_ITEM) == pack_pairs(
        [(key.encode(), value.encode())], MAX_ITEM
    )


BAD_PAIRS = [
    ((1, b""), "the key of pair 2 must be bytes or str, not int"),
    ((b"", None), "the value of pair 2 must be bytes or str, not NoneType"),
    ((b"", 1.5), "the value of pair 2 must be bytes or str, not float"),
    ((bytearray(b"k"), b""), "the key of pair 2 must be bytes or str, not bytearray"),
    ((b"", memoryview(b"v")), "the value of pair 2 must be bytes or str, not memoryview"),
    ((b"", (b"v",)), "the value of pair 2 must be bytes or str, not tuple"),
    ((b"k",), "pair 2 is not a (key, value) tuple or list: tuple of 1"),
    ([b"k", b"v", b"w"], "pair 2 is not a (key, value) tuple or list: list of 3"),
    ((), "pair 2 is not a (key, value) tuple or list: tuple of 0"),
    ("kv", "pair 2 is not a (key, value) tuple or list: str"),
    (b"kv", "pair 2 is not a (key, value) tuple or list: bytes"),
    ({b"k": b"v", b"l": b"w"}, "pair 2 is not a (key, value) tuple or list: dict"),
    (None, "pair 2 is not a (key, value) tuple or list: NoneType"),
]


@every_python_codec
@pytest.mark.parametrize(("bad", "text"), BAD_PAIRS, ids=[text for _, text in BAD_PAIRS])
def test_what_cannot_be_encoded_is_named_with_its_type_and_index(codec_name, bad, text):
    pack_pairs = codec_named(codec_name).primitives.pack_pairs
    for pairs in ([("", ""), ("", ""), bad], iter([("", ""), ("", ""), bad])):
        with pytest.raises(TypeError) as caught:
            pack_pairs(pairs, MAX_ITEM)
        assert str(caught.value) == text
    with pytest.raises(TypeError) as caught:
        pack_pairs([bad], MAX_ITEM, 2)
    assert str(caught.value) == text


@every_python_codec
@pytest.mark.parametrize(
    ("bad", "max_item", "text"),
    [
        (
            ("\ud800", ""),
            MAX_ITEM,
            "the key of pair 1 is a str that UTF-8 cannot encode: surrogates not allowed",
        ),
        (
            (b"", "a\udfff"),
            MAX_ITEM,
            "the value of pair 1 is a str that UTF-8 cannot encode: surrogates not allowed",
        ),
        ((b"12345", b""), 4, "the key of pair 1 has 5 bytes, but the limit is 4"),
        (("", "éé\n"), 4, "the value of pair 1 has 5 bytes, but the limit is 4"),
    ],
)
@pytest.mark.clause("LIMITS-1", "FRAME-6")
def test_what_may_not_be_encoded_is_named_with_its_index(codec_name, bad, max_item, text):
    pack_pairs = codec_named(codec_name).primitives.pack_pairs
    with pytest.raises(ValueError) as caught:
        pack_pairs([(b"1234", "1234"), bad], max_item)
    assert type(caught.value) is ValueError
    assert str(caught.value) == text


@pytest.mark.parametrize("encode_them", [encode_pairs, encode_list])
def test_an_error_in_the_callers_generator_comes_out_as_it_is(encode_them):
    class Mine(Exception):
        pass

    def pairs():
        yield b"k", b"v"
        raise Mine("here")

    with pytest.raises(Mine, match="here"):
        encode_them(pairs())
    with pytest.raises(TypeError, match="not iterable"):
        encode_them(3)


@every_python_codec
@given(
    pairs=st.lists(st.tuples(items, items) | st.lists(items, min_size=2, max_size=2), max_size=6),
    max_item=limits,
)
def test_the_encoders_agree(codec_name, pairs, max_item):
    def packed(primitives):
        try:
            return primitives.pack_pairs(pairs, max_item)
        except ValueError as e:
            return str(e)

    assert packed(codec_named(codec_name).primitives) == packed(_reference)


# --- the primitives under the decoders
# -------------------------------------------------------------


@every_python_codec
@given(data=frame_like, start=st.integers(0, 20), max_pairs=st.integers(0, 3), max_item=limits)
def test_a_scan_stops_where_the_reference_stops(codec_name, data, start, max_pairs, max_item):
    primitives = codec_named(codec_name).primitives
    start = min(start, len(data))
    pairs, due = [], []
    assert primitives.scan_pairs(data, start, max_pairs, max_item, pairs) == _reference.scan_pairs(
        data, start, max_pairs, max_item, due
    )
    assert pairs == due
    lists, due = [], []
    assert primitives.scan_lists(data, start, None, 0, max_item, lists) == _reference.scan_lists(
        data, start, None, 0, max_item, due
    )
    assert lists == due


# --- lines and partitions, without pair objects
# ------------------------------------------------------

texts = st.lists(st.sampled_from([b"\n", b"a", b"word", b"\r\n", b"\0"]), max_size=12).map(b"".join)


@every_python_codec
@given(data=texts)
def test_lines_become_values_with_their_newline(codec_name, data):
    primitives = codec_named(codec_name).primitives
    frames, n_lines = primitives.frame_lines(data)
    lines = _lines(data)
    assert decode_pairs(frames) == [(b"", line) for line in lines]
    assert n_lines == len(lines)
    assert primitives.split_lines(data, False) == lines


def _lines(data):
    return io.BytesIO(data).readlines()


@every_python_codec
@given(data=st.binary() | st.text().map(str.encode))
def test_lines_as_text_have_all_their_bytes(codec_name, data):
    lines = codec_named(codec_name).primitives.split_lines(data, True)
    assert [line.encode("utf-8", "surrogateescape") for line in lines] == _lines(data)


@every_python_codec
@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_lines_come_from_any_bytes_like_object(codec_name, make):
    primitives = codec_named(codec_name).primitives
    assert primitives.frame_lines(make(b"a\n")) == (encode_pair("", "a\n"), 1)
    assert primitives.split_lines(make(b"a\nb"), True) == ["a\n", "b"]
