"""The forms of input and output of `kvproto map` and `kvproto reduce`: lines, text, jsonl, kv."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command_line import through_echo

import kvproto
from kvproto import forms
from kvproto.errors import Truncated

pytestmark = pytest.mark.slow

BINARY = [
    (b"", b""),
    (b"k\t\n", b"\0\xff\xfe"),
    ("naïve".encode(), b'"\\\r\n'),
    (bytes(range(256)), b"x" * 70000),
]


@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_kv_to_kv_is_the_same_bytes(mode):
    data = kvproto.encode_pairs(BINARY * 50)
    assert through_echo(mode, data, "--in", "kv", "--out", "kv") == data


@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_jsonl_there_and_back_is_the_same_bytes(mode):
    data = kvproto.encode_pairs(BINARY * 50)
    lines = through_echo(mode, data, "--in", "kv", "--out", "jsonl")
    assert lines.count(b"\n") == len(BINARY) * 50
    assert through_echo(mode, lines, "--in", "jsonl", "--out", "kv") == data


def test_lines_are_values_with_their_newline_and_an_empty_key():
    lines = b"one\n\ntwo \xff\0\nunended"
    pairs = kvproto.decode_pairs(through_echo("map", lines, "--in", "lines", "--out", "kv"))
    assert pairs == [(b"", b"one\n"), (b"", b"\n"), (b"", b"two \xff\0\n"), (b"", b"unended")]


def test_text_is_key_tab_value_newline():
    data = kvproto.encode_pairs([(b"key", b"value"), (b"\xff", b"a\tb\n")])
    assert through_echo("map", data, "--in", "kv", "--out", "text") == b"key\tvalue\n\xff\ta\tb\n\n"


def test_text_is_read_as_it_is_written():
    data = b"key\tvalue\n\xff\ta\tb\n\tempty key\nempty value\t\nno tab\n\nlast\tunended"
    read = b"key\tvalue\n\xff\ta\tb\n\tempty key\nempty value\t\nno tab\t\n\t\nlast\tunended\n"
    assert through_echo("map", data, "--in", "text", "--out", "text") == read
    assert (
        through_echo("reduce", data) == read
    )  # what map writes when nothing is said, reduce reads


def test_the_default_is_lines_to_text():
    assert through_echo("map", b"one\ntwo\n") == b"\tone\n\n\ttwo\n\n"


def test_jsonl_takes_a_lone_item_as_a_value_and_skips_blank_lines():
    lines = b'"value"\n\n[{"base64": "/w=="}, "\\u00e9"]\n{"base64": "AA=="}'
    pairs = kvproto.decode_pairs(through_echo("map", lines, "--in", "jsonl", "--out", "kv"))
    assert pairs == [(b"", b"value"), (b"\xff", "é".encode()), (b"", b"\0")]


@pytest.mark.parametrize("mode", ["map", "reduce"])
@pytest.mark.parametrize("form", ["lines", "jsonl", "kv"])
def test_no_input_is_no_output(mode, form):
    assert through_echo(mode, b"", "--in", form) == b""


def test_jsonl_shows_text_as_it_is():
    data = kvproto.encode_pair("naïve", b"\xff")
    lines = through_echo("map", data, "--in", "kv", "--out", "jsonl")
    assert lines.decode() == '["naïve", {"base64": "/w=="}]\n'


def test_the_limit_of_a_line_counts_that_line_alone():
    frames = b"".join(forms.frames_from_lines([b"aa", b"a\nbb", b"b\ncc", b"c\n"], max_item=4))
    assert [value for _key, value in kvproto.decode_pairs(frames)] == [b"aaa\n", b"bbb\n", b"ccc\n"]


@pytest.mark.parametrize("write", [forms.text_from_frames, forms.jsonl_from_frames])
def test_frames_that_end_inside_a_pair_are_an_error(write):
    with pytest.raises(Truncated):
        list(write([kvproto.encode_pair(b"key", b"value")[:-1]]))


def test_a_line_of_several_pieces_stays_one():
    line = b"x" * 5_000_000 + b"\n"
    assert through_echo("map", b"a\n" + line + b"b\n", "--out", "kv") == kvproto.encode_pairs(
        [(b"", b"a\n"), (b"", line), (b"", b"b\n")]
    )


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20))), st.integers(1, 30))
def test_jsonl_round_trip_of_any_pairs_cut_anywhere(pairs, n_bytes):
    frames = kvproto.encode_pairs(pairs)
    lines = b"".join(forms.jsonl_from_frames(_cut(frames, n_bytes)))
    assert b"".join(forms.frames_from_jsonl(_cut(lines, n_bytes))) == frames


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xff"])).map(b"".join), st.integers(1, 30))
def test_lines_of_any_bytes_cut_anywhere(text, n_bytes):
    pairs = kvproto.decode_pairs(b"".join(forms.frames_from_lines(_cut(text, n_bytes))))
    assert b"".join(value for _key, value in pairs) == text
    assert all(key == b"" and re.fullmatch(rb"[^\n]*\n|[^\n]+", value) for key, value in pairs)


def _cut(data, n_bytes):
    return [data[at : at + n_bytes] for at in range(0, len(data), n_bytes)]
