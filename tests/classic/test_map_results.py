"""What the maps of a job gave, kept beside the results of its reduce."""

import os

import pytest
from support.jobs import ECHO, program, words

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.core import Disco
from kvproto.classic.func import sum_combiner, sum_reduce
from kvproto.classic.task_io import chain_reader, disco_output_stream, task_output_stream
from kvproto.errors import DataError, JobError

TEXT = ["raw://a b a", "raw://b c"]
PAIRS = [("a", 1), ("a", 1), ("b", 1), ("b", 1), ("c", 1)]


def kept(**jobargs):
    """A job that keeps what its maps gave, done."""
    job = Job("kept").run(
        **{"input": TEXT, "map": words, "reduce": sum_reduce, "keep_map": True, **jobargs}
    )
    job.wait()
    return job


def test_they_are_there_until_the_job_is_purged():
    job = kept(partitions=3)
    urls = job.mapresults()
    assert (
        urls
        == job.stageresults("map")
        == Disco().mapresults(job.name)
        == Disco().stageresults(job.name, "map")
    )
    assert len(urls) == 3
    assert sorted(result_iterator(urls)) == PAIRS
    assert sorted(result_iterator(job.wait())) == [("a", 2), ("b", 2), ("c", 1)]
    job.clean()
    assert sorted(result_iterator(job.mapresults())) == PAIRS
    job.purge()
    assert not any(map(os.path.exists, urls))


def test_equal_keys_are_in_one_file_as_each_is_a_partition():
    keys = [{key for key, _ in result_iterator([url])} for url in kept(partitions=2).mapresults()]
    assert keys[0] | keys[1] == {"a", "b", "c"} and not keys[0] & keys[1]


def test_they_are_what_the_combiner_gave():
    job = kept(input=["raw://a b a"], combiner=sum_combiner)
    assert sorted(result_iterator(job.mapresults())) == [("a", 2), ("b", 1)]


def test_those_of_a_program_are_bytes(tmp_path):
    job = kept(map=external([program(tmp_path, ECHO)]), reduce=lambda pairs, params: [])
    assert sorted(result_iterator(job.mapresults())) == [(b"", b"a b a"), (b"", b"b c")]


def test_what_output_streams_wrote_is_whole_and_checked():
    job = kept(
        map_init=lambda entries, params: None,
        map_output_stream=(task_output_stream, disco_output_stream),
        partitions=2,
    )
    urls = job.mapresults()
    assert sorted(result_iterator(urls)) == PAIRS
    with open(urls[0], "r+b") as file:
        file.truncate(os.path.getsize(urls[0]) - 1)
    with pytest.raises(DataError, match=r"bytes were written|were written"):
        list(result_iterator(urls))


def test_another_job_reads_them():
    job = Job("again").run(
        input=kept().mapresults(),
        map_reader=chain_reader,
        map=lambda pair, params: [pair],
        reduce=sum_reduce,
    )
    assert sorted(result_iterator(job.wait())) == [("a", 2), ("b", 2), ("c", 1)]


def test_a_job_that_failed_in_its_reduce_has_them():
    job = Job("failed").run(
        input=TEXT, map=words, reduce=lambda pairs, params: 1 / 0, keep_map=True
    )
    with pytest.raises(JobError, match="ZeroDivisionError"):
        job.wait()
    assert sorted(result_iterator(job.mapresults())) == PAIRS


def test_without_being_asked_to_a_job_keeps_none_and_says_how():
    with pytest.raises(JobError, match="was removed when the job ended: run it with keep_map=True"):
        kept(keep_map=False).mapresults()


def test_a_job_without_a_reduce_gives_its_results():
    job = Job("map").run(input=TEXT, map=words)
    assert job.wait() == job.mapresults()
