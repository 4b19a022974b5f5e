"""What is removed of the tag store: blobs that no tag lists, and never anything else."""

import errno
import io
import os
import shutil
import subprocess
import time
import urllib.parse

import pytest
from support.command_line import command_line, kvproto_command

from kvproto.classic.ddfs import DDFS
from kvproto.errors import DataError
from kvproto.inputs import tagged
from kvproto.storage.blobs import Blobs
from kvproto.storage.tags import TagStore


def blobs(home):
    return sorted(path for path in (home / "ddfs" / "blob").rglob("*") if path.is_file())


def pushed(tag, name="x"):
    """The url of a new blob under a tag."""
    return DDFS().push(tag, [(io.BytesIO(b"data\n"), name)])[1][0][0]


def path_of(url):
    return urllib.parse.unquote(url.removeprefix("file://"))


def paths_outside(home, precious):
    """Ways to write the path of a file that is no blob, some of which begin as the urls of blobs
    do.
    """
    url = pushed("base")
    folder = os.path.dirname(path_of(url))
    up = "../" * 3
    link = f"{folder}/link$00"
    os.symlink(precious, link)
    named = f"{folder}/precious"
    os.link(precious, named)
    return [
        f"file://{home}/ddfs/blob/{up}precious",
        f"file://{home}/ddfs/blob/%2e%2e/%2E%2e/..%2fprecious",
        f"file://{folder}/../{up}precious",
        f"FILE://{home}/ddfs/blob/{up}precious",
        f"file://localhost{home}/ddfs/blob/{up}precious",
        f"{home}/ddfs/blob/{up}precious",
        str(precious),
        f"file://{link}",
        f"file://{named}",
        f"file://{home}/ddfs/blob/precious",
        f"file://{home}/ddfs/tag/base/0000000001.json",
        "file:///\0",
        "file://elsewhere/x",
    ]


def removed_by(way, url):
    if way == "delete":
        DDFS().tag("evil", [[url]])
        DDFS().delete("evil")
    elif way == "put":
        DDFS().tag("evil", [["raw://other", url]])
        DDFS().put("evil", ["raw://data"])
    elif "\0" not in url:
        assert kvproto_command("tag", "put", "evil", "raw://x", url).returncode == 0
        assert kvproto_command("tag", "put", "--replace", "evil", "raw://y").returncode == 0


@pytest.mark.parametrize("way", ["delete", "put", "replace"])
def test_what_a_tag_lists_and_is_no_blob_is_never_removed(home, way):
    home.mkdir()
    precious = home.parent / "precious"
    precious.write_text("keep")
    urls = paths_outside(home, precious)
    before = sorted(home.rglob("*"))
    for url in urls if way != "replace" else urls[:3]:
        removed_by(way, url)
    assert precious.read_text() == "keep"
    assert set(before) <= set(home.rglob("*"))
    assert os.stat(precious).st_nlink == 2


def test_a_blob_that_another_tag_lists_in_other_words_stays(home):
    url = pushed("one")
    path = path_of(url)
    os.symlink(path, home / "link")
    doubled = path.replace("/blob/", "/../ddfs/blob//")
    quoted = path.replace("$", "%24")
    urls = [
        f"file://localhost{path}",
        f"FILE://{quoted}",
        f"disco://{path}",
        f"DISCO://localhost{path}",
    ]
    for other in (path, doubled, *urls):
        DDFS().put("two", [other])
        DDFS().put("one", [url])
        DDFS().delete("one")
        assert os.path.exists(path)
    DDFS().put("two", [str(home / "link")])
    assert os.path.exists(path)
    DDFS().delete("two")
    assert blobs(home) == []


def test_a_directory_of_blobs_that_is_a_link_is_not_followed(home):
    path = path_of(pushed("x"))
    folder = os.path.dirname(path)
    elsewhere = home.parent / "elsewhere"
    shutil.move(folder, elsewhere)
    os.symlink(elsewhere, folder)
    DDFS().delete("x")
    assert len(list(elsewhere.iterdir())) == 1


def test_what_is_mounted_inside_the_store_is_not_removed_from(home):
    path = path_of(pushed("x"))
    folder = os.path.dirname(path)
    elsewhere = home.parent / "elsewhere"
    shutil.copytree(folder, elsewhere)
    enter = ["unshare", "--map-root-user", "--mount"] if os.getuid() else ["unshare", "--mount"]
    if subprocess.run([*enter, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace can be had here")
    remove = " ".join(command_line("tag", "rm", "x"))
    done = subprocess.run(
        [*enter, "sh", "-c", f"mount --bind {elsewhere} {folder} && {remove}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert (
        f"{path} is not removed: it is on another file system, mounted inside the store"
        in done.stderr
    )
    assert len(list(elsewhere.iterdir())) == 1


# --- data that no tag lists ------------------------------------------------------------------


def collected(*options):
    done = kvproto_command("tag", "gc", *options)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()


def test_data_that_no_tag_lists_is_collected_when_it_is_old(home):
    kept, lost = path_of(pushed("kept")), path_of(pushed("lost"))
    TagStore().delete("lost")
    begun = (
        f"{os.path.dirname(lost)}/y$" + os.path.basename(lost).partition("$")[2] + ".0123abcd.part"
    )
    stray = f"{os.path.dirname(lost)}/notes.txt"
    for path in (begun, stray):
        with open(path, "x"):
            pass
    assert collected() == []
    assert collected("--dry-run", "--older-than", "0") == [lost, begun]
    assert os.path.exists(lost)
    assert collected("--older-than", "0") == [lost, begun]
    assert [str(path) for path in blobs(home)] == sorted([kept, stray])
    assert collected("--older-than", "0") == []


def test_nothing_is_collected_where_there_are_no_tags():
    assert collected("--older-than", "0") == []


def test_with_a_damaged_tag_data_stays_until_that_is_deleted(home):
    good, bad = path_of(pushed("good")), path_of(pushed("bad"))
    [version] = (home / "ddfs" / "tag" / "bad").iterdir()
    version.write_bytes(b"{")
    done = kvproto_command("tag", "rm", "good")
    assert done.returncode == 0
    assert (
        b"no data is removed, because a damaged tag may list it: tag bad is damaged" in done.stderr
    )
    failed = kvproto_command("tag", "gc", "--older-than", "0")
    assert failed.returncode == 1
    assert b"tag bad is damaged" in failed.stderr
    assert os.path.exists(good)
    assert os.path.exists(bad)
    assert kvproto_command("tag", "rm", "bad").returncode == 0
    assert collected("--older-than", "0") == sorted([good, bad])
    assert blobs(home) == []


def test_a_blob_that_is_put_under_its_tag_late_is_new_again(home):
    with Blobs() as made:
        url = made.put("x", [b"data"])
        before = os.stat(path_of(url)).st_ctime_ns
        found = tagged.unused(grace=0)
        while (
            os.stat(path_of(url)).st_ctime_ns == before
        ):  # the clock of the file system has a grain
            made.touch()
        grace = time.time() - os.stat(path_of(url)).st_ctime + 1000
        tagged.collect(found, grace)
        assert os.path.exists(path_of(url))
        DDFS().tag("x", [url])
    assert tagged.unused(grace=0) == []


@pytest.mark.parametrize("method, source", [("put", [b"data"]), ("put_file", "data")])
def test_a_blob_that_cannot_be_flushed_to_the_disk_is_removed(home, monkeypatch, method, source):
    def fail(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    with open("data", "wb") as file:
        file.write(b"data")
    monkeypatch.setattr("kvproto.storage.atomic.sync", fail)
    monkeypatch.setattr("kvproto.storage.blobs.sync", fail)
    with pytest.raises(DataError, match="Input/output error"), Blobs() as made:
        getattr(made, method)("x", source)
    assert blobs(home) == []
