"""Whatever reads stored or remote data ends with it or with an error of kvproto's own, however it
was changed.
"""

import cProfile
import gzip
import io
import json
import os
import pickle
import socket
import tempfile
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from support.damage import changed, consumed, ends, names_the_root
from support.web_server import answer, serving

from kvproto import cli
from kvproto.classic import Job, result_iterator
from kvproto.classic.core import Disco
from kvproto.classic.ddfs import DDFS
from kvproto.classic.progress import Progress
from kvproto.classic.task_io import chain_reader, gzip_line_reader, old_netstr_reader
from kvproto.engine.context import sealed
from kvproto.engine.job_handle import JobHandle
from kvproto.engine.registry import resolve_job
from kvproto.engine.starts import started
from kvproto.forms import frames_from_jsonl, frames_from_lines, frames_from_text
from kvproto.inputs.schemes import find_inputs, open_input, web
from kvproto.storage import oob
from kvproto.storage.hunks import HunkWriter
from kvproto.storage.manifest import check_directory, open_result
from kvproto.storage.spool import read_segments
from kvproto.storage.spool_index import Segment

pytestmark = pytest.mark.slow

# --- files: what is in one, where it is, what reads it ---------------------------------------


def tag_file(home, data):
    path = home / "ddfs" / "tag" / "x" / "0000000001.json"
    put(path, data)
    return path, [
        lambda: find_inputs(["tag://x"]),
        lambda: consumed(DDFS().walk("x")),
        lambda: consumed(DDFS().findtags("x")),
        lambda: DDFS().attrs("x"),
        lambda: DDFS().list(),
        lambda: cli.main(["tag", "ls"]),
        lambda: cli.main(["tag", "get", "--urls", "x"]),
        lambda: DDFS().tag("x", ["raw://y"]),
        lambda: DDFS().delete("x"),
        lambda: cli.main(["tag", "gc"]),
    ]


def events_file(home, data):
    path = home / "jobs" / "x@20240101-000000-00000000" / "events.jsonl"
    put(path, data)
    name = path.parent.name
    job = JobHandle(name)
    return path, [
        job.state,
        job.info,
        job.seconds,
        job.outcome,
        job.damage,
        lambda: consumed(job.events()),
        lambda: consumed(job.events(10)),
        lambda: job.stage_results("map"),
        lambda: show(job),
        lambda: started(name),
        lambda: resolve_job("@"),
        lambda: Disco().joblist(),
        lambda: cli.main(["jobs"]),
        lambda: cli.main(["events", name]),
        lambda: Disco().wait(name, show="nocolor"),
        lambda: cli.main(["purge", "--older-than", "36500"]),
    ]


def show(job):
    progress = Progress("plain", io.StringIO())
    for _, event in job.events():
        progress(event)


def manifest_file(home, data):
    path = home / "jobs" / "x@20240101-000000-00000000" / "results.jsonl"
    put(path, data)
    put(path.parent / "events.jsonl", EVENTS)
    result = path.parent / "results" / "reduce-00000"
    put(result, b"raw result\n")
    return path, [
        lambda: open_result(str(result)).close(),
        lambda: check_directory(str(result.parent)),
        lambda: find_inputs([str(result.parent)]),
        lambda: consumed(result_iterator([str(result)], reader=None)),
        lambda: consumed(result_iterator([str(result)])),
        lambda: Disco().wait(path.parent.name),
    ]


def index_file(home, data):
    path = home / "index"
    put(home / "part", b"0123456789")
    put(path, data)
    return path, [lambda: find_inputs([f"dir://{path}"])]


def value_file(home, data):
    directory = home / "jobs" / "x@20240101-000000-00000000" / "oob"
    directory.mkdir(parents=True, exist_ok=True)
    oob.put_all(str(directory), {"key": "value"})
    [name] = os.listdir(directory)
    put(directory / name, data)
    return directory / name, [
        lambda: oob.get(str(directory), "key"),
        lambda: oob.list_keys(str(directory)),
    ]


def profile_file(home, data):
    directory = home / "jobs" / "x@20240101-000000-00000000" / "profile"
    put(directory / "map-00000", data)
    job = directory.parent.name
    return directory / "map-00000", [
        lambda: Disco().profile_stats(job, stream=io.StringIO()).print_stats()
    ]


def result_file(home, data):
    path = home / "result"
    put(path, data)
    return path, [
        lambda: consumed(result_iterator([str(path)])),
        lambda: consumed(result_iterator([str(path)], reader=None)),
        lambda: consumed(result_iterator([str(path)], reader=gzip_line_reader)),
        lambda: DDFS().chunk("x", [str(path)]),
        lambda: consumed(chain_reader(Unseekable(data), len(data), "http://x/y")),
        lambda: consumed(old_netstr_reader(io.BytesIO(data), None, "x")),
        lambda: consumed(read_segments([Segment(str(path), ((3, 20),), 1, 7)])),
    ]


class Unseekable(io.BytesIO):
    def seekable(self):
        return False

    def seek(self, *args):
        raise io.UnsupportedOperation


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        os.unlink(path)
    path.write_bytes(data)


EVENTS = b"".join(
    json.dumps({"time": 1e9 + number, **event}).encode() + b"\n"
    for number, event in enumerate(
        [
            {"event": "job", "job": "x", "inputs": 1, "bytes": 4},
            {"event": "stage", "stage": "map", "tasks": 2, "bytes": 4},
            {"event": "progress", "stage": "map", "done": 1, "total": 2, "bytes": 2, "records": 1},
            {"event": "message", "stage": "map", "task": 1, "kind": "MSG", "text": "hello"},
            {"event": "retry", "stage": "map", "task": 1, "attempt": 1, "text": "no"},
            {"event": "done", "results": ["reduce-00000"], "seconds": 1.5},
        ]
    )
)

URLS = [["raw://data", "/no/such"], ["file:///etc/hostname"]]
TAG = json.dumps({"version": 1, "id": "x$1", "urls": URLS, "user-data": {"a": 1}}).encode()
INDEX = b"0 raw://data 4\n1 part 10\n2 file:///etc/hostname 7\n"


def results_of_all_kinds():
    """A result file of objects, hunks, netstrings, gzip, lines, and a pickle."""
    job = Job("x").run(input=["raw://one\ntwo\n"], map=lambda line, params: [(line, 1)])
    with open(job.wait()[0], "rb") as file:
        objects = file.read()
    hunks = io.BytesIO()
    with closing(HunkWriter(hunks)) as writer:
        writer.add("key", ["value"])
    lines = b"one\ntwo\n"
    netstrings = b"3 key 5 value\n3 kez 0 \n"
    marked, pickled = b"\xef\xbb\xbf" + lines, pickle.dumps(("a", 1))
    return [objects, hunks.getvalue(), netstrings, gzip.compress(lines), marked, pickled]


def profiled(path):
    profile = cProfile.Profile()
    profile.runcall(json.dumps, {"a": [1]})
    profile.dump_stats(path)
    Path(path).write_bytes(sealed(Path(path).read_bytes()))
    with open(path, "rb") as file:
        return file.read()


with tempfile.TemporaryDirectory() as directory:
    PROFILE = profiled(f"{directory}/profile")

FILES = {
    "tag": (tag_file, [TAG]),
    "events": (events_file, [EVENTS]),
    "manifest": (
        manifest_file,
        [b'{"path": "reduce-00000", "n_bytes": 11, "n_pairs": 1, "crc": 7}\n{"crc": 1}\n'],
    ),
    "index": (index_file, [INDEX, gzip.compress(INDEX)]),
    "value": (value_file, [b"skey 00000000\nvalue"]),
    "profile": (profile_file, [PROFILE]),
}


@pytest.mark.parametrize("name", FILES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(chosen=st.data())
def test_a_file_that_was_changed_is_read_or_an_error(home, name, chosen):
    make, originals = FILES[name]
    data = chosen.draw(st.sampled_from(originals).flatmap(changed))
    _, reads = make(home, data)
    ends(*reads)


OTHERS = [
    b"[" * 100_000,
    b"{}",
    b"[]\n",
    b"NaN\n",
    b"",
    b"\n",
    b"\0" * 100,
    b'{"urls": [["\\ud800"]]}',
    b"9" * 5000,
]


@pytest.mark.parametrize("whole", OTHERS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_holds_something_else_is_an_error(home, name, whole):
    make, _ = FILES[name]
    _, reads = make(home, whole)
    ends(*reads)


@pytest.mark.parametrize("what", ["fifo", "directory", "link to itself", "nothing"])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_file_is_an_error_and_nobody_waits_for_it(home, name, what):
    make, originals = FILES[name]
    path, reads = make(home, originals[0])
    for read in reads:
        with suppress(IsADirectoryError, FileNotFoundError):
            os.unlink(path)
        if what == "fifo":
            os.mkfifo(path)
        elif what == "directory":
            path.mkdir(exist_ok=True)
        elif what == "link to itself":
            path.symlink_to(path)
        ends(read)


@pytest.fixture(scope="module")
def kinds_of_results(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KVPROTO_HOME", str(tmp_path_factory.mktemp("home")))
        return results_of_all_kinds()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(chosen=st.data())
def test_a_result_that_was_changed_is_read_or_an_error(home, kinds_of_results, chosen):
    data = chosen.draw(st.sampled_from(kinds_of_results).flatmap(changed))
    _, reads = result_file(home, data)
    ends(*reads)


@given(
    st.sampled_from([b'["key", "value"]\n{"base64": "AA=="}\n', b"key\tvalue\n"]).flatmap(changed)
)
def test_lines_of_a_shell_pipe_that_were_changed_are_read_or_an_error(data):
    for read in (frames_from_jsonl, frames_from_text, frames_from_lines):
        ends(lambda read=read: consumed(read([data[:7], data[7:]])))


# --- from the web ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def documents():
    """A server whose documents are what `give(data)` has said last."""
    given_last = [b""]
    page = lambda handler, number: answer(handler, given_last[0])  # noqa: E731
    with serving({"/ddfs/tag/x": page, "/index": page}) as server:
        yield server.url, lambda data: given_last.__setitem__(0, data)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(chosen=st.data())
def test_a_document_of_a_server_that_was_changed_is_read_or_an_error(documents, chosen):
    url, give = documents
    remote = TAG.replace(b"file:///etc/hostname", b"raw://x").replace(b"/no/such", b"raw://y")
    give(chosen.draw(st.sampled_from([remote, INDEX, gzip.compress(INDEX)]).flatmap(changed)))
    index = f"dir://{url.removeprefix('http://')}/index"
    ends(lambda: find_inputs([f"{url}/ddfs/tag/x"]), lambda: find_inputs([index]))


RESPONSES = [
    b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\nETag: "x"\r\nRetry-After: 3\r\n\r\none\ntwo\n',
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n4;x=y\r\ntwo\n"
    b"\r\n0\r\nX: y\r\n\r\n",
    b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-7/8\r\nContent-Encoding: gzip\r\n\r\n"
    b"one\ntwo\n",
    b"HTTP/1.0 503 Busy\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 -2359\r\n\r\n",
]


@pytest.fixture(scope="module")
def raw_server():
    """A server that answers each connection with the bytes that `give` has said last, whatever they
    are.
    """
    given_last = [b""]

    def serve():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(given_last[0])

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield (
            f"http://127.0.0.1:{listening.getsockname()[1]}/x",
            lambda data: given_last.__setitem__(0, data),
        )
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(RESPONSES).flatmap(changed))
@example(RESPONSES[0])
@example(RESPONSES[1].replace(b"4;x=y", b"-5"))
@example(RESPONSES[1].replace(b"4\r\none", b"ffffffffffffffffffff\r\none"))
@example(RESPONSES[3])
@example(RESPONSES[0].replace(b"200", b"103"))
def test_an_answer_that_was_changed_is_read_or_an_error(raw_server, response):
    url, give = raw_server
    give(response)

    def read():
        file, _ = web.open(url, 0, None, sleep=lambda seconds: None)
        with file:
            file.read()

    ends(read)


STARTS = ["http://[", "http://a:b@/", "file://\0", "tag://a b", "dir://", "raw://\ud800"]


@given(st.text(max_size=30) | st.tuples(st.sampled_from(STARTS), st.text(max_size=5)).map("".join))
def test_an_address_of_any_characters_is_read_or_an_error(url):
    assume(not names_the_root(url.encode("utf-8", "surrogatepass")))
    ends(lambda: find_inputs([url]))
    if not url.lower().startswith(("http", "disco", "dir", "tag")):  # which would ask for the host

        def read():
            open_input(url)[0].close()

        ends(read)
