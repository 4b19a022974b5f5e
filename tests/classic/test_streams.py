"""Streams: chains of functions that make them, and classes of one's own."""

import functools
import gzip
import io
from contextlib import closing

import pytest
from support.jobs import entries

from kvproto.classic.task_io import (
    InputStream,
    OutputStream,
    chain_input,
    chain_output,
    default_stream,
    disco_output_stream,
    plain_output_stream,
    re_reader,
    string_input_stream,
    task_input_stream,
    task_output_stream,
)
from kvproto.errors import DataError, JobError


@pytest.mark.documented(
    "2 map_input_stream: the functions are chained, and the last stream gives the entries"
)
def test_each_input_function_gets_what_the_one_before_it_gave(tmp_path):
    (tmp_path / "text").write_bytes(b"caf\xc3\xa9\nb\xff\n")

    def upper(stream, size, url, params):
        return [line.upper() + params for line in stream], size + 1, url + "!"

    def counting(stream, size, url, params):
        for line in stream:
            yield line, size, url

    stream, size, url = chain_input(
        [task_input_stream, upper, counting], None, None, str(tmp_path / "text"), "+"
    )
    with closing(stream):
        assert list(stream) == [
            ("CAFÉ\n+", 10, f"{tmp_path}/text!"),
            ("B\udcff\n+", 10, f"{tmp_path}/text!"),
        ]
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
    for function in (
        lambda stream, size, url, params=3: [params],
        lambda stream, size, url, p=None: [p],
        lambda *args: [args[3]],
    ):
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
    chain_input([lambda stream, size, url, params: stream], given, None, "url", None)[0].close()
    assert not given.closed


def test_what_is_below_stays_open_while_it_is_read(tmp_path):
    (tmp_path / "text").write_text("a\nb\n")

    def of_bytes(stream, size, url, params):
        return stream.buffer

    assert entries([task_input_stream, of_bytes], tmp_path / "text") == [b"a\n", b"b\n"]


def test_an_input_is_gone_through_once_from_wherever_it_is():
    stream, *_ = chain_input([lambda stream, size, url, params: [1, 2, 3]], None, None, "url", None)
    assert next(stream) == 1 and list(stream) == [2, 3] and list(stream) == []


def test_what_was_opened_is_closed_when_a_later_function_fails(tmp_path):
    (tmp_path / "text").write_text("a\n")
    opened = []

    def fails(stream, size, url, params):
        opened.append(stream)
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        chain_input([task_input_stream, fails], None, None, str(tmp_path / "text"), None)
    assert opened[0].closed


def gives_nothing(stream, size, url, params):
    stream.read()


@pytest.mark.parametrize(
    "function, what",
    [
        (gives_nothing, "classic.test_streams.gives_nothing returned None for the input raw://a"),
        (
            lambda stream, size, url, params: (stream, url),
            "lambda> returned .*for the input raw://a",
        ),
        (
            lambda stream, size, url, params: (None, size, url),
            "lambda> returned .None, 1, 'raw://a'",
        ),
        (lambda stream, size, url, params: "text", "lambda> returned 'text' for the input raw://a"),
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


@pytest.mark.documented(
    "2 map_output_stream: the functions are chained, and add() of the last stream gets "
    "the map's pairs"
)
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
            _ = out.no_such


@pytest.mark.parametrize(
    "functions, what",
    [
        (
            [task_output_stream],
            "task_output_stream returned .*no add.key, value. .*disco_output_stream",
        ),
        ([], "an empty chain returned .*no add"),
        (
            [lambda stream, partition, url, params: None],
            "lambda> returned None: an output stream function must return a stream",
        ),
        (
            [lambda stream, partition, url: (stream, 1, url)],
            "lambda> returned .*an output stream function must return a stream",
        ),
    ],
)
def test_an_output_function_that_gives_no_stream_is_named(functions, what):
    with pytest.raises(TypeError, match=what):
        chain_output(functions, io.BytesIO(), 0, "url", None)


def test_an_output_stream_without_an_add_says_what_it_lacks():
    with pytest.raises(NotImplementedError, match=r"^OutputStream has no add"):
        OutputStream(io.BytesIO()).add("key", "value")


def test_an_input_that_is_not_there_is_named(tmp_path):
    with pytest.raises((DataError, JobError), match="nowhere"):
        chain_input(default_stream, None, None, str(tmp_path / "nowhere"), None)


def test_a_string_can_be_an_input():
    stream, size, url = chain_input([string_input_stream], "é\n\udcff", None, "url", None)
    assert (list(stream), size, url) == (["é\n", "\udcff"], 4, "url")


def test_an_output_may_be_netstrings():
    sink = io.BytesIO()
    out = chain_output([task_output_stream, plain_output_stream], sink, 0, "url", None)
    out.add("k", "v")
    out.close()
    assert sink.getvalue() == b"1 k 1 v\n"
