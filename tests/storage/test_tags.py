"""The tag store: documents, names, deletion, and many processes that change one tag at the same
time.
"""

import json
import os
import subprocess
import sys

import pytest

from kvproto.errors import DataError, JobError
from kvproto.storage.tags import MAX_NAME, InvalidTag, NoSuchTag, TagStore, safe_name, tag_name


def append(name, *urls):
    return TagStore().update(name, lambda document: document["urls"].extend([url] for url in urls))


def versions(name):
    return sorted(os.listdir(os.path.join(TagStore().directory, name)))


def test_a_tag_is_a_document_that_each_change_makes_anew():
    assert append("data:log", "a")["id"] == "data:log$1"
    made = append("data:log", "b", "c")
    assert made == TagStore().get("data:log")
    assert made == {
        "version": 1,
        "id": "data:log$2",
        "last-modified": made["last-modified"],
        "urls": [["a"], ["b"], ["c"]],
        "user-data": {},
    }


def test_only_the_latest_version_holds_data():
    for url in "abc":
        append("log", url)
    directory = os.path.join(TagStore().directory, "log")
    sizes = [os.path.getsize(os.path.join(directory, version)) for version in versions("log")]
    assert sizes[:2] == [0, 0]
    assert sizes[2] > 0


PROGRAM = """
import sys
from kvproto.storage.tags import TagStore
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    url = f"{sys.argv[1]}-{number}"
    TagStore().update("busy", lambda document: document["urls"].append([url]))
"""


@pytest.mark.slow
def test_eight_processes_that_append_at_the_same_time_lose_nothing(home):
    command = [sys.executable, "-P", "-c", PROGRAM]
    running = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for number in range(8)
    ]
    for process in running:
        assert process.stdout.readline() == b"ready\n"
    for process in running:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    n_seen = 0
    while any(process.poll() is None for process in running):
        try:
            n_urls = len(TagStore().get("busy")["urls"])
        except NoSuchTag:
            n_urls = 0
        assert n_urls >= n_seen  # whole, and never an older one
        n_seen = n_urls
    for process in running:
        process.communicate()
        assert process.returncode == 0
    urls = [url for [url] in TagStore().get("busy")["urls"]]
    assert sorted(urls) == sorted(
        f"{process}-{number}" for process in range(8) for number in range(50)
    )
    for process in range(8):  # each in its own order
        own = [url for url in urls if url.startswith(f"{process}-")]
        assert own == [f"{process}-{number}" for number in range(50)]
    assert len(versions("busy")) == 400


def test_who_is_late_begins_again_with_what_the_other_made():
    append("log", "first")
    calls = []

    def change(document):
        calls.append(list(document["urls"]))
        if len(calls) == 1:
            append("log", "the other's")
        document["urls"].append(["mine"])

    TagStore().update("log", change)
    assert calls == [[["first"]], [["first"], ["the other's"]]]
    assert TagStore().get("log")["urls"] == [["first"], ["the other's"], ["mine"]]


def test_a_reader_that_is_late_reads_the_later_version(monkeypatch):
    append("log", "first")
    listdir = os.listdir

    def listed_too_early(path):
        names = listdir(path)
        if len(names) == 1:
            monkeypatch.setattr(os, "listdir", listdir)
            append("log", "second")
        return names

    monkeypatch.setattr(os, "listdir", listed_too_early)
    assert TagStore().get("log")["urls"] == [["first"], ["second"]]


def test_a_deleted_tag_is_gone_until_it_is_made_again():
    append("log", "a")
    append("log:other", "b")
    assert TagStore().delete("log") is True
    assert TagStore().delete("log") is False
    assert TagStore().names() == ["log:other"]
    with pytest.raises(
        NoSuchTag, match=r"tag log: there is no tag of this name in .*; `kvproto tag ls`"
    ):
        TagStore().get("log")
    assert append("log", "new")["urls"] == [["new"]]


def test_names_are_listed_by_prefix_in_order():
    assert TagStore().names() == []
    for name in ("b", "a:2", "a:1", "A"):
        append(name, "x")
    assert TagStore().names() == ["A", "a:1", "a:2", "b"]
    assert TagStore().names("a:") == ["a:1", "a:2"]


@pytest.mark.parametrize("length", [200, 201, 400, MAX_NAME])
def test_a_long_name_is_a_name(length):
    name = "x" * length
    append(name, "long")
    append("x" * 10, "short")
    assert TagStore().get(name)["urls"] == [["long"]]
    assert TagStore().names() == ["x" * 10, name]


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", "é", "a+", "a\n", "x" * (MAX_NAME + 1)])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(InvalidTag, match="not the name of a tag"):
        tag_name(name)
    with pytest.raises(InvalidTag):
        append(name, "x")
    assert InvalidTag("").code == 403
    assert NoSuchTag("").code == 404


def test_a_name_is_made_safe_by_underscores():
    assert safe_name("grep.Grep@2024 é") == "grep_Grep@2024__"
    assert tag_name("tag://a:b@c-d_1") == "a:b@c-d_1"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", json.dumps({"urls": "x"}).encode()])
def test_a_damaged_document_is_an_error_that_names_its_file(data):
    append("log", "a")
    path = os.path.join(TagStore().directory, "log", versions("log")[0])
    with open(path, "wb") as file:
        file.write(data)
    with pytest.raises(DataError, match=f"tag log is damaged: {path}.* `kvproto tag rm` deletes"):
        TagStore().get("log")


def test_a_home_that_cannot_be_written_is_named(home):
    home.parent.mkdir(exist_ok=True)
    home.write_bytes(b"not a directory")
    with pytest.raises(JobError, match=f"{home}/ddfs/tag/log: Not a directory.*KVPROTO_HOME"):
        append("log", "a")
