"""Errors of job functions as text: the frames of the job's own code, and none of kvproto's."""

import contextlib
import os
import re
import subprocess
import sys
import traceback

import pytest
from support.command_line import kvproto_command
from support.jobs import program, results

from kvproto.classic import Job, external
from kvproto.classic.func import nop_map, nop_reduce
from kvproto.errors import JobError, WorkerCrashed, WorkerReported

pytestmark = pytest.mark.slow


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


CRASHES = "import os\nsys.stderr.write('grievance\\n')\nsys.stderr.flush()\nos.abort()\n"
REPORTS = "sys.stderr.write('**<ERR> grievance\\n')\nsys.stderr.flush()\nsys.stdin.read()\n"


@pytest.mark.parametrize("body, error", [(CRASHES, WorkerCrashed), (REPORTS, WorkerReported)])
def test_what_a_worker_said_stands_once_in_the_error_and_in_its_traceback(tmp_path, body, error):
    job = Job("said").run(input=["raw://x"], map=external([program(tmp_path, body)]), attempts=1)
    with pytest.raises(JobError) as caught:
        job.wait()
    assert str(caught.value).count("grievance") == 1
    assert "".join(traceback.format_exception(caught.value)).count("grievance") == 1
    cause = caught.value.cause
    assert type(cause) is error and caught.value.task == ("map", 0)
    assert (cause.argv, cause.pair_index) == ((str(tmp_path / "op"), "map"), 0)
    assert cause.stderr_tail == ("grievance",)


@pytest.mark.parametrize("body", [CRASHES, REPORTS])
@pytest.mark.parametrize("progress", ["plain", "none"])
def test_what_a_worker_said_is_shown_once_by_the_commands(tmp_path, body, progress):
    job = ["kvproto.classic.Job", "-m", program(tmp_path, body), "-Pattempts=1", "raw://x"]
    quiet = ["-q"] if progress == "none" else []
    for command in ["run", "--progress", progress, *job], ["wait", *quiet, "@"]:
        shown = kvproto_command(*command)
        assert shown.returncode == 1 and shown.stderr.decode().count("grievance") == 1


@pytest.mark.parametrize("show", ["nocolor", ""])
@pytest.mark.parametrize(
    "waits", ["job.wait()", "Disco().wait(job.name)", "JobChain({job: []}).wait()"]
)
def test_what_a_worker_said_is_shown_once_when_its_script_ends_with_the_error(
    tmp_path, show, waits
):
    script = f"""
from kvproto.classic import Job, JobChain, external
from kvproto.classic.core import Disco
job = Job().run(input=["raw://x"], map=external([{program(tmp_path, CRASHES)!r}]), attempts=1)
{waits}
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "DISCO_EVENTS": show},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1 and b"Traceback" in done.stderr
    assert done.stderr.count(b"grievance") == 1


def test_a_failed_attempt_is_told_without_what_the_worker_said(tmp_path):
    job = Job("said").run(input=["raw://x"], map=external([program(tmp_path, CRASHES)]), attempts=2)
    with pytest.raises(JobError):
        job.wait()
    events = [event for _, event in job.events()]
    [retry] = [event["text"] for event in events if event["event"] == "retry"]
    assert "WorkerCrashed" in retry and "grievance" not in retry
    assert [e["text"] for e in events if e["event"] == "message"] == ["grievance", "grievance"]
