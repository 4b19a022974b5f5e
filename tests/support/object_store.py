"""An S3 server on loopback, and a proxy before it that lets some requests fail."""

import http.client
import http.server
import os
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager

_SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()
"""


@contextmanager
def s3_server():
    """Run moto's S3 server; yields its address."""
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield f"http://{process.stdout.readline().strip()}"
        finally:
            process.kill()


def settings(address):
    """The variables of the environment with which S3 is the server at an address."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }


def make_bucket(address):
    """Make a bucket of its own at a server; returns its URL."""
    name = f"bucket-{os.urandom(6).hex()}"
    request = urllib.request.Request(f"{address}/{name}", method="PUT")
    with urllib.request.urlopen(request, timeout=30):
        return f"s3://{name}"


def uploads(address, bucket):
    """The keys of the uploads in parts that have neither been completed nor aborted."""
    url = f"{address}/{bucket.removeprefix('s3://')}?uploads"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode().count("<UploadId>")


@contextmanager
def proxy(address, fails):
    """A server that passes requests on, but for those that fail.

    fails(number, method, path) returns None, or the (status, code) to answer instead, or "cut": the
    body of the answer then ends in its middle. number counts the requests from 1. Yields the
    server; its `url` is where it is, `requests` the list of (method, path) so far.
    """
    host = address.removeprefix("http://")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with counting:
                server.requests.append((self.command, self.path))
                number = len(server.requests)
            failure = fails(number, self.command, self.path)
            if isinstance(failure, tuple):
                status, code = failure
                text = b"<?xml version='1.0'?><Error><Code>%s</Code></Error>" % code.encode()
                self.answer(status, {"Content-Type": "application/xml"}, text)
                return
            connection = http.client.HTTPConnection(host, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers))
            response = connection.getresponse()
            data = response.read()
            connection.close()
            length = response.headers.get("Content-Length", str(len(data)))
            headers = {**response.headers, "Content-Length": length}
            headers.pop("Transfer-Encoding", None)
            if failure == "cut":
                data = data[: len(data) // 2]
                self.close_connection = True
            self.answer(response.status, headers, data)

        def answer(self, status, headers, data):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

        def log_message(self, *args):
            pass

    counting = threading.Lock()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def one_in_ten(number, method, path):
    """Let one request in ten fail, by turns with an error of the server and as too many."""
    if number % 10:
        return None
    return (500, "InternalError") if number % 20 else (503, "SlowDown")
