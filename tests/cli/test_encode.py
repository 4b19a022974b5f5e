"""`kvproto encode` and `kvproto decode`: whatever is decoded can be encoded to the same bytes."""

import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import catalogue
from support.command_line import command_line, kvproto_command
from support.stream_strategies import cut, cuts, list_lists, pair_lists

from kvproto import encode_list, encode_pairs, forms
from kvproto.errors import DataError, ItemTooLarge, ParamsError, Truncated
from kvproto.protocol.params import encode_params

TEXT = st.binary(max_size=8).filter(lambda item: not set(item) & set(b"\t\n"))


@given(lists=list_lists, at=cuts, again=cuts)
def test_result_lists_come_back_from_json_lines_to_the_byte(lists, at, again):
    data = b"".join(map(encode_list, lists))
    lines = b"".join(forms.jsonl_from_lists(cut(data, at)))
    assert len(lines.splitlines()) == len(lists)
    assert b"".join(forms.lists_from_jsonl(cut(lines, again))) == data


@given(pairs=pair_lists, params=st.dictionaries(st.text(max_size=3), st.text(max_size=3)), at=cuts)
def test_pairs_come_back_from_json_lines_to_the_byte(pairs, params, at):
    frames = encode_pairs(pairs)
    head, pieces = forms.without_params(cut(encode_params(params) + frames, at) or [b""])
    assert head == encode_params(params)
    lines = b"".join(
        forms.jsonl_from_frames(forms.bare_pairs(pieces, with_lists=False, offset=len(head)))
    )
    assert b"".join(forms.frames_from_jsonl(cut(lines, at))) == frames


@given(pairs=st.lists(st.tuples(TEXT, TEXT), max_size=8), at=cuts)
def test_pairs_come_back_from_text_to_the_byte(pairs, at):
    frames = encode_pairs(pairs)
    text = b"".join(forms.text_from_frames(cut(frames, at)))
    assert b"".join(forms.frames_from_text(cut(text, at))) == frames


@given(lists=list_lists, at=cuts)
def test_the_pairs_of_result_lists_are_those_in_them(lists, at):
    data = b"".join(map(encode_list, lists))
    pairs = [pair for one in lists for pair in one]
    assert b"".join(forms.bare_pairs(cut(data, at), with_lists=True)) == encode_pairs(pairs)


def test_a_worker_between_the_two_commands_is_a_pipe_of_unix(tmp_path):
    (tmp_path / "pairs").write_bytes(b'["k", "one\\n"]\n[{"base64": "/w=="}, ""]\n')
    encode, decode = (
        shlex.join(command_line(*arguments))
        for arguments in (("encode", "--from", "jsonl"), ("decode", "--to", "lists"))
    )
    worker = shlex.join([sys.executable, str(catalogue.HERE / "echo.py"), "map"])
    done = subprocess.run(
        ["sh", "-c", f"{encode} < pairs | {worker} | {decode}"],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b'[["k", "one\\n"]]\n[[{"base64": "/w=="}, ""]]\n'


def test_lines_become_values_after_the_parameters():
    done = kvproto_command("encode", "-p", "sep= ", stdin=b"a b\nc")
    assert done.stdout == encode_params({"sep": " "}) + encode_pairs([("", "a b\n"), ("", "c")])
    done = kvproto_command("encode", "--no-params", "--from", "text", stdin=b"k\tv\n")
    assert done.stdout == encode_pairs([("k", "v")])


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("lists", encode_list([("k", "v")])),
        ("pairs", encode_pairs([("k", "v")])),
        ("params", encode_params({"k": "v"})),
        ("stdin", encode_params({"no": "pair"}) + encode_pairs([("k", "v")])),
    ],
)
def test_each_kind_of_frames_is_decoded(kind, data):
    done = kvproto_command("decode", "--from", kind, stdin=data)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"k\tv\n", b"")


def test_wrong_frames_are_an_error_with_the_offset_and_the_command_that_shows_them():
    data = encode_params({"a": "b"})
    done = kvproto_command("decode", "--from", "stdin", stdin=data + b"\1\0\0")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == (
        f"kvproto: the stream ends inside the key size at byte {len(data)}: "
        "it needs 4 bytes, but has 3 [FRAME-4]\n"
        "  `kvproto inspect` shows what the bytes are; --from says what they have to be\n"
    )


@pytest.mark.parametrize(
    "line",
    [b'{"ab": 1}', b'["k", "v"]', b'["ab"]', b"[[1, 2]]", b'[["k"]]', b"1", b"[[", b"[" * 9999],
)
def test_a_line_that_is_no_list_of_pairs_is_an_error_with_its_number(line):
    with pytest.raises(DataError, match="line 2 of the input is not a list"):
        list(forms.lists_from_jsonl([b"[]\n", line]))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", Truncated),
        (b"12", Truncated),
        (b"5\n", Truncated),
        (b"text\n", ParamsError),
        (b"12345678901\n", ParamsError),
        (b"9999999999\n" + bytes(20), ParamsError),
        (b"3\nabc", ParamsError),
    ],
)
def test_what_does_not_begin_with_a_parameter_set_is_an_error(data, error):
    with pytest.raises(error):
        forms.without_params([data])


def test_an_item_over_the_limit_is_an_error_of_the_pair():
    with pytest.raises(ItemTooLarge) as caught:
        list(forms.bare_pairs([b"\xff" * 4], with_lists=False, offset=100))
    assert caught.value.offset == 100


@pytest.mark.parametrize(
    "arguments",
    [["decode", "--from", "pairs", "--to", "lists"], ["encode", "--from", "lists", "-p", "a=b"]],
)
def test_lists_where_there_are_none_are_a_usage_error(arguments):
    assert kvproto_command(*arguments).returncode == 2
