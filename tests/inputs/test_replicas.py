"""Inputs with replicas: the next one is read when one fails, from where the other got to."""

import gzip
import http.server
import os
import threading
from pathlib import Path

import pytest
from support.jobs import ECHO, events, program, results

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import nop_map
from kvproto.errors import DataError, JobError

N_LINES = 1000


@pytest.fixture
def whole(tmp_path):
    """A file of numbered lines."""
    path = tmp_path / "whole.txt"
    path.write_text("".join(f"line {number}\n" for number in range(N_LINES)))
    return str(path)


def packed_lines(fd, size, url, params):
    """Lines of a gzip file, in which an error is one of the input."""
    try:
        yield from gzip.open(fd.buffer, "rt")  # noqa: SIM115
    except (EOFError, gzip.BadGzipFile) as e:
        raise DataError(f"{url}: {e}") from e


@pytest.fixture
def packed(tmp_path, whole):
    """A gzip file of the lines, and one that ends in the middle."""
    good, cut = tmp_path / "good.gz", tmp_path / "cut.gz"
    data = gzip.compress(Path(whole).read_bytes())
    good.write_bytes(data)
    cut.write_bytes(data[: len(data) // 2])
    return str(good), str(cut)


LINES = [f"line {number}\n" for number in range(N_LINES)]


def keys(**jobargs):
    return [key for key, _ in results(map=nop_map, **jobargs)]


@pytest.mark.documented(
    "3 input: a list of urls, or of lists of urls",
    "5 a list of urls in place of a url holds its replicas",
)
def test_the_first_replica_that_is_there_is_read(tmp_path, whole):
    assert keys(input=[[str(tmp_path / "nowhere"), whole]]) == LINES


@pytest.mark.documented("3 input: a list of urls, or of lists of urls")
def test_a_replica_that_fails_halfway_is_followed_by_the_next_without_an_entry_twice(packed):
    good, cut = packed
    job = Job("halfway").run(
        input=[[cut, good]], map=nop_map, map_reader=packed_lines, unpack=False
    )
    assert [key for key, _ in result_iterator(job.wait())] == LINES
    told = [event["text"] for event in events(job) if event["event"] == "message"]
    assert len(told) == 1 and "cut.gz" in told[0] and "next replica" in told[0]
    assert "retry" not in {event["event"] for event in events(job)}


def test_when_all_replicas_fail_the_error_names_each(packed):
    _good, cut = packed
    other = cut.replace("cut", "other")
    os.link(cut, other)
    with pytest.raises(JobError) as caught:
        keys(input=[[cut, other]], map_reader=packed_lines, unpack=False)
    assert "other.gz" in str(caught.value) and f"before that: {cut}" in str(caught.value)


def test_a_replica_with_less_in_it_than_was_read_already_is_an_error(tmp_path, packed):
    _good, cut = packed
    short = tmp_path / "short.gz"
    short.write_bytes(gzip.compress(b"line 0\n"))
    with pytest.raises(JobError, match=r"short.gz: has 1 entries, but its replica had"):
        keys(input=[[cut, str(short)]], map_reader=packed_lines, unpack=False)


def test_large_replicas_are_cut_and_each_part_is_read_once(tmp_path):
    paths = [tmp_path / "one", tmp_path / "two"]
    lines = [f"{number:099}\n" for number in range(60_000)]
    for path in paths:
        path.write_text("".join(lines))
    job = Job("large").run(input=[[str(path) for path in paths]], map=nop_map, processes=2)
    assert [key for key, _ in result_iterator(job.wait())] == lines
    assert next(event for event in events(job) if event["event"] == "stage")["tasks"] > 1


def test_a_replica_that_a_server_does_not_have_is_followed_by_the_next(whole, http_cut):
    assert keys(input=[[f"{http_cut}nowhere", whole]]) == LINES


def test_an_external_map_gets_each_line_once_though_a_replica_fails_halfway(
    tmp_path, long, http_cut
):
    given = results(input=[[f"{http_cut}long", long]], map=external([program(tmp_path, ECHO)]))
    assert b"".join(value for _, value in given) == Path(long).read_bytes()


@pytest.fixture
def long(tmp_path):
    """A file of which a half is several of the blocks that are framed at a time."""
    path = tmp_path / "long.txt"
    path.write_text("".join(f"{number:09999}\n" for number in range(600)))
    return str(path)


@pytest.fixture
def http_cut(whole, long):
    """The address of a server that breaks off in the middle of each of two files."""
    served = {"/": Path(whole).read_bytes(), "/long": Path(long).read_bytes()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            data = served.get(self.path)
            if data is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()
