"""Streams and readers in jobs: what one job writes another reads, in each format."""

import functools
import gzip
import struct
from pathlib import Path

import pytest
from support.jobs import COUNT, program, results, words

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import (
    chain_reader,
    disco_output_stream,
    gzip_line_reader,
    gzip_reader,
    nop_map,
    nop_reduce,
    plain_output_stream,
    re_reader,
    sum_reduce,
    task_input_stream,
    task_output_stream,
)
from kvproto.classic.task_io import OutputStream
from kvproto.errors import JobError

pytestmark = pytest.mark.slow

TEXT = "raw://to be or\nnot to be"
COUNTS = {"to": 2, "be": 2, "or": 1, "not": 1}


def counts(**jobargs):
    return Job("counts").run(input=[TEXT], map=words, reduce=sum_reduce, **jobargs).wait()


@pytest.mark.parametrize(
    "stream, first, expected",
    [
        (disco_output_stream, b"\x81\x01", COUNTS),
        (plain_output_stream, None, {word: str(count) for word, count in COUNTS.items()}),
        (None, b"kvproto result", COUNTS),
    ],
)
def test_what_one_job_writes_another_reads(stream, first, expected):
    streams = [task_output_stream, stream] if stream else None
    urls = counts(reduce_output_stream=streams) if streams else counts()
    assert dict(result_iterator(urls)) == expected
    for url in urls if first else []:
        with open(url, "rb") as file:
            assert file.read(len(first)) == first
    again = results(input=urls, map=nop_map, map_reader=chain_reader, reduce=nop_reduce)
    assert dict(again) == expected and len(again) == len(expected)


def test_a_result_that_was_cut_fails_the_job_that_reads_it(tmp_path):
    [url] = counts(reduce_output_stream=[task_output_stream, disco_output_stream])
    copy = tmp_path / "copy"  # a file of no job, which only its reader can know to be cut
    copy.write_bytes(Path(url).read_bytes()[:-3])
    url = str(copy)
    with pytest.raises(JobError, match=rf"{url}, at byte \d+: is cut short"):
        results(input=[url], map=nop_map, map_reader=chain_reader)


def test_compressed_inputs_are_read_line_by_line_or_by_another_reader(tmp_path):
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(b"to be or\nnot to be\n"))
    expected = [("to be or\n", ""), ("not to be\n", "")]
    assert results(input=[str(path)], map=nop_map, map_reader=gzip_line_reader) == expected
    assert (
        results(input=[str(path)], map=nop_map, map_input_stream=[task_input_stream, gzip_reader])
        == expected
    )
    by_word = functools.partial(re_reader, r"(\w+)(\s)")
    zipped = {"input": [str(path)], "map_input_stream": [task_input_stream, gzip_reader]}
    pairs = results(map=nop_map, map_reader=by_word, params={"not": "a tail"}, **zipped)
    assert pairs[:3] == [("to", " "), ("be", " "), ("or", "\n")] and len(pairs) == 6


def test_compressed_input_that_was_cut_fails_the_job_by_its_name(tmp_path):
    path = tmp_path / "text.gz"
    path.write_bytes(gzip.compress(b"to be or\nnot to be\n" * 1000)[:-9])
    with pytest.raises(JobError, match=f"input {path}: gzip data is cut short or damaged"):
        results(input=[str(path)], map=nop_map, map_reader=gzip_line_reader)


class Frames(OutputStream):
    """What an output stream of one's own may look like."""

    def add(self, key, value):
        self.write(struct.pack("<I", len(key)) + key.encode() + b"=%d\n" % value)

    def close(self):
        self.write(b"end\n")


def framed(stream, partition, url, params):
    return Frames(stream)


def test_an_output_stream_of_ones_own_writes_the_result_alone():
    [url] = counts(reduce_output_stream=[task_output_stream, framed])
    with open(url, "rb") as file:
        *lines, end = file.read().splitlines(keepends=True)
    assert sorted(lines) == sorted(
        struct.pack("<I", len(key)) + b"%s=%d\n" % (key.encode(), n) for key, n in COUNTS.items()
    )
    assert end == b"end\n"


def test_a_reader_may_unpack_the_gzip_files_among_plain_ones(tmp_path):
    def reader(fd, size, url, params):
        return gzip_line_reader(fd, size, url) if url.endswith(".gz") else fd

    (tmp_path / "1.gz").write_bytes(gzip.compress(b"packed\n"))
    (tmp_path / "2.txt").write_bytes(b"plain\n")
    assert results(input=tmp_path, map=nop_map, map_reader=reader) == [
        ("packed\n", ""),
        ("plain\n", ""),
    ]


def test_a_result_that_is_read_as_lines_is_an_error_that_names_its_reader(tmp_path):
    urls = Job("counts").run(input=[TEXT], map=words, reduce=sum_reduce).wait()
    for map in (nop_map, external([program(tmp_path, COUNT)])):
        with pytest.raises(
            JobError,
            match=f"input {urls[0]}: is a result of a job, which has no lines; "
            f"map_reader=chain_reader",
        ):
            results(input=urls, map=map)
