"""Reading results: what may be given, which reader, replicas, errors."""

import gzip
import os
import shutil
from pathlib import Path

import pytest
from support.jobs import words

from kvproto.classic import Job, result_iterator
from kvproto.classic.core import Disco
from kvproto.classic.task_io import gzip_line_reader, plain_output_stream
from kvproto.errors import DataError


@pytest.fixture
def results():
    """The result files of a job: two, of more than a block each, with the numbers from 0
    to 99999.
    """

    def map(entry, params):
        return ((number, f"{number:50}") for number in range(100_000))

    return (
        Job("numbers")
        .run(input=["raw://x"], map=map, partitions=2, partition=lambda key, n, params: key % n)
        .wait()
    )


EVEN, ODD = ([(number, f"{number:50}") for number in range(start, 100_000, 2)] for start in (0, 1))


def test_results_are_a_list_of_paths_one_path_a_url_or_a_job(results):
    assert list(result_iterator(results)) == EVEN + ODD
    assert list(result_iterator(results[1])) == ODD
    assert list(Disco().result_iterator([f"file://{results[0]}"])) == EVEN
    job = Job("words").run(input=["raw://a b"], map=words)
    assert list(result_iterator(job)) == [("a", 1), ("b", 1)]


def test_a_directory_is_the_results_in_it(results):
    assert list(result_iterator(os.path.dirname(results[0]))) == EVEN + ODD


def cut(path, tmp_path):
    """A copy of a result file that is damaged in its middle: the first of its pairs can be read."""
    copy = tmp_path / "damaged"
    shutil.copy(path, copy)
    with open(copy, "r+b") as file:
        file.seek(os.path.getsize(path) - 30)
        file.write(b"\xff")
    return str(copy)


def test_a_replica_takes_over_where_another_is_damaged_and_no_pair_comes_twice(results, tmp_path):
    damaged = cut(results[0], tmp_path)
    with pytest.raises(DataError, match=damaged):
        list(result_iterator([damaged]))
    told = []
    pairs = result_iterator([[damaged, results[0]], results[1]], notifier=told.append)
    assert list(pairs) == EVEN + ODD
    assert told == [[damaged, results[0]], results[1]]


def test_a_replica_that_is_shorter_than_what_was_read_of_another_is_an_error(tmp_path):
    (tmp_path / "a").write_text("0\n1\n2\n3\n4\n")
    (tmp_path / "b").write_text("0\n1\n")

    def reader(fd, size, url, params):
        for line in fd:
            if line == params and url.endswith("a"):
                raise DataError(f"{url} is bad")
            yield line

    given = []
    with pytest.raises(
        DataError, match="b: has 2 entries, but its replica had 3 or more"
    ) as caught:
        given.extend(
            result_iterator(
                [[str(tmp_path / "a"), str(tmp_path / "b")]], reader=reader, params="3\n"
            )
        )
    assert any("a is bad" in note for note in caught.value.__notes__)


def test_a_reader_of_the_users_own_reads_what_is_no_result(tmp_path):
    with gzip.open(tmp_path / "text.gz", "wt") as file:
        file.write("one\ntwo\n")
    assert list(result_iterator([str(tmp_path / "text.gz")], reader=gzip_line_reader)) == [
        "one\n",
        "two\n",
    ]
    (tmp_path / "text").write_text("one\ntwo\n")
    assert list(result_iterator([str(tmp_path / "text")], reader=None)) == ["one\n", "two\n"]


def test_an_input_stream_of_the_users_own_gets_the_urls_as_they_are():
    def open_it(stream, size, url, params):
        return iter([(url, params)])

    assert list(result_iterator(["my://url"], None, (open_it,), params=7)) == [("my://url", 7)]


def test_a_result_that_is_missing_or_none_is_named(tmp_path):
    with pytest.raises(DataError, match="/no/such/result: No such file"):
        list(result_iterator(["/no/such/result"]))
    (tmp_path / "text").write_text("text\n")
    with pytest.raises(DataError, match=f"{tmp_path}/text is not a result of a job"):
        list(result_iterator([str(tmp_path / "text")]))


@pytest.mark.parametrize("change", ["cut", "changed", "whole"])
def test_a_result_of_an_output_stream_is_checked_against_what_the_job_wrote(change):
    [path] = (
        Job("plain")
        .run(input=["raw://a b"], map=words, map_output_stream=[plain_output_stream])
        .wait()
    )
    assert list(result_iterator([path])) == [("a", "1"), ("b", "1")]
    data = Path(path).read_bytes()
    Path(path).write_bytes(
        {"cut": data[: len(data) // 2], "changed": data.replace(b"a", b"z"), "whole": data}[change]
    )
    if change == "whole":
        assert list(result_iterator(path, reader=None)) == ["1 a 1 1\n", "1 b 1 1\n"]
        return
    with pytest.raises(DataError, match=f"result file {path}"):
        list(result_iterator([path]))
