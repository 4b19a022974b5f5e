"""Jobs on other engines: on an executor of this machine, and on a real Dask cluster."""

import os
from concurrent.futures import ProcessPoolExecutor

import pytest
from support.jobs import LIBRARY, counted, results, words

from kvproto.classic import Job, func

TEXT = [str(LIBRARY / name) for name in ("re/__init__.py", "ast.py", "abc.py", "os.py")]
COUNTS = counted(TEXT, rb"\S+")


def sums(iter, params):
    return func.sum_reduce(iter, params)


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(params=["processes", "dask"])
def engine(request):
    return request.getfixturevalue(request.param)


def word_counts(**jobargs):
    return {
        key.encode(): value
        for key, value in results(input=TEXT, map=words, reduce=sums, partitions=3, **jobargs)
    }


def test_an_executor_counts_the_words_as_this_machine_does(engine):
    assert word_counts(engine=engine) == COUNTS


def test_an_engine_leaves_in_the_directory_of_a_job_what_this_machine_leaves(engine):
    def left(**jobargs):
        job = Job("test").run(input=TEXT, map=words, reduce=sums, **jobargs)
        job.wait()
        return sorted(os.listdir(job.directory)), sorted(os.listdir(f"{job.directory}/results"))

    assert left(engine=engine) == left()
