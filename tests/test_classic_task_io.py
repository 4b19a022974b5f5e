"""Streams: chains of them, results of our own as input from anywhere, gzip, regular expressions."""

import functools
import gzip
import io
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto.classic.task_io import (
    InputStream,
    OutputStream,
    chain_input,
    chain_output,
    chain_reader,
    chain_stream,
    default_stream,
    disco_output_stream,
    gzip_line_reader,
    gzip_reader,
    gzip_stream,
    map_line_reader,
    plain_output_stream,
    re_reader,
    string_input_stream,
    task_input_stream,
    task_output_stream,
)
from kvproto.engine.records import FRAMES, OBJECTS, pack_frames, pack_objects
from kvproto.engine.results import ResultWriters
from kvproto.errors import DataError, JobError


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


def entries(streams, url, params=None):
    """All that an input gives."""
    stream, *_ = chain_input(streams, None, None, str(url), params)
    with closing(stream):
        return list(stream)


# --- chains ------------------------------------------------------------------------------------


def test_each_input_function_gets_what_the_one_before_it_gave(tmp_path):
    (tmp_path / "text").write_bytes(b"caf\xc3\xa9\nb\xff\n")

    def upper(stream, size, url, params):
        return [line.upper() + params for line in stream], size + 1, url + "!"

    def counting(stream, size, url, params):
        for line in stream:
            yield line, size, url

    stream, size, url = chain_input([task_input_stream, upper, counting], None, None, str(tmp_path / "text"), "+")
    with closing(stream):
        assert list(stream) == [("CAFÉ\n+", 10, f"{tmp_path}/text!"), ("B\udcff\n+", 10, f"{tmp_path}/text!")]
    assert (size, url) == (10, f"{tmp_path}/text!")


def test_a_function_may_give_the_stream_alone_and_take_no_params():
    def without(stream, size, url):
        return io.StringIO("a\nb\n")

    stream, size, url = chain_input([task_input_stream, without], None, None, "raw://xyz", object())
    assert (list(stream), size, url) == (["a\n", "b\n"], 3, "raw://xyz")


def test_a_fourth_argument_with_a_default_of_its_own_is_no_place_for_params():
    params = {"anything": "true"}
    reader = functools.partial(re_reader, "(.)")
    assert entries([task_input_stream, reader], "raw://ab", params) == [("a",), ("b",)]
    for function in (lambda stream, size, url, params=3: [params], lambda stream, size, url, p=None: [p], lambda *args: [args[3]]):
        assert entries([function], "raw://", params) == [params]


def test_closing_an_input_closes_all_that_was_made_for_it_from_the_top_and_nothing_else(tmp_path):
    closed = []

    class Told(InputStream):
        def close(self):
            closed.append((self.stream, self.stream.closed))

    def told(stream, size, url, params):
        return Told(stream)

    (tmp_path / "text").write_text("a\nb\n")
    stream, *_ = chain_input([task_input_stream, told], None, None, str(tmp_path / "text"), None)
    assert next(stream) == "a\n" and list(stream) == ["b\n"]
    stream.close()
    [(file, was_closed)] = closed
    assert not was_closed and file.closed
    given = io.StringIO("a")
    chain_input([told], given, None, "url", None)[0].close()
    assert closed[1:] == [(given, False)] and not given.closed


def test_what_is_below_stays_open_while_it_is_read(tmp_path):
    (tmp_path / "text").write_text("a\nb\n")

    def of_bytes(stream, size, url, params):
        return stream.buffer

    assert entries([task_input_stream, of_bytes], tmp_path / "text") == [b"a\n", b"b\n"]


def gives_nothing(stream, size, url, params):
    stream.read()


@pytest.mark.parametrize(
    "function, what",
    [
        (gives_nothing, "test_classic_task_io.gives_nothing gave None for the input raw://a"),
        (lambda stream, size, url, params: (stream, url), "lambda> gave .*for the input raw://a"),
        (lambda stream, size, url, params: (None, size, url), "lambda> gave .None, 1, 'raw://a'"),
        (lambda stream, size, url, params: "text", "lambda> gave 'text' for the input raw://a"),
    ],
)
def test_an_input_function_that_gives_no_stream_is_named(function, what):
    with pytest.raises(TypeError, match=what):
        chain_input([task_input_stream, function], None, None, "raw://a", None)


def test_an_input_stream_of_ones_own_derives_from_the_class_of_that_name():
    class Reversed(InputStream):
        def __iter__(self):
            for line in self.stream:
                yield line[::-1]

    plain, reversed_ = (InputStream(io.StringIO("ab\ncd\n")) for _ in range(2))
    assert list(plain) == ["ab\n", "cd\n"] and list(Reversed(reversed_)) == ["\nba", "\ndc"]
    stream = InputStream(io.StringIO("abcdef"))
    assert (stream.read(2), stream.read(), stream.read()) == ("ab", "cdef", "")


class Doubled(OutputStream):
    def add(self, key, value):
        self.write(f"{key}={value}".encode() * 2)

    def close(self):
        self.write(b".")


def test_what_is_added_to_an_output_goes_down_the_chain_and_closing_it_closes_all_but_the_sink():
    def zipped(stream, partition, url, params):
        return gzip.GzipFile(fileobj=stream, mode="wb"), url + ".gz"

    def doubled(stream, partition, url, params):
        stream.write(f"{partition} {url} {params} ".encode())
        return Doubled(stream)

    sink = io.BytesIO()
    out = chain_output([task_output_stream, zipped, doubled], sink, 3, "result", "params")
    out.add("a", 1)
    out.write(b"|")
    out.close()
    out.close()
    assert gzip.decompress(sink.getvalue()) == b"3 result.gz params a=1a=1|." and not sink.closed


def test_an_output_has_the_path_and_the_other_attributes_of_its_last_stream(tmp_path):
    with open(tmp_path / "file", "wb") as sink:
        sink.path = sink.name
        out = chain_output([task_output_stream, disco_output_stream], sink, 0, "url", None)
        assert (out.path, out.stream) == (sink.name, sink)
        with pytest.raises(AttributeError, match="no_such"):
            out.no_such


@pytest.mark.parametrize(
    "functions, what",
    [
        ([task_output_stream], "task_output_stream gave .*no add.key, value. .*disco_output_stream"),
        ([], "an empty chain gave .*no add"),
        ([lambda stream, partition, url, params: None], "lambda> gave None: an output stream function gives a stream"),
        ([lambda stream, partition, url: (stream, 1, url)], "lambda> gave .*an output stream function gives a stream"),
    ],
)
def test_an_output_function_that_gives_no_stream_is_named(functions, what):
    with pytest.raises(TypeError, match=what):
        chain_output(functions, io.BytesIO(), 0, "url", None)


def test_an_output_stream_without_an_add_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match="^OutputStream has no add"):
        OutputStream(io.BytesIO()).add("key", "value")


def test_an_input_that_is_not_there_is_named(tmp_path):
    with pytest.raises((DataError, JobError), match="nowhere"):
        chain_input(default_stream, None, None, str(tmp_path / "nowhere"), None)


def test_a_string_can_be_an_input():
    stream, size, url = chain_input([string_input_stream], "é\n\udcff", None, "url", None)
    assert (list(stream), size, url) == (["é\n", "\udcff"], 4, "url")


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
            assert list(chain_reader(io.BufferedReader(Socket(data, piece)), None, "http://host/x", None)) == expected
        assert list(chain_reader(Socket(data), None, "http://host/x")) == expected


@pytest.mark.parametrize("kind", [OBJECTS, FRAMES])
def test_a_result_that_was_cut_is_refused_by_its_name(tmp_path, kind):
    data = result_file(tmp_path / "result", kind)
    for size in range(1, len(data)):
        with pytest.raises(DataError, match="http://host/x .*(cut short|no(t a)? result)"):
            list(chain_reader(io.BufferedReader(Socket(data[:size])), None, "http://host/x", None))


@pytest.mark.parametrize("kind", [OBJECTS, FRAMES])
def test_a_result_in_which_a_byte_was_changed_is_refused_by_its_name(tmp_path, kind):
    data = bytearray(result_file(tmp_path / "result", kind))
    for at in range(len(data)):
        data[at] ^= 0x10
        with pytest.raises(DataError, match="http://host/x"):
            list(chain_reader(Socket(bytes(data), 100), None, "http://host/x", None))
        data[at] ^= 0x10


def test_a_file_that_was_cut_is_refused_before_its_first_pair(tmp_path):
    path = tmp_path / "result"
    path.write_bytes(result_file(path, pairs=[("k", "v" * 5_000_000)] * 2)[:-1])
    stream, *_ = chain_input(chain_stream, None, None, str(path), None)
    with closing(stream), pytest.raises(DataError, match=f"{path} is cut short"):
        next(stream)


def test_a_damaged_one_from_the_web_shows_at_its_end_with_the_last_pairs_held_back(tmp_path):
    data = bytearray(result_file(tmp_path / "result", FRAMES, [("k", "v" * 600_000)] * 5))
    data[-29] ^= 1
    n_read = 0
    with pytest.raises(DataError, match="http://host/x is damaged: its records do not have their checksum"):
        for _ in chain_reader(io.BufferedReader(Socket(bytes(data), 1 << 16)), None, "http://host/x", None):
            n_read += 1
    assert 0 < n_read < 5


def test_a_result_can_come_compressed(tmp_path):
    path = tmp_path / "result.gz"
    path.write_bytes(gzip.compress(result_file(path)))
    assert entries([*gzip_stream, chain_reader], path) == PAIRS


@pytest.mark.parametrize(
    "data, what",
    [
        (b"To be or not\n", r"host/x is not a result of a job: it begins with b'To be or not\\n'; .*no reader is needed"),
        (b"1,2\n", "begins with b'1,2"),
        ("é\n".encode(), "begins with"),
        (b"\x82", r"begins with b'\\x82'"),
        (b"", "is not a result of a job: it is empty"),
        (b"kvproto result 2 frames\n", "is not a result file of this version: it begins with b'kvproto result 2 frames"),
    ],
)
def test_what_is_no_result_is_refused_with_what_it_begins_with(data, what):
    for file in (io.BytesIO(data), Socket(data)):
        with pytest.raises(DataError, match=what):
            list(chain_reader(file, len(data), "http://host/x", None))


def test_text_that_has_no_bytes_is_refused():
    with pytest.raises(TypeError, match="chain_reader reads bytes"):
        list(chain_reader(io.StringIO("3 key 5 value\n"), None, "url", None))


# --- gzip --------------------------------------------------------------------------------------

TEXT = "first\nsecond é\n\nlast"
ZIPPED = gzip.compress(TEXT[:9].encode()) + gzip.compress(TEXT[9:].encode())
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
    assert list(gzip_line_reader(io.BufferedReader(Socket(ZIPPED)), None, "url", None)) == LINES


def test_gzip_that_is_cut_is_refused_by_its_name():
    first = len(gzip.compress(TEXT[:9].encode()))
    for size in set(range(len(ZIPPED))) - {first}:
        with pytest.raises(DataError, match="input http://host/x.gz: "):
            list(gzip_line_reader(io.BytesIO(ZIPPED[:size]), None, "http://host/x.gz", None))


@pytest.mark.parametrize("data", [b"plain text", ZIPPED + b"text behind", ZIPPED[:15] + b"\0" + ZIPPED[16:]])
def test_what_is_no_gzip_is_refused_by_its_name(data):
    with pytest.raises(DataError, match="input url: gzip data is cut short or damaged"):
        list(gzip_reader(io.BytesIO(data), None, "url", None)[0])


# --- regular expressions and lines -------------------------------------------------------------


def file_of(data: bytes):
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="surrogateescape", newline="\n")


@given(st.lists(st.text(st.characters(exclude_characters="\n")), max_size=20), st.integers(1, 12))
def test_a_pattern_cuts_the_input_the_same_however_it_is_read(items, read_buffer_size):
    data = "".join(item + "\n" for item in items).encode("utf-8", "surrogatepass")
    text = [(item,) for item in data.decode("utf-8", "surrogateescape").split("\n")[:-1]]
    for size in (None, len(data)):
        assert list(re_reader("(.*?)\n", file_of(data), size, "url", read_buffer_size=read_buffer_size)) == text
    of_bytes = [(item,) for item in data.split(b"\n")[:-1]]
    assert list(re_reader(rb"([^\n]*)\n", file_of(data), None, "url", read_buffer_size=read_buffer_size)) == of_bytes


def test_a_match_that_could_go_on_is_not_cut_where_a_block_ends():
    assert list(re_reader(r"(\w+) ?", file_of(b"some words of letters"), None, "url", read_buffer_size=3)) == [
        ("some",), ("words",), ("of",), ("letters",)
    ]  # fmt: skip


def test_short_items_behind_a_long_one_are_found_in_time_that_grows_with_the_input():
    data = b"x" * 3_000_000 + b"\n" + b"y\n" * 300_000 + b"\xc3"
    items = list(re_reader("^(.*?)\n", file_of(data), len(data), "url", output_tail=True))
    assert len(items) == 300_002 and items[-2:] == [("y",), ("\udcc3",)]


def test_a_tail_that_does_not_match_is_given_or_told(capsys):
    data = b"a;b;rest"
    assert list(re_reader("(.);", file_of(data), None, "url", output_tail=True)) == [("a",), ("b",), ("rest",)]
    assert capsys.readouterr().out == ""
    assert list(re_reader("(.);", file_of(data), None, "http://host/x")) == [("a",), ("b",)]
    assert capsys.readouterr().out == "re_reader: the end of http://host/x does not match and is left out, 4 long: 'rest'\n"


def test_no_more_than_size_is_read_and_less_is_refused():
    assert list(re_reader("(.)", file_of(b"abcdef"), 3, "url")) == [("a",), ("b",), ("c",)]
    assert list(re_reader("(.)", file_of(b"abc"), 0, "url")) == [("a",), ("b",), ("c",)]
    with pytest.raises(DataError, match="input url is cut short: 4 bytes expected, 3 there"):
        list(re_reader("(.)", file_of(b"abc"), 4, "url"))


def test_a_pattern_that_matches_nothing_at_all_is_a_mistake():
    with pytest.raises(ValueError, match=r"'\(x\*\)' matches the empty string"):
        list(re_reader("(x*)", file_of(b"abc"), None, "url"))


def test_text_alone_can_be_cut_by_a_pattern_too():
    assert list(re_reader("(.)", io.StringIO("é\udcff"), 3, "url")) == [("é",), ("\udcff",)]


def test_lines_of_the_oldest_kind_have_no_newline():
    assert list(map_line_reader(file_of(b"a\r\n\nb"), 5, "url")) == ["a\r", "", "b"]


def test_an_output_of_text_lines_is_a_class_of_a_few_lines():
    sink = io.BytesIO()
    out = chain_output([task_output_stream, plain_output_stream], sink, 0, "url", None)
    out.add("k", "v")
    out.close()
    assert sink.getvalue() == b"1 k 1 v\n"
