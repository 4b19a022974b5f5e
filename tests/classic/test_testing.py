"""`disco.test` of old: its test case, test server and test job."""

import os
import re
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

import pytest

from kvproto.classic import testing
from kvproto.errors import DataError, JobError

pytestmark = pytest.mark.slow


class Lines(testing.TestJob):
    def map(line, params):
        return [(line.strip(), len(line))]


class Served(testing.TestCase):
    """A case whose pages say their own names; `body` is what its test does."""

    __test__ = False

    def serve(self, path):
        return path

    def runTest(self):
        type(self).body(self)


def ran(body):
    """Run a test that does body(case); returns the outcome."""
    result = unittest.TestResult()
    type("Case", (Served,), {"body": staticmethod(body)})().run(result)
    return result


def run_job(case, *paths):
    case.job = Lines().run(input=case.test_server.urls(paths))
    return case.job


def test_results_that_are_right_pass_and_the_job_is_purged(home):
    directories = []

    def body(case):
        directories.append(run_job(case, "a", "bc").directory)
        case.assertResults(case.job, [("a", 1), ("bc", 2)])

    assert ran(body).wasSuccessful()
    assert [os.path.exists(directory) for directory in directories] == [False]


@pytest.mark.parametrize(
    "answers", [[("a", 1)], [("a", 1), ("bc", 3)], [("a", 1), ("bc", 2), ("d", 1)], []]
)
def test_results_that_are_wrong_too_few_or_too_many_fail(answers):
    result = ran(lambda case: case.assertResults(run_job(case, "a", "bc"), answers))
    assert len(result.failures) == 1
    assert result.errors == []


def test_a_job_that_fails_is_an_error_of_the_test(home):
    def body(case):
        case.job = Lines().run(input=["raw://x"], map=lambda line, params: 1 / 0)
        case.results(case.job)

    result = ran(body)
    assert "ZeroDivisionError" in result.errors[0][1]
    assert os.listdir(home / "jobs") == []


def test_a_setting_keeps_the_job(monkeypatch):
    monkeypatch.setenv("DISCO_TEST_PURGE", "")
    cases = []

    def body(case):
        cases.append(case)
        run_job(case, "a").wait()

    assert ran(body).wasSuccessful()
    assert list(cases[0].results(cases[0].job)) == [("a", 1)]


def test_a_setting_has_jobs_profiled(monkeypatch):
    assert Lines().profile is False
    monkeypatch.setenv("DISCO_TEST_PROFILE", "yes")
    assert Lines().profile is True


def get(url):
    with urllib.request.urlopen(url) as response:
        return response.read()


def test_the_server_gives_str_bytes_or_an_empty_page_or_fails():
    def page(path):
        if path == "fails":
            raise testing.FailedReply("not today")
        return {"str": "\xe9\udcff", "bytes": b"\0\xff", "a/b": "deep"}.get(path)

    server = testing.TestServer.create(("127.0.0.1", 0), page)
    server.start()
    try:
        (text, data), (deep,), (none,), (fails,) = server.urls(
            [["str", "bytes"], "a/b", "none", "fails"]
        )
        assert [get(url) for url in (text, data, deep, none)] == [
            b"\xc3\xa9\xff",
            b"\0\xff",
            b"deep",
            b"",
        ]
        with pytest.raises(urllib.error.HTTPError, match="500: not today") as caught:
            get(fails)
        caught.value.close()
    finally:
        server.stop()
    with pytest.raises(urllib.error.URLError, match="refused"):
        get(text)


def test_the_server_is_where_the_settings_say(monkeypatch):
    monkeypatch.setenv("DISCO_TEST_HOST", "localhost")
    addresses = []
    assert ran(
        lambda case: addresses.append((case.test_server_address, case.test_server.address))
    ).wasSuccessful()
    assert addresses[0][0] == ("localhost", 0)
    assert re.fullmatch(r"http://127.0.0.1:\d+", addresses[0][1])


def test_a_case_knows_the_jobs_and_the_machine(home):
    case = Served()
    with pytest.raises(JobError, match="no-such-job"):
        case.disco.oob_list("no-such-job")
    assert case.num_workers == len(os.sched_getaffinity(0))
    assert case.nodes == {"localhost": case.num_workers}
    assert case.ddfs.list() == []


def test_the_code_of_an_error_is_asserted():
    def raised(error):
        def call():
            raise error

        return call

    case = Served()
    case.assertCommErrorCode(404, raised(DataError("gone", code=404)))
    with pytest.raises(AssertionError):
        case.assertCommErrorCode(404, raised(DataError("gone", code=403)))
    with pytest.raises(AssertionError):
        case.assertCommErrorCode(404, lambda: None)


def test_names_that_unittest_had_are_still_there():
    case = Served()
    case.assertEquals(1, 1)
    case.assert_(True)
    with pytest.raises(AssertionError):
        case.assertEquals(1, 2)
    with pytest.raises(AssertionError):
        case.assert_(False)


SERVING = """
import os, signal
from kvproto.classic.testing import TestCase
class Test(TestCase):
    def serve(self, path): return path
    def setUp(self):
        super().setUp()
        {in_set_up}
    def runTest(self):
        {in_test}
"""


@pytest.mark.parametrize(
    "in_set_up, in_test",
    [
        ("raise OSError('no room')", "pass"),
        ("os.kill(os.getpid(), signal.SIGINT)", "pass"),
        ("pass", "os.kill(os.getpid(), signal.SIGINT)"),
    ],
    ids=["an error in setUp", "Ctrl-C in setUp", "Ctrl-C in the test"],
)
def test_a_test_with_a_server_ends(in_set_up, in_test, tmp_path):
    (tmp_path / "test_served.py").write_text(SERVING.format(in_set_up=in_set_up, in_test=in_test))
    command = [sys.executable, "-m", "unittest", "test_served"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert "no room" in done.stderr or "KeyboardInterrupt" in done.stderr


def test_the_server_has_stopped_when_set_up_has_failed():
    class Failing(Served):
        def setUp(self):
            super().setUp()
            raise OSError("no room")

    case = Failing()
    case.run(unittest.TestResult())
    assert not case.test_server.thread.is_alive()
