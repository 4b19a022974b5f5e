# ruff: noqa: UP031 (as programs for the original are written)
import gzip
import threading

from disco.compat import BytesIO, http_server
from disco.error import JobError
from disco.test import FailedReply, TestCase, TestJob
from disco.worker.classic.func import gzip_line_reader
from disco.worker.task_io import gzip_reader, re_reader, task_input_stream


class LinesJob(TestJob):
    @staticmethod
    def map(e, params):
        yield e.strip(), len(e)


class PassagesJob(TestJob):
    @staticmethod
    def map_reader(fd, size, url, params):
        for (text,) in re_reader("<p>(.*?)</p>\n?", fd, size, url):
            yield text

    @staticmethod
    def map(e, params):
        yield e, ""


class Chunks(http_server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\none l\r\n9\r\nine\nmore\n\r\n0\r\n\r\n")
        self.close_connection = True

    def log_message(self, *args):
        pass


class ChunkedTestCase(TestCase):
    def runTest(self):
        server = http_server.HTTPServer(("127.0.0.1", 0), Chunks)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            self.job = LinesJob().run(input=["http://127.0.0.1:%d/" % server.server_port])
            self.assertResults(self.job, [("one line", 9), ("more", 5)])
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


class GzipTestCase(TestCase):
    def serve(self, path):
        data = BytesIO()
        with gzip.GzipFile(fileobj=data, mode="w") as file:
            file.write(b"line of %s\n" % path.encode() * 3)
        return data.getvalue()

    def test_line_reader(self):
        self.job = LinesJob().run(
            input=self.test_server.urls(["a", "b"]), map_reader=gzip_line_reader
        )
        self.assertEqual(
            sorted(self.results(self.job)), [("line of a", 10)] * 3 + [("line of b", 10)] * 3
        )

    def test_stream(self):
        self.job = LinesJob().run(
            input=self.test_server.urls(["a"]), map_input_stream=[task_input_stream, gzip_reader]
        )
        self.assertResults(self.job, [("line of a", 10)] * 3)


class PassagesTestCase(TestCase):
    def serve(self, path):
        return "<p>one</p>\n<p>two</p>\n<p>%s</p>\n" % path

    def runTest(self):
        self.job = PassagesJob().run(input=self.test_server.urls(["x"]))
        self.assertResults(self.job, [("one", ""), ("two", ""), ("x", "")])


class FlakyTestCase(TestCase):
    def setUp(self):
        super().setUp()
        self.lock = threading.Lock()
        self.failing = {"b", "c"}

    def serve(self, path):
        with self.lock:
            if path in self.failing:
                self.failing.remove(path)
                raise FailedReply("not yet")
        return "%s\n" % path

    def runTest(self):
        self.job = LinesJob().run(input=self.test_server.urls(["a", ["b", "other-b"], "c"]))
        self.assertEqual(sorted(self.results(self.job)), [("a", 2), ("b", 2), ("c", 2)])


class FailedTestCase(TestCase):
    def runTest(self):
        self.job = LinesJob().run(input=["raw://x"], map=lambda e, params: [(e, 1 / 0)])
        self.assertRaises(JobError, self.job.wait)
