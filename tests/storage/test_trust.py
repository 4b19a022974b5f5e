"""Pickled objects of other users and from the network are unpickled when the user says so, and not
before.
"""

import os
import shutil
import threading

import pytest
from support.command_line import kvproto_command
from support.jobs import ECHO, program, results
from support.web_server import page, serving

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import nop_map, nop_reduce
from kvproto.classic.task_io import chain_reader, disco_output_stream, task_output_stream
from kvproto.errors import DataError, JobError
from kvproto.storage.home import home
from kvproto.storage.trust import trusting, trusts

pytestmark = pytest.mark.slow

PAIRS = [("a", 1), ("b", [2])]
REFUSED = "has pickled Python objects, .* `--trust` on the command line, or trust=True for a job"
HUNKS = [task_output_stream, disco_output_stream]


class Runs:
    """Unpickling this makes a directory."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def result(**jobargs):
    """The path of a result file."""
    [path] = Job("made").run(input=["raw://x"], map=lambda entry, params: PAIRS, **jobargs).wait()
    return path


def foreign(path):
    """The same file as another user's."""
    if os.getuid() != 0:
        pytest.skip("giving a file away takes root")
    copied = shutil.copy(path, os.path.join(os.environ["KVPROTO_HOME"], "foreign"))
    os.chown(copied, 65534, 65534)
    return copied


@pytest.mark.parametrize("streams", [{}, {"map_output_stream": HUNKS}], ids=["objects", "hunks"])
def test_objects_in_a_file_of_another_user_take_an_explicit_word(streams):
    path = foreign(result(**streams))
    with pytest.raises(DataError, match=f"{path} {REFUSED}") as caught:
        list(result_iterator([path]))
    assert "another user (uid 65534)" in str(caught.value)
    assert list(result_iterator([path], trust=True)) == PAIRS
    reading = {"input": [path], "map": nop_map, "map_reader": chain_reader}
    with pytest.raises(JobError, match=REFUSED):
        results(**reading)
    assert results(**reading, trust=True) == PAIRS
    assert sorted(results(input=[path], reduce=nop_reduce, trust=True)) == PAIRS


@pytest.mark.parametrize("streams", [{}, {"map_output_stream": HUNKS}], ids=["objects", "hunks"])
def test_objects_from_the_network_take_an_explicit_word(streams):
    with open(result(**streams), "rb") as file:
        data = file.read()
    with serving({"/result": page(data)}) as server:
        url = f"{server.url}/result"
        with pytest.raises(DataError, match=REFUSED):
            list(result_iterator([url]))
        assert list(result_iterator([url], trust=True)) == PAIRS
        with pytest.raises(JobError, match=REFUSED):
            results(input=[url], reduce=nop_reduce)
        assert sorted(results(input=[url], reduce=nop_reduce, trust=True)) == PAIRS


def test_nothing_of_it_has_run_when_it_is_refused(tmp_path):
    made = tmp_path / "made"
    evil = Job("evil").run(
        input=["raw://x"], map=lambda entry, params: [("key", Runs(params))], params=str(made)
    )
    [path] = evil.wait()
    path = foreign(path)
    with pytest.raises(DataError, match=REFUSED):
        list(result_iterator([path]))
    assert not made.exists()
    list(result_iterator([path], trust=True))
    assert made.exists()


def test_pairs_of_external_programs_need_no_word(tmp_path):
    echo = external([program(tmp_path, ECHO)])
    path = Job("frames").run(input=["raw://x"], map=echo).wait()[0]
    assert list(result_iterator([foreign(path)])) == [(b"", b"x")]
    with open(path, "rb") as file, serving({"/result": page(file.read())}) as server:
        assert list(result_iterator([f"{server.url}/result"])) == [(b"", b"x")]


def test_the_command_takes_the_word_as_an_option(tmp_path):
    path = foreign(result())
    run = ["run", "-q", "kvproto.classic.Job", "-r", "kvproto.classic.func.nop_reduce", path]
    refused = kvproto_command(*run)
    assert refused.returncode == 1 and b"--trust" in refused.stderr
    assert kvproto_command(*run, "--trust").stdout == b"a\t1\nb\t[2]\n"


def test_results_in_the_home_of_another_user_take_the_word_too():
    path = result()
    if os.getuid() != 0:
        pytest.skip("giving a file away takes root")
    os.chown(path, 65534, 65534)
    refused = kvproto_command("results", "--out", "text", "@")
    assert refused.returncode == 1 and b"another user" in refused.stderr
    assert kvproto_command("results", "--trust", "--out", "text", "@").stdout == b"a\t1\nb\t[2]\n"
    assert home() in path


def test_the_word_of_one_thread_is_not_that_of_another():
    entered, left = threading.Event(), threading.Event()

    def trust():
        with trusting(True):
            entered.set()
            left.wait(30)

    thread = threading.Thread(target=trust)
    with trusting(False):
        thread.start()
        assert entered.wait(30) and not trusts()
    left.set()
    thread.join()
    assert not trusts()
