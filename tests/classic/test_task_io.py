"""Readers of task_io: results of our own as input from anywhere, gzip, regular
expressions, lines.
"""

import gzip
import io
import os
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import entries

from kvproto.classic.task_io import (
    chain_input,
    chain_reader,
    chain_stream,
    gzip_line_reader,
    gzip_reader,
    gzip_stream,
    map_line_reader,
    re_reader,
    task_input_stream,
)
from kvproto.errors import DataError
from kvproto.storage.records import FRAMES, OBJECTS, pack_frames, pack_objects
from kvproto.storage.results import ResultWriters, read_result_stream


class Socket(io.RawIOBase):
    """Bytes that come in small pieces and cannot be sought, as from the web."""

    def __init__(self, data: bytes, size: int = 7) -> None:
        self._pieces = [data[at : at + size] for at in range(0, len(data), size)]

    def readable(self):
        return True

    def readinto(self, buffer):
        piece = self._pieces.pop(0) if self._pieces else b""
        if len(piece) > len(buffer):
            self._pieces.insert(0, piece[len(buffer) :])
        n_read = min(len(piece), len(buffer))
        buffer[:n_read] = piece[:n_read]
        return n_read


# --- results of our own ------------------------------------------------------------------------

PAIRS = [(f"key {number}", "value" * number) for number in range(30)]


def result_file(path, kind=OBJECTS, pairs=PAIRS) -> bytes:
    with ResultWriters([str(path)], kind) as writer:
        if pairs:
            data = pack_objects(pairs) if kind == OBJECTS else pack_frames(pairs, 0)
            writer.write(0, data, len(pairs))
        writer.publish()
    return path.read_bytes()


def as_bytes(pairs):
    return [(key.encode(), value.encode()) for key, value in pairs]


@pytest.mark.parametrize("n_pairs", [0, 1, 30])
def test_a_result_is_read_from_a_file_and_as_it_comes_from_the_web(tmp_path, n_pairs):
    path = tmp_path / "result"
    for kind, expected in [(OBJECTS, PAIRS[:n_pairs]), (FRAMES, as_bytes(PAIRS[:n_pairs]))]:
        data = result_file(path, kind, PAIRS[:n_pairs])
        assert entries(chain_stream, path) == expected
        for piece in (1, 7, 1000):
            assert (
                list(
                    chain_reader(
                        io.BufferedReader(Socket(data, piece)),
                        None,
                        "http://host/x",
                        None,
                        trust=True,
                    )
                )
                == expected
            )
        assert list(chain_reader(Socket(data), None, "http://host/x", trust=True)) == expected
        assert list(read_result_stream(Socket(data), "http://host/x")) == expected


@pytest.mark.parametrize("kind", [OBJECTS, FRAMES])
def test_a_result_that_was_cut_is_refused_by_its_name(tmp_path, kind):
    data = result_file(tmp_path / "result", kind)
    for size in range(1, len(data)):
        with pytest.raises(DataError, match=r"http://host/x .*(cut short|no(t a)? result)"):
            list(
                chain_reader(
                    io.BufferedReader(Socket(data[:size])), None, "http://host/x", None, trust=True
                )
            )


@pytest.mark.parametrize("kind", [OBJECTS, FRAMES])
def test_a_result_in_which_a_byte_was_changed_is_refused_by_its_name(tmp_path, kind):
    data = bytearray(result_file(tmp_path / "result", kind))
    for at in range(len(data)):
        data[at] ^= 0x10
        with pytest.raises(DataError, match="http://host/x"):
            list(chain_reader(Socket(bytes(data), 100), None, "http://host/x", None, trust=True))
        data[at] ^= 0x10


def test_a_file_that_was_cut_is_refused_before_its_first_pair(tmp_path):
    path = tmp_path / "result"
    path.write_bytes(result_file(path, FRAMES, [("k", "v" * 2_000_000)] * 3)[:-1])
    stream, *_ = chain_input(chain_stream, None, None, str(path), None)
    with closing(stream), pytest.raises(DataError, match=f"{path} is cut short"):
        next(stream)


def test_a_damaged_one_from_the_web_shows_at_its_end_with_the_last_pairs_held_back(tmp_path):
    data = bytearray(result_file(tmp_path / "result", FRAMES, [("k", "v" * 600_000)] * 5))
    data[-29] ^= 1
    n_read = 0
    with pytest.raises(
        DataError, match="http://host/x is damaged: the checksum of its records is wrong"
    ):
        for _ in chain_reader(
            io.BufferedReader(Socket(bytes(data), 1 << 16)), None, "http://host/x", None, trust=True
        ):
            n_read += 1
    assert 0 < n_read < 5


def test_a_result_that_cannot_be_read_is_named(tmp_path):
    data = result_file(tmp_path / "result", FRAMES)

    class Broken(Socket):
        def readinto(self, buffer):
            return super().readinto(buffer) or (
                len(buffer) and os.preadv(-1, [buffer], 0)
            )  # which the system refuses

    for start in (data[:-5], b"3 key 5 val", b"\x81\x01"):
        with pytest.raises(DataError, match="reading http://host/x: Bad file descriptor"):
            list(chain_reader(Broken(start), None, "http://host/x", None, trust=True))


def test_a_result_can_come_compressed(tmp_path):
    path = tmp_path / "result.gz"
    path.write_bytes(gzip.compress(result_file(path)))
    assert entries([*gzip_stream, chain_reader], path) == PAIRS


@pytest.mark.parametrize(
    "data, what",
    [
        (
            b"To be or not\n",
            r"host/x is not a result of a job: it begins with b'To be or not\\n'; .*"
            r"need no reader",
        ),
        (b"1,2\n", "begins with b'1,2"),
        ("é\n".encode(), "begins with"),
        (b"\x82", r"begins with b'\\x82'"),
        (b"", "is not a result of a job: it is empty"),
        (
            b"kvproto result 2 frames\n",
            "is not a result file of this version: it begins with b'kvproto result 2 frames",
        ),
    ],
)
def test_what_is_no_result_is_refused_with_what_it_begins_with(data, what):
    for file in (io.BytesIO(data), Socket(data)):
        with pytest.raises(DataError, match=what):
            list(chain_reader(file, len(data), "http://host/x", None, trust=True))


def test_text_that_has_no_bytes_is_refused():
    with pytest.raises(TypeError, match="chain_reader reads bytes"):
        list(chain_reader(io.StringIO("3 key 5 value\n"), None, "url", None))


# --- gzip --------------------------------------------------------------------------------------

TEXT = "first\nsecond é\n\nlast"
ZIPPED = gzip.compress(TEXT[:9].encode(), mtime=0) + gzip.compress(TEXT[9:].encode(), mtime=0)
LINES = ["first\n", "second é\n", "\n", "last"]


def test_gzip_gives_text_whose_members_are_one(tmp_path):
    path = tmp_path / "text.gz"
    path.write_bytes(ZIPPED)
    stream, size, url = chain_input(gzip_stream, None, None, str(path), None)
    with closing(stream):
        assert (list(stream), size, url) == (LINES, None, str(path))
    stream, *_ = chain_input(gzip_stream, None, None, str(path), None)
    with closing(stream):
        assert stream.buffer.read() == TEXT.encode()
    assert entries([task_input_stream, gzip_line_reader], path) == LINES
    of_bytes = [line.encode("utf-8", "surrogateescape") for line in LINES]
    assert list(gzip_line_reader(io.BufferedReader(Socket(ZIPPED)), None, "url", None)) == of_bytes


def test_gzip_that_is_cut_is_refused_by_its_name():
    first = len(gzip.compress(TEXT[:9].encode()))
    for size in set(range(len(ZIPPED))) - {first}:
        with pytest.raises(DataError, match=r"input http://host/x.gz: "):
            list(gzip_line_reader(io.BytesIO(ZIPPED[:size]), None, "http://host/x.gz", None))


@pytest.mark.parametrize(
    "data", [b"plain text", ZIPPED + b"text behind", ZIPPED[:15] + b"\0" + ZIPPED[16:]]
)
def test_what_is_no_gzip_is_refused_by_its_name(data):
    with pytest.raises(DataError, match="input url: gzip data is cut short or damaged"):
        list(gzip_reader(io.BytesIO(data), None, "url", None)[0])


# --- regular expressions and lines -------------------------------------------------------------


def file_of(data: bytes):
    return io.TextIOWrapper(
        io.BytesIO(data), encoding="utf-8", errors="surrogateescape", newline="\n"
    )


@given(st.lists(st.text(st.characters(exclude_characters="\n")), max_size=20), st.integers(1, 12))
def test_a_pattern_cuts_the_input_the_same_however_it_is_read(items, read_buffer_size):
    data = "".join(item + "\n" for item in items).encode("utf-8", "surrogatepass")
    text = [(item,) for item in data.decode("utf-8", "surrogateescape").split("\n")[:-1]]
    for size in (None, len(data)):
        assert (
            list(
                re_reader("(.*?)\n", file_of(data), size, "url", read_buffer_size=read_buffer_size)
            )
            == text
        )
    of_bytes = [(item,) for item in data.split(b"\n")[:-1]]
    assert (
        list(
            re_reader(rb"([^\n]*)\n", file_of(data), None, "url", read_buffer_size=read_buffer_size)
        )
        == of_bytes
    )


def test_a_match_that_could_go_on_is_not_cut_where_a_block_ends():
    assert list(
        re_reader(r"(\w+) ?", file_of(b"some words of letters"), None, "url", read_buffer_size=3)
    ) == [("some",), ("words",), ("of",), ("letters",)]


def test_short_items_behind_a_long_one_are_found_in_time_that_grows_with_the_input():
    data = b"x" * ((4 << 20) + 10) + b"\n" + b"y\n" * 1_000_000 + b"\xc3"
    items = list(re_reader("^(.*?)\n", file_of(data), len(data), "url", output_tail=True))
    assert len(items) == 1_000_002 and items[-2:] == [("y",), ("\udcc3",)]


def test_a_long_item_is_read_in_ever_larger_pieces():
    n_reads = []

    class Counting(io.BytesIO):
        def read(self, size):
            n_reads.append(size)
            return super().read(size)

    [(item,)] = re_reader("(?s)(.*)", Counting(b"x" * 1_000_000), None, "url", read_buffer_size=100)
    assert len(item) == 1_000_000 and len(n_reads) < 20


def test_a_tail_that_does_not_match_is_given_or_told(capsys):
    data = b"a;b;rest"
    assert list(re_reader("(.);", file_of(data), None, "url", output_tail=True)) == [
        ("a",),
        ("b",),
        ("rest",),
    ]
    assert capsys.readouterr().out == ""
    assert list(re_reader("(.);", file_of(data), None, "http://host/x")) == [("a",), ("b",)]
    assert (
        capsys.readouterr().out
        == "re_reader: the end of http://host/x does not match and is left out (length 4): 'rest'\n"
    )


def test_no_more_than_size_is_read_and_less_is_refused():
    assert list(re_reader("(.)", file_of(b"abcdef"), 3, "url")) == [("a",), ("b",), ("c",)]
    assert list(re_reader("(.)", file_of(b"abc"), 0, "url")) == [("a",), ("b",), ("c",)]
    with pytest.raises(DataError, match="input url is cut short: it has 3 of the expected 4 bytes"):
        list(re_reader("(.)", file_of(b"abc"), 4, "url"))


def test_a_pattern_that_matches_nothing_at_all_is_a_mistake():
    with pytest.raises(ValueError, match=r"'\(x\*\)' matches the empty string"):
        list(re_reader("(x*)", file_of(b"abc"), None, "url"))


def test_text_alone_can_be_cut_by_a_pattern_too():
    assert list(re_reader("(.)", io.StringIO("é\udcff"), 3, "url")) == [("é",), ("\udcff",)]


def test_lines_of_the_oldest_kind_have_no_newline():
    assert list(map_line_reader(file_of(b"a\r\n\nb"), 5, "url")) == ["a\r", "", "b"]
