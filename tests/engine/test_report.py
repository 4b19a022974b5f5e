"""Errors of job functions as text: the frames of the job's own code, and none of kvproto's."""

import contextlib
import re

import pytest
from support.jobs import results

from kvproto.classic.func import nop_map, nop_reduce
from kvproto.errors import JobError


def inner():
    raise LookupError("it is not there")


def raising(*arguments):
    inner()


def reader(fd, size, url, params):
    yield raising(fd)


def chained(entry, params):
    try:
        inner()
    except LookupError as e:
        raise OSError("the second") from e


def grouped(entry, params):
    try:
        inner()
    except LookupError as e:
        raise ExceptionGroup("several", [e, OSError("another")]) from None


@contextlib.contextmanager
def managed():
    yield inner()


def in_contextlib(entry, params):
    with managed():
        pass


def too_few(entries, params):
    next(entries)
    next(entries)


JOBS = {
    "map": {"map": raising},
    "map_init": {"map_init": raising},
    "map_reader": {"map_reader": reader},
    "a reader that is no generator": {"map_reader": raising},
    "map_input_stream": {"map_input_stream": [raising]},
    "map_output_stream": {"map_output_stream": [raising]},
    "combiner": {"combiner": raising},
    "partition": {"partition": raising, "partitions": 2},
    "reduce": {"reduce": raising},
    "reduce_init": {"reduce_init": raising},
    "reduce_reader": {"reduce_reader": reader},
    "reduce_output_stream": {"reduce_output_stream": [raising]},
    "a cause": {"map": chained},
    "a group": {"map": grouped},
    "contextlib": {"map": in_contextlib},
}


def text_of(**jobargs):
    with pytest.raises(JobError) as caught:
        results(
            **{
                "input": ["raw://one"],
                "map": nop_map,
                "reduce": nop_reduce,
                "processes": 1,
                **jobargs,
            }
        )
    return str(caught.value)


@pytest.mark.parametrize("job", JOBS)
def test_it_begins_in_the_code_of_the_job_and_has_no_frame_of_kvproto(job):
    text = text_of(**JOBS[job])
    files = re.findall(r'File "([^"]+)"', text)
    assert files and files[0] == __file__
    assert not [file for file in files if "/kvproto/" in file]
    assert "LookupError: it is not there" in text
    assert files.count(contextlib.__file__) == (job == "contextlib")


def test_an_init_that_takes_more_than_there_is_is_told_as_what_it_is():
    text = text_of(map_init=too_few)
    assert "StopIteration" in text and "generator raised" not in text
    assert re.findall(r'File "([^"]+)"', text) == [__file__]
    assert "after 1 entries of this task" in text
