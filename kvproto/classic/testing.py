"""Test jobs with unittest: a test case serves the input on loopback, and checks the results.

    class Words(TestCase):
        def serve(self, path):
            return f"{path} and {path}\n"

        def runTest(self):
            self.job = WordCount().run(input=self.test_server.urls(["tea", "cake"]))
            self.assertResults(self.job, [("and", 2), ("cake", 2), ("tea", 2)])

The settings are those of `disco.settings`. DISCO_TEST_HOST, DISCO_TEST_PORT, DISCO_TEST_PROFILE and
DISCO_TEST_PURGE are for tests.
"""

from __future__ import annotations

import http.server
import threading
import unittest
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import Any
from unittest import SkipTest

from kvproto.classic.core import result_iterator
from kvproto.classic.disco_names.compat import DiscoSettings, str_to_bytes
from kvproto.classic.disco_names.files import DDFS
from kvproto.classic.disco_names.jobs import Disco, Job
from kvproto.classic.disco_names.util import iterify
from kvproto.errors import DataError

__all__ = ["FailedReply", "SkipTest", "TestCase", "TestJob", "TestServer"]


Serve = Callable[[str], str | bytes | None]


class FailedReply(Exception):
    """Raised by `serve`: the server answers 500."""


class TestServer(http.server.ThreadingHTTPServer):
    """Serves the bytes or str that a function returns for a path; None means an empty page."""

    __test__ = False  # for pytest: not a test

    @classmethod
    def create(cls, server_address: tuple[str, int], data_generator: Serve) -> TestServer:
        """Make a server at (host, port) that calls data_generator(path). Port 0: any free port."""
        return cls(server_address, _handler(data_generator))

    @property
    def address(self) -> str:
        """The url of the server."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def start(self) -> None:
        """Serve from a thread, until `stop`."""
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Stop serving, and free the port."""
        self.shutdown()
        self.thread.join()
        self.server_close()

    def urls(self, inputs: Iterable[Any]) -> list[list[str]]:
        """Return the inputs of a job: the url of each path; a list of paths gives replicas."""
        return [[f"{self.address}/{path}" for path in iterify(one)] for one in inputs]


def _handler(data_generator: Serve) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                data = str_to_bytes(data_generator(self.path.strip("/")) or b"")
            except FailedReply as e:
                self.send_error(500, str(e))
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


class TestCase(unittest.TestCase):
    """A test of jobs.

    Attributes
    ----------
    settings : DiscoSettings
    serve : method, optional
        ``serve(path)`` returns str or bytes, which `test_server` serves for a path.
    test_server : TestServer
        The server, while a test with `serve` runs.
    job : Job or JobChain
        Set it to the job, which is removed after the test unless DISCO_TEST_PURGE is empty.
    """

    __test__ = False
    settings = DiscoSettings()

    # Python 3.12 removed these two names
    assertEquals = unittest.TestCase.assertEqual
    assert_ = unittest.TestCase.assertTrue

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__test__ = vars(cls).get("__test__", True)

    @property
    def disco(self) -> Disco:
        """The jobs of this user."""
        return Disco(settings=self.settings)

    @property
    def ddfs(self) -> DDFS:
        """The tags of this user."""
        return DDFS(settings=self.settings)

    @property
    def num_workers(self) -> int:
        """How many tasks run at a time."""
        from kvproto.engine.pool import n_cores  # noqa: PLC0415 (it loads subprocess and cloudpickle)

        return n_cores()

    @property
    def nodes(self) -> dict[str, int]:
        """Machine -> how many tasks run there at a time; only this machine."""
        return {"localhost": self.num_workers}

    @property
    def test_server_address(self) -> tuple[str, int]:
        """The host and port for `test_server`."""
        return str(self.settings["DISCO_TEST_HOST"]), int(self.settings["DISCO_TEST_PORT"])

    def setUp(self) -> None:
        """Start the server, if there is a `serve`; it stops after the test, even if setUp fails."""
        if hasattr(self, "serve"):
            self.test_server = TestServer.create(self.test_server_address, self.serve)
            self.test_server.start()
            self.addCleanup(self.test_server.stop)

    def tearDown(self) -> None:
        """Remove the job."""
        if hasattr(self, "job") and self.settings["DISCO_TEST_PURGE"]:
            self.job.purge()

    def results(self, job: Job, **kwargs: Any) -> Iterator[Any]:
        """Wait for the job, and iterate over its results; kwargs are for `result_iterator`."""
        return result_iterator(job.wait(), **kwargs)

    def assertResults(self, job: Job, answers: Iterable[Any]) -> None:
        """Assert that the job's results are these, in this order."""
        self.assertAllEqual(self.results(job), answers)

    def assertAllEqual(self, results: Iterable[Any], answers: Iterable[Any]) -> None:
        """Assert that both give the same, in the same order."""
        for result, answer in zip_longest(results, answers):
            self.assertEqual(result, answer)

    def assertCommErrorCode(self, code: int | None, callable: Callable[[], object]) -> None:
        """Assert that calling it raises a CommError with this code."""
        with self.assertRaises(DataError) as caught:
            callable()
        self.assertEqual(caught.exception.code, code)


class TestJob(Job):
    """A job that is profiled if DISCO_TEST_PROFILE is set."""

    __test__ = False

    @property
    def profile(self) -> bool:
        return bool(DiscoSettings()["DISCO_TEST_PROFILE"])
