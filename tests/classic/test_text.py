"""Entries as str or as bytes, and what C functions get of them."""

import ctypes
import gzip
import os
import shutil
import subprocess

import pytest
from support.jobs import results

from kvproto.classic import Job, Params, result_iterator
from kvproto.classic.func import nop_map
from kvproto.classic.task_io import gzip_line_reader, map_line_reader, re_reader
from kvproto.errors import JobError

DATA = "naïve\n".encode() + b"\xff\x00\n\nend"
LINES = ["naïve\n".encode(), b"\xff\x00\n", b"\n", b"end"]
"""Of these the bytes differ in number from the characters, are no UTF-8, or would end a C
string.
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "lines"
    path.write_bytes(DATA)
    return str(path)


def keys(**jobargs):
    return [key for key, _ in results(**{"map": nop_map, **jobargs})]


def test_entries_are_bytes_where_the_job_asks_for_them(path):
    assert keys(input=[path], text=False) == LINES
    assert keys(input=[path]) == [line.decode("utf-8", "surrogateescape") for line in LINES]


def test_they_are_bytes_in_large_files_that_are_cut_too(tmp_path):
    lines = [b"%d\xff\n" % number for number in range(200_000)]
    path = tmp_path / "large"
    path.write_bytes(b"".join(lines))
    assert keys(input=[str(path)], text=False, processes=2) == lines


def test_readers_get_a_binary_file_then(path, tmp_path):
    def blocks(fd, size, url, params):
        while block := fd.read(5):
            yield block

    assert b"".join(keys(input=[path], map_reader=blocks, text=False)) == DATA
    assert keys(input=[path], map_reader=map_line_reader, text=False) == [
        line.removesuffix(b"\n") for line in LINES
    ]

    def matches(fd, size, url, params):
        for (line,) in re_reader(rb"([^\n]*\n|end)", fd, size, url):
            yield line

    assert keys(input=[path], map_reader=matches, text=False) == LINES
    with gzip.open(tmp_path / "zipped", "wb") as file:
        file.write(DATA)
    assert keys(input=[str(tmp_path / "zipped")], map_reader=gzip_line_reader, text=False) == LINES


def test_raw_data_stays_text():
    assert keys(input=["raw://é"], text=False) == ["é"]


def test_a_reduce_alone_reads_bytes_too(path):
    read = results(
        input=[path],
        reduce=lambda lines, params: [(line, "") for line in lines],
        reduce_reader=None,
        text=False,
    )
    assert [line for line, _ in read] == LINES


@pytest.mark.parametrize(
    "function, text, hint",
    [
        (
            lambda line, params: [(line.decode(), 1)],
            True,
            "the entries that the job reads are str: with text=False they are bytes",
        ),
        (lambda line, params: [(b"x" in line, 1)], True, "text=False they are bytes"),
        (lambda line, params: [(line + b"x", 1)], True, "text=False they are bytes"),
        (lambda line, params: [(line.encode(), 1)], False, "are bytes, as the job has text=False"),
        (
            lambda line, params: [(line.split(","), 1)],
            False,
            "are bytes, as the job has text=False",
        ),
    ],
)
def test_code_for_the_other_kind_fails_with_what_to_do(function, text, hint, path):
    with pytest.raises(JobError, match=hint):
        keys(input=[path], map=function, text=text)


def test_another_error_says_nothing_of_it(path):
    with pytest.raises(JobError) as caught:
        keys(input=[path], map=lambda line, params: [(line.nothing, 1)])
    assert "text=False" not in str(caught.value)


# --- ctypes ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A library with `length(char *)` and `wide_length(wchar_t *)`."""
    directory = tmp_path_factory.mktemp("library")
    source = directory / "count.c"
    source.write_text(
        "#include <string.h>\n#include <wchar.h>\n"
        "int length(const char *s) { return (int)strlen(s); }\n"
        "int wide_length(const wchar_t *s) { return (int)wcslen(s); }\n"
        "int difference(int a, const char *s) { return (int)strlen(s) - a; }\n"
    )
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", directory / "count.so", source], check=True)
    return str(directory / "count.so")


LENGTHS = [("", 7), ("", 2), ("", 1), ("", 3)]
OF_TEXT = "naïve\n".encode() + b"\xff\n\nend"


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").write_bytes(OF_TEXT)
    return [str(tmp_path / "text")]


@pytest.mark.parametrize("as_text", [True, False])
def test_a_library_in_params_gets_the_bytes_of_an_entry(library, text, as_text):
    def load(entries, params):
        params.mylib = ctypes.CDLL(library)

    def count(line, params):
        return [("", params.mylib.length(line))]

    assert results(input=text, map=count, map_init=load, text=as_text) == LENGTHS


def test_so_does_one_in_a_dictionary_and_one_that_the_reduce_loads(library, text):
    def load(entries, params):
        params["mylib"] = ctypes.CDLL(library)

    def reduce(pairs, params):
        return [("", params["mylib"].difference(1, line)) for line, _ in pairs]

    found = results(input=text, map=nop_map, reduce=reduce, reduce_init=load, params={})
    assert sorted(found) == sorted(("", length - 1) for _, length in LENGTHS)


def test_so_does_one_in_a_global_name(library, text, tmp_path, monkeypatch):
    (tmp_path / "of_c.py").write_text(
        f"import ctypes\nlib = ctypes.CDLL({library!r})\n"
        f"def count(line, params): return [('', lib.length(line))]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import of_c  # noqa: PLC0415

    assert results(input=text, map=of_c.count) == LENGTHS


def test_a_function_with_argtypes_gets_what_these_say(library, text):
    def load(entries, params):
        params.lib = ctypes.CDLL(library)
        params.lib.wide_length.argtypes = [ctypes.c_wchar_p]
        params.lib.length.argtypes = [ctypes.c_char_p]

    def count(line, params):
        try:
            return [("", params.lib.length(line))]
        except ctypes.ArgumentError:
            return [("", params.lib.wide_length(line))]

    assert results(input=text, map=count, map_init=load, params=Params()) == [
        ("", 6),
        ("", 2),
        ("", 1),
        ("", 3),
    ]


def test_a_job_class_may_say_it(path):
    class OfBytes(Job):
        text = False
        map = staticmethod(nop_map)

    assert [key for key, _ in result_iterator(OfBytes().run(input=[path]).wait())] == LINES
