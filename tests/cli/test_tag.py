"""`kvproto tag put|get|ls|rm` as a process of its own."""

import json

import pytest
from support.command_line import kvproto_command
from support.jobs import LIBRARY
from support.web_server import page, serving

from kvproto.classic.ddfs import DDFS

pytestmark = pytest.mark.slow

TEXT = (LIBRARY / "difflib.py").read_bytes()


def tag(*arguments, cwd="/"):
    return kvproto_command("tag", *arguments, cwd=cwd)


def output(*arguments, cwd="/"):
    """What the command prints when all goes well."""
    done = tag(*arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def blobs_on_disk(home):
    return [path for path in (home / "ddfs" / "blob").rglob("*") if path.is_file()]


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text").write_bytes(TEXT)
    return tmp_path / "text"


def test_a_file_that_is_put_is_got_back_whole(text):
    assert output("put", "data:text", "text", cwd=text.parent) == b""
    assert output("get", "data:text") == TEXT
    assert len(DDFS().urls("data:text")) == 1


def test_a_large_file_becomes_blobs_that_end_with_lines(text):
    output("put", "x", text, "--chunk-size", "10K")
    blobs = []
    for file in DDFS().pull("x"):
        with file:
            blobs.append(file.read())
    assert len(blobs) == len(TEXT) // (10 << 10) + (len(TEXT) % (10 << 10) > 0)
    assert all(blob.endswith(b"\n") and len(blob) >= 10 << 10 for blob in blobs[:-1])
    assert b"".join(blobs) == TEXT


def test_put_appends_and_with_replace_it_does_not(text, home):
    for name in "ab":
        (text.parent / name).write_text(name)
    output("put", "x", text.parent / "a")
    output("put", "x", text.parent / "b", text.parent / "a")
    assert output("get", "tag://x") == b"aba"
    output("put", "--replace", "x", text.parent / "b")
    assert output("get", "x") == b"b"
    assert len(blobs_on_disk(home)) == 1


def test_a_directory_is_its_files(text):
    (text.parent / "more").write_bytes(b"more\n")
    output("put", "x", text.parent)
    assert output("get", "x") == b"more\n" + TEXT


def test_a_url_is_noted_as_it_is_and_its_data_got_from_there(text):
    with serving({"/page": page(b"over the web")}) as server:
        DDFS().tag("inner", [["/no/such", str(text)]])
        output("put", "x", f"{server.url}/page", "tag://inner", "raw://data")
        assert DDFS().urls("x") == [[f"{server.url}/page"], ["tag://inner"], ["raw://data"]]
        assert output("get", "x") == b"over the web" + TEXT + b"data"
        assert (
            output("get", "--urls", "x").decode()
            == f"{server.url}/page\n/no/such\t{text}\nraw://data\n"
        )


def test_tags_are_listed_by_prefix_and_removed(text, home):
    for name in ("data:a", "data:b", "other"):
        output("put", name, text)
    assert output("ls") == b"data:a\ndata:b\nother\n"
    output("rm", "data:a")
    assert output("ls", "data") == b"data:b\n"
    assert output("ls", "none") == b""
    assert len(blobs_on_disk(home)) == 2


def test_a_job_reads_a_tag(text):
    output("put", "x", text, "--chunk-size", "20K")
    done = kvproto_command("run", "kvproto.examples.wordcount.WordCount", "tag://x")
    assert done.returncode == 0
    counts = dict(line.rsplit(b"\t", 1) for line in done.stdout.splitlines())
    assert int(counts[b"the"]) == TEXT.split().count(b"the")


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("get", "nothing"), "kvproto: tag nothing: there is no tag of this name"),
        (("get", "--urls", "nothing"), "kvproto: tag nothing: there is no tag of this name"),
        (("rm", "nothing"), "kvproto: tag nothing: there is no tag of this name"),
        (("put", "x", "/no/such"), "kvproto: input /no/such: No such file"),
        (("put", "a b", "/dev/null"), "kvproto: tag://a b: not the name of a tag"),
        (
            ("put", "tag://elsewhere/x", "raw://y"),
            "kvproto: tag://elsewhere/x: a tag of another machine",
        ),
    ],
)
def test_what_fails_says_why_in_a_line_and_exits_with_1(arguments, says):
    done = tag(*arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode().startswith(says)
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("put", "x"),
        ("put", "x", "/dev/null", "--chunk-size", "0"),
        ("put", "x", "y", "--chunk-size", "2T"),
    ],
)
def test_wrong_usage_exits_with_2(arguments):
    done = tag(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"usage: kvproto tag" in done.stderr


def test_nothing_is_kept_of_a_put_that_fails(text, home):
    assert tag("put", "x", text, "/no/such").returncode == 1
    assert not DDFS().exists("x")
    assert blobs_on_disk(home) == []


def test_the_document_of_a_tag_is_json_in_the_home(text, home):
    output("put", "x", text)
    document = json.loads((home / "ddfs" / "tag" / "x" / "0000000001.json").read_bytes())
    assert (document["version"], document["id"], document["urls"]) == (1, "x$1", DDFS().urls("x"))
