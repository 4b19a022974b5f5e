"""Data of each kind, inspected: the verdict is that of the decoders, and no byte is left out."""

import gzip
import re
import tracemalloc
from itertools import chain, repeat
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stream_strategies import (
    cut,
    cuts,
    encode,
    every_kind,
    frame_like,
    list_lists,
    pair_lists,
)
from support.vectors_format import load

from kvproto import decode_lists, decode_pairs, decode_params, encode_pair, encode_pairs
from kvproto._text import quoted_text
from kvproto.errors import DataError, ProtocolError
from kvproto.inspection import window
from kvproto.inspection.kinds import KINDS, MAX_SET
from kvproto.inspection.report import inspect_pieces
from kvproto.inspection.rows import Chosen, Row
from kvproto.protocol.params import encode_params
from kvproto.storage.results import as_result_file

DECODERS = {"pairs": decode_pairs, "lists": decode_lists, "params": decode_params}
VECTORS = [
    (kind, vector)
    for kind in DECODERS
    for vector in load(kind)
    if not vector.id.endswith("total-at-limit")  # over what is inspected
]


def inspected(kind, pieces, chosen=None):
    one = KINDS[kind](chosen)
    for piece in pieces:
        one.feed(piece)
    if one.fault is None:
        one.close()
    return one


def fault_of_decoder(kind, data):
    try:
        DECODERS[kind](data)
    except ProtocolError as e:
        return e.offset, e.clause
    return None


def fault_of(one):
    if one.fault is None:
        return None
    return one.fault.offset, re.search(r"\[(.*)\]", one.fault.text)[1]


def lines(data, name="x", **options):
    inspection = inspect_pieces(iter([data]), name, **options)
    return inspection.is_valid, list(inspection.lines)


@pytest.mark.parametrize(("kind", "vector"), VECTORS, ids=lambda x: getattr(x, "id", ""))
def test_the_verdict_on_a_vector_is_that_of_the_decoder(kind, vector):
    assert fault_of(inspected(kind, [vector.input])) == fault_of_decoder(kind, vector.input)


@every_kind
@given(data=frame_like, at=cuts)
def test_any_bytes_in_any_pieces_have_the_fault_that_the_decoder_finds(kind, data, at):
    assert fault_of(inspected(kind, cut(data, at))) == fault_of_decoder(kind, data)


@every_kind
@given(values=st.data(), at=cuts)
def test_the_rows_of_a_short_stream_are_all_its_bytes(kind, values, at):
    data = encode(kind, values.draw(pair_lists if kind == "pairs" else list_lists))
    one = inspected(kind, cut(data, at))
    if one.n_good <= window.WHOLE:
        rows = list(one.rows())
        assert b"".join(row.data for row in rows) == data
        assert [row.offset for row in rows] == [
            sum(len(row.data) for row in rows[:number]) for number in range(len(rows))
        ]


@given(
    pairs=pair_lists,
    params=st.dictionaries(st.binary(max_size=5), st.binary(max_size=5)),
    at=cuts,
)
def test_the_rows_of_parameters_and_pairs_are_all_their_bytes(pairs, params, at):
    data = encode_params(params) + encode_pairs(pairs)
    one = inspected("stdin", cut(data, at))
    assert one.fault is None
    if len(pairs) <= window.WHOLE:
        assert b"".join(row.data for row in one.rows()) == data


@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=200),
    number=st.integers(0, 199),
    n_piece=st.sampled_from([64, 1000, 3000]),
)
def test_the_rows_around_a_pair_are_those_of_its_bytes(sizes, number, n_piece):
    pairs = [(b"%d" % index, b"v" * size) for index, size in enumerate(sizes)]
    data, number = encode_pairs(pairs), number % len(pairs)
    pieces = [data[at : at + n_piece] for at in range(0, len(data), n_piece)]
    one = inspected("pairs", pieces, Chosen("pair", number))
    begin = len(encode_pairs(pairs[:number]))
    shown = {row.offset: row.data for row in one.rows() if isinstance(row, Row)}
    assert shown[begin] == data[begin : begin + 4]
    assert shown[begin + 4] == pairs[number][0]
    for offset in range(begin, begin + len(encode_pair(*pairs[number]))):
        again = inspected("pairs", pieces, Chosen("offset", offset))
        assert {row.offset for row in again.rows() if isinstance(row, Row)} == set(shown)


def test_each_end_of_a_long_stream_is_shown_with_what_is_left_out():
    _, text = lines(encode_pairs([(b"k%04d" % n, b"") for n in range(1000)]))
    keys = [line.split('"')[1] for line in text if " key " in line and '"' in line]
    assert keys == [f"k{n:04}" for n in (*range(6), *range(994, 1000))]
    assert [line for line in text if "..." in line] == ["  ...   988 pairs, 12,844 bytes, left out"]


def test_a_record_that_two_large_pieces_share_is_shown_with_those_around_it():
    data = encode_pairs([(b"%06d" % number, b"") for number in range(20_000)])
    pieces = [data[at : at + 65_536] for at in range(0, len(data), 65_536)]
    for number in (65_536 // 14, 2 * 65_536 // 14):
        rows = inspected("pairs", pieces, Chosen("pair", number)).rows()
        keys = [int(row.data) for row in rows if isinstance(row, Row) and len(row.data) == 6]
        assert keys == list(range(number - 3, number + 4))


def test_a_result_file_that_arrives_byte_by_byte_is_one():
    frames = encode_pair("k", "v")
    chunks, _ = as_result_file("frames", [frames], len(frames), 1, crc32(frames))
    inspection = inspect_pieces((bytes([byte]) for byte in b"".join(chunks)), "x")
    assert next(iter(inspection.lines)) == "x: a result file of a job, valid"


def test_a_chosen_place_that_is_not_there_is_an_error_that_says_what_is():
    with pytest.raises(DataError, match=r"x has no pair 3 \(counted from 0\): 1 pair in 10 bytes"):
        inspect_pieces([encode_pair("k", "v")], "x", None, Chosen("pair", 3))


@pytest.mark.parametrize(
    ("data", "title"),
    [
        (encode_pair("k", "one"), "pairs, valid"),
        (b"\1\0\0\0" + encode_pair("k", "one") + b"\0" * 4, "result lists, valid"),
        (encode_params({"sep": " "}), "a parameter set, valid"),
        (
            encode_params({"sep": " "}) + encode_pair("k", "v"),
            "parameters and pairs, as a worker reads them, valid",
        ),
        (encode_pair("k", "one") + b"\1\0", "pairs, not valid"),
        (b"some text\n", "unknown, not valid as any kind"),
    ],
)
def test_the_kind_of_data_is_found_out(data, title):
    assert lines(data)[1][0] == f"x: {title}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a line of text\n", "it is text: `kvproto encode` makes frames of it"),
        (gzip.compress(b"text", mtime=0), "it is compressed with gzip"),
        (b"PK\3\4" + b"\xff" * 9, "it is a zip archive"),
    ],
)
def test_data_of_no_kind_is_described_by_what_it_looks_like(data, words):
    is_valid, text = lines(data)
    assert not is_valid
    assert any(line.strip().startswith(words) for line in text)


def test_the_first_wrong_byte_is_marked_with_the_clause_and_the_likely_cause():
    good = encode_pair("k", "one")
    assert lines(good + b"text" * 2)[1] == [
        "x: pairs, not valid",
        "  1 pair in 20 bytes, 20.0 bytes each on average",
        "  the first wrong byte: byte 12 (hex c): the key size is 1,954,047,348, "
        'over the limit of 1 GiB [LIMITS-1]; this size is the text "text"',
        "  as result lists: byte 8 (hex 8): the data ends inside the key, after 12 of 875 bytes "
        "[FRAME-4]",
        "",
        "  0000  01 00 00 00                           pair 0: key size 1",
        '  0004  6b                                    key "k"',
        "  0005  03 00 00 00                           value size 3",
        '  0009  6f 6e 65                              value "one"',
        "> 000c  74 65 78 74 74 65 78 74               key size 1,954,047,348",
        "        ^^ the first wrong byte",
    ]
    big_endian = good + b"\x40\0\0\1" + b"k"
    assert "it is" not in lines(big_endian, kind="pairs")[1][2]
    swapped = good + b"\0\0\1\x41k"
    assert "this size is 321" in lines(swapped, kind="pairs")[1][2]


def test_a_parameter_set_that_would_fill_the_memory_is_not_read():
    one = inspected("params", [b"%d\n" % (MAX_SET + 1), b"more"])
    assert (
        one.fault.text
        == "the total announces 16,777,217 bytes; a set is inspected up to 16,777,216"
    )


def test_a_chosen_item_is_shown_with_more_of_its_text():
    data = encode_pair("k", "".join(f"line {number:4}\n" for number in range(90)))
    assert lines(data, chosen=Chosen("pair", 0))[1][6:10] == [
        r'  0009  6c 69 6e 65 20 20 20 20 30 0a 6c 69   value "line    0\nline    1\nline"...',
        "  0015  6e 65 20 20 20 20 31 0a 6c 69 6e 65",
        r'  0021  20 20 20 20 32 0a 6c 69 6e 65 20 20   "    2\nline  "',
        r'  002d  20 20 33 0a 6c 69 6e 65 20 20 20 20   "  3\nline    "',
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", '""'),
        (b'say "hi"\n', r'"say "hi"\n"'),
        (b"a\tb\\c\0\x1b[2J", r'"a\tb\\c..[2J"'),
        ("naïve".encode(), '"naïve"'),
        (b"na\xefve", '"na.ve"'),
        (("x" * 23 + "ï").encode(), f'"{"x" * 23}"...'),
        (("x" * 22 + "ï").encode(), f'"{"x" * 22}ï"'),
        ("\u202ex\x9b".encode(), '".x."'),
    ],
)
def test_the_text_of_bytes_is_quoted_and_cannot_control_a_terminal(data, text):
    assert quoted_text(data) == text


@given(data=st.binary(max_size=40))
def test_any_bytes_are_quoted_as_characters_that_can_be_seen(data):
    assert quoted_text(data).isprintable()


def test_memory_does_not_grow_with_pairs_or_items_or_empty_lists():
    block = encode_pairs([(b"key", b"value")] * 2000)
    item = encode_pair(b"k", b"v" * (1 << 22))
    streams = {
        "pairs": [
            repeat(block, 2000),
            (item[at : at + 65536] for at in range(0, len(item), 65536)),
        ],
        "lists": [repeat(bytes(65536), 500)],
    }
    for kind, pieces in streams.items():
        tracemalloc.start()
        one = inspected(kind, chain(*pieces))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert one.fault is None
        assert most < 6 << 20
