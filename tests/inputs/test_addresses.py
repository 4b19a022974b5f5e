"""Web addresses as people paste them; passwords, sent to one host and shown nowhere; errors that no
other try mends.
"""

import base64
import gzip
import json
import pickle
import time

import pytest
from support.command_line import kvproto_command
from support.jobs import events, results
from support.web_server import answer, page, serving

from kvproto._text import without_passwords
from kvproto.classic import Job, result_iterator
from kvproto.classic.ddfs import DDFS
from kvproto.errors import DataError, JobError
from kvproto.inputs.schemes import find_inputs, lists, open_input
from kvproto.inputs.schemes.web import request_for


def lines_of(url):
    return list(result_iterator([url], reader=None))


@pytest.mark.parametrize(
    "written, asked",
    [
        ("/sp ace", "/sp%20ace"),
        ("/é", "/%C3%A9"),
        ("/sp%20ace?q=ä b&x=%41", "/sp%20ace?q=%C3%A4%20b&x=%41"),
        ("/a+b;c,d(e)!$'*~@:x=[y]", "/a+b;c,d(e)!$'*~@:x=[y]"),
        ('/"<x>`{y}', "/%22%3Cx%3E%60%7By%7D"),
        ("/\udcff", "/%FF"),
        ("/x#part", "/x"),
        ("/x ", "/x"),
    ],
)
def test_an_address_is_escaped_where_it_has_to_be_and_only_there(written, asked):
    with serving({asked: page(b"x\n")}) as server:
        assert lines_of(server.url + written) == ["x\n"]
        assert [path for path, _ in server.requests] == [asked]


def test_a_scheme_may_be_in_capitals(tmp_path):
    (tmp_path / "x").write_text("x\n")
    DDFS().chunk("x", [f"FILE://{tmp_path}/x"])
    with serving({"/x": page(b"x\n")}) as server:
        for url in (
            server.url.replace("http", "HTTP") + "/x",
            f"File://{tmp_path}/x",
            "RAW://x\n",
            "Tag://x",
        ):
            assert lines_of(url) == ["x\n"]


def test_a_host_of_other_letters_is_asked_for_in_the_ascii_form_of_its_name():
    request, _ = request_for("http://bücher.example:81/x", {})
    assert request.full_url == "http://xn--bcher-kva.example:81/x"


def secured(handler, number):
    """A page for the user `u:ser` with the password `p@ss/w:ö`."""
    expected = "Basic " + base64.b64encode("u:ser:p@ss/w:ö".encode()).decode()
    if handler.headers.get("Authorization") == expected:
        answer(handler, b"secret\n")
    else:
        answer(handler, b"", 401)


USER = "u%3Aser:p%40ss%2Fw%3A%C3%B6@"


def test_user_and_password_of_an_address_are_sent():
    with serving({"/x": secured}) as server:
        host = server.url.removeprefix("http://")
        assert lines_of(f"http://{USER}{host}/x") == ["secret\n"]
        assert lines_of(f"disco://{USER}{host}/x") == ["secret\n"]
        with pytest.raises(JobError, match="401"):
            lines_of(f"http://{host}/x")


def test_a_password_goes_to_no_other_host_but_along_on_its_own():
    def on(where):
        return lambda handler, number: answer(handler, b"", 302, Location=where())

    with serving({"/end": page(b"end\n")}) as other:
        pages = {"/own": on(lambda: "/x"), "/x": secured, "/other": on(lambda: f"{other.url}/end")}
        with serving(pages) as server:
            host = server.url.removeprefix("http://")
            assert lines_of(f"http://{USER}{host}/own") == ["secret\n"]
            assert lines_of(f"http://{USER}{host}/other") == ["end\n"]
            [(_, headers)] = other.requests
            assert "Authorization" not in headers
            pages["/named"] = on(lambda: f"http://{USER}{host}/x")
            assert lines_of(f"{server.url}/named") == ["secret\n"]


# --- passwords -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, shown",
    [
        ("input http://me:hush@h/x: gone", "input http://me:***@h/x: gone"),
        (
            "a http://me:hu@sh@h/ b https://you:hush@h:80/?q c",
            "a http://me:***@h/ b https://you:***@h:80/?q c",
        ),
        ("http://:hush@h", "http://:***@h"),
        ("input http://me:it's h/us h@h/x: a@b", "input http://me:***@h/x: a@b"),
        ("http://me:it's@h/ and ['http://me:hush@h']", "http://me:***@h/ and ['http://me:***@h']"),
        ("http://h: not a@b; http://h:80 nor a@b", "http://h: not a@b; http://h:80 nor a@b"),
        ("http://h:80/a@b, disco://me:hush@h/x", "http://h:80/a@b, disco://me:***@h/x"),
        ("'http://h:80', 'me:x@y'", "'http://h:80', 'me:x@y'"),
        ("me:hush@h and http://me@h/", "me:hush@h and http://me@h/"),
    ],
)
def test_passwords_of_addresses_in_a_text_are_masked(text, shown):
    assert without_passwords(text) == shown
    error = DataError(text)
    error.add_note(text)
    assert (str(error), error.msg, error.__notes__) == (shown, shown, [shown])


def test_passwords_are_looked_for_in_time_that_grows_with_the_text():
    for text in (
        "://" + "a:" * 50_000,
        "://a:" + "b" * 100_000,
        "://" * 30_000,
        "x://a:b c " * 10_000,
        "://a:'" * 20_000,
    ):
        began = time.process_time()
        assert without_passwords(text) == text
        assert time.process_time() - began < 2


@pytest.mark.parametrize("path", ["/gone", "/packed", "/short", "/raises"])
def test_a_password_is_in_no_error_event_or_log_of_a_job(path):
    pages = {
        "/packed": page(b"\x1f\x8b\x08" + bytes(40)),
        "/short": page(b"x\n" * 100, length=1000),
        "/raises": page(b"x\n"),
    }
    with serving(pages) as server:
        url = server.url.replace("http://", "http://me:hush@") + path
        shown = []
        job = Job("x").run(input=[url], map=raises, map_reader=opened_again, on_event=shown.append)
        with pytest.raises(JobError, match=r"http://me:\*\*\*@127") as caught:
            job.wait()
    told = f"{caught.value} {getattr(caught.value, '__notes__', '')} {shown}"
    with open(f"{job.directory}/events.jsonl") as file:
        told += file.read()
    assert "hush" not in told
    assert "http://me:***@127.0.0.1" in told


def opened_again(fd, size, url, params):
    print(f"reading {url}")
    yield from fd


def raises(line, params):
    raise ValueError(f"not {this_inputs()}")  # noqa: F821


def test_a_password_is_not_printed_by_the_command():
    with serving({}) as server:
        url = server.url.replace("http://", "http://me:hush@")
        for command in (
            ["run", "kvproto.classic.Job", "-m", "kvproto.classic.func.nop_map"],
            ["tag", "put", "x"],
        ):
            done = kvproto_command(
                *command, f"{url}/ddfs/tag/none" if command[0] == "run" else f"dir://{url[7:]}/none"
            )
            assert b"hush" not in done.stdout + done.stderr
        assert done.returncode == 0
        done = kvproto_command("tag", "get", "x")
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"me:***@127.0.0.1" in done.stderr
        assert b"hush" not in done.stderr


@pytest.mark.parametrize("url", ["http://me:hush/slash@127.0.0.1/x", "disco://me:hush?@h/x"])
def test_a_password_with_characters_of_an_address_is_told_how_to_write_and_not_printed(url):
    with pytest.raises(
        (DataError, JobError), match=r"in a user name or a password write / [?] # and @ as"
    ) as caught:
        open_input(url)
    assert "hush" not in str(caught.value)


# --- what no other try mends -----------------------------------------------------------------


@pytest.mark.parametrize(
    "name, n_requests",
    [
        ("loop", 10),
        ("file", 1),
        ("ftp", 1),
        ("nowhere", 1),
        ("404", 1),
        ("410", 1),
        ("501", 1),
        ("300", 1),
        ("304", 1),
    ],
)
def test_a_permanent_error_of_a_server_fails_the_job_at_once(name, n_requests):
    to = {
        "loop": "/",
        "file": "file:///etc/passwd",
        "ftp": "ftp://127.0.0.1/x",
        "nowhere": "http://[::1",
    }
    give = page(b"", 302, Location=to[name]) if name in to else page(b"", int(name))
    with serving({"/": give}) as server:
        began = time.monotonic()
        job = Job("x").run(input=[f"{server.url}/"], map=lambda line, params: [])
        with pytest.raises(JobError, match=f"input {server.url}/: "):
            job.wait()
        assert len(server.requests) <= n_requests
        assert [event for event in events(job) if event["event"] == "retry"] == []
        assert time.monotonic() - began < 10


def test_a_permanent_error_of_one_replica_leads_to_the_next(tmp_path):
    (tmp_path / "x").write_text("x\n")
    with serving({"/": page(b"x", Content_Encoding="br")}) as server:
        replicas = [f"{server.url}/", f"{server.url}/none", str(tmp_path / "x")]
        found = results(input=[replicas], map=lambda line, params: [(line, "")])
        assert found == [("x\n", "")]


def test_an_error_that_is_final_is_so_in_the_next_process_too():
    error = DataError("x", code=7, is_final=True)

    copy = pickle.loads(pickle.dumps(error))
    assert (copy.is_final, copy.code, DataError("y").is_final) == (True, 7, False)


def test_a_function_of_a_job_may_say_that_no_other_try_mends_its_error():
    def final(line, params):
        raise DataError("no", is_final=True)

    def other(line, params):
        raise DataError("no")

    for map, n_retries in ((final, 0), (other, 2)):
        job = Job("x").run(input=["raw://x"], map=map)
        with pytest.raises(JobError, match="no"):
            job.wait()
        assert len([event for event in events(job) if event["event"] == "retry"]) == n_retries


def test_a_document_of_a_server_has_a_limit(monkeypatch):
    monkeypatch.setattr(lists, "MAX_DOCUMENT", 20_000)
    tag = json.dumps({"urls": [["raw://" + "x" * 20_000]]}).encode()
    pages = {"/ddfs/tag/x": page(tag), "/index": page(b"0 raw://x 1\n" * 2000)}
    pages["/packed"] = page(gzip.compress(bytes(10_000_000)))
    with serving(pages) as server:
        node = server.url.removeprefix("http://")
        for url in (f"{server.url}/ddfs/tag/x", f"dir://{node}/index", f"dir://{node}/packed"):
            with pytest.raises(DataError, match="has more than 20000 bytes, the limit"):
                find_inputs([url])
