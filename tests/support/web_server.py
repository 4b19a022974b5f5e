"""A real web server on loopback for tests: each path is a page, and a page may behave badly."""

import http.server
import threading
from contextlib import contextmanager


@contextmanager
def serving(pages):
    """Serve `pages`, {path: function(handler, number)}; number counts the requests for that path
    from 1.

    Yields the server; its `url` is where it is, `requests` the list of (path, headers) so far.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            server.requests.append((self.path, dict(self.headers)))
            page = pages.get(self.path)
            if page is None:
                self.send_error(404)
            else:
                page(self, sum(path == self.path for path, _ in server.requests))
            self.close_connection = True

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def answer(handler, body=b"", status=200, length=True, **headers):
    """Send a response; `length` is whether its Content-Length is given, or the number to give.
    Headers: Retry_After="3".
    """
    handler.send_response(status)
    if length is not False:
        headers["Content-Length"] = len(body) if length is True else length
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


def page(body=b"", status=200, **headers):
    """A page that always gives the same; see `answer`."""
    return lambda handler, number: answer(handler, body, status, **headers)


def chunked(handler, chunks, is_whole=True, **headers):
    """Send a body in chunks; without its end unless it is whole."""
    answer(handler, b"", 200, False, Transfer_Encoding="chunked", **headers)
    for chunk in chunks:
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
    if is_whole:
        handler.wfile.write(b"0\r\n\r\n")
