"""DDFS as code for the original uses it: push, tag, pull, chunk, attributes, the graph of tags;
saved results.
"""

import io
import os
import socket
import urllib.parse
from pathlib import Path

import pytest
from support.jobs import LIBRARY
from support.web_server import page, serving

from kvproto.classic.ddfs import (
    DDFS,
    InvalidTag,
    NoSuchTag,
    canonizetag,
    istag,
    save_results,
    tagname,
)
from kvproto.errors import DataError, JobError
from kvproto.inputs.schemes import find_inputs

TEXT = (LIBRARY / "difflib.py").read_bytes()


def path_of(url):
    return Path(urllib.parse.unquote(url.removeprefix("file://")))


def contents(tag):
    """The data of each blob of a tag."""
    found = []
    for file in DDFS().pull(tag):
        with file:
            found.append(file.read())
    return found


def blobs_on_disk(home):
    return [path for path in (home / "ddfs" / "blob").rglob("*") if path.is_file()]


def test_what_is_pushed_is_pulled_in_order(tmp_path, home):
    path = tmp_path / "a file.txt"
    path.write_bytes(TEXT)
    made, urls = DDFS().push(
        "data:x", [str(path), (path, "named"), (io.BytesIO(b"\xff"), "b"), (io.StringIO("é"), "c")]
    )
    assert made == ["tag://data:x"]
    assert DDFS().urls("tag://data:x") == urls
    assert contents("data:x") == [TEXT, TEXT, b"\xff", "é".encode()]
    assert [DDFS.blob_name(url) for [url] in urls] == ["a_file_txt", "named", "b", "c"]
    assert sorted(path_of(url) for [url] in urls) == sorted(blobs_on_disk(home))
    assert [found.n_bytes for found in find_inputs(["tag://data:x"])] == [
        len(TEXT),
        len(TEXT),
        1,
        2,
    ]


def test_pull_takes_the_blobs_whose_names_are_wanted_and_the_next_replica_where_one_is_lost():
    _, [[first], [second]] = DDFS().push(
        "x", [(io.BytesIO(b"1"), "first"), (io.BytesIO(b"2"), "second")]
    )
    DDFS().tag("y", [["/no/such/first", first], second])
    for file in DDFS().pull("y", blobfilter=lambda name: name == "first"):
        with file:
            assert file.read() == b"1"
    assert contents("y") == [b"1", b"2"]
    with serving({"/busy": page(status=404)}) as server:
        DDFS().tag("z", [[f"{server.url}/busy", first]])
        assert contents("z") == [b"1"]
    path_of(first).unlink()
    with pytest.raises(DataError, match="none of the replicas"):
        contents("y")


def test_a_push_that_fails_leaves_no_blob_and_no_tag(tmp_path, home):
    with pytest.raises(DataError, match="/no/such: No such file"):
        DDFS().push("x", [(io.BytesIO(b"1"), "a"), "/no/such"])
    assert blobs_on_disk(home) == []
    assert not DDFS().exists("x")


def test_update_leaves_out_what_is_in_the_tag_already(home):
    DDFS().push("x", [(io.BytesIO(b"1"), "a")])
    DDFS().tag("x", ["http://one/part"])
    DDFS().push("x", [(io.BytesIO(b"2"), "a"), (io.BytesIO(b"3"), "b")], update=True)
    assert contents_of_files("x") == [b"1", b"3"]
    assert len(blobs_on_disk(home)) == 2
    DDFS().tag("x", ["http://one/part", "http://two/part", DDFS().urls("x")[0]], update=True)
    assert [url for [url] in DDFS().urls("x") if url.startswith("http")] == [
        "http://one/part",
        "http://two/part",
    ]
    assert len(DDFS().urls("x")) == 4


def contents_of_files(tag):
    return [path_of(url).read_bytes() for [url] in DDFS().urls(tag) if url.startswith("file://")]


def test_chunks_are_cut_at_line_ends_and_hold_all_of_the_input(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    _, urls = DDFS().chunk("x", [["/no/such", str(path)]], chunk_size=10_000)
    pieces = contents("x")
    assert b"".join(pieces) == TEXT
    assert len(pieces) == len(urls) > 5
    assert all(piece.endswith(b"\n") and 10_000 <= len(piece) < 10_200 for piece in pieces[:-1])
    assert [DDFS.blob_name(url) for [url] in urls] == [
        f"text-{number}" for number in range(len(urls))
    ]
    DDFS().chunk("x", str(path), chunk_size=10_000, update=True)
    assert len(contents("x")) == len(urls)


@pytest.mark.parametrize("data", [b"", b"no end", b"\n", b"x" * 3_000_000 + b"\nrest", b"ab\n" * 4])
def test_chunks_of_odd_data_hold_it_all(data):
    DDFS().chunk("x", [_file(data)], chunk_size=3)
    pieces = contents("x")
    assert len(pieces) >= 1
    assert b"".join(pieces) == data
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])


def _file(data):
    path = Path(os.environ["KVPROTO_HOME"] + ".data")
    path.write_bytes(data)
    return str(path)


def test_urls_may_be_single_ones_lists_and_paths():
    DDFS().tag("x", ["a", ["b", Path("/c")]])
    DDFS().tag("x", "word")
    DDFS().tag("x", "word")
    assert DDFS().get(["tag://x"])["urls"] == [["a"], ["b", "/c"], ["word"], ["word"]]
    with pytest.raises(ValueError, match="the urls of a tag contain an empty list"):
        DDFS().tag("x", [[]])


def test_put_has_the_new_urls_alone_and_blobs_that_no_tag_lists_are_removed(home):
    _, [[lost], [kept], [shared]] = DDFS().push(
        "x", [(io.BytesIO(b"1"), name) for name in ("lost", "kept", "shared")]
    )
    DDFS().tag("other", [shared])
    DDFS().put("x", [[kept]])
    assert DDFS().urls("x") == [[kept]]
    assert sorted(blobs_on_disk(home)) == sorted([path_of(kept), path_of(shared)])
    assert not path_of(lost).exists()


def test_a_deleted_tag_takes_along_the_blobs_that_it_alone_lists(tmp_path, home):
    (tmp_path / "mine").write_bytes(b"not the store's")
    _, [[_own], [shared]] = DDFS().push(
        "x", [(io.BytesIO(b"1"), "own"), (io.BytesIO(b"2"), "shared")]
    )
    DDFS().tag("x", [str(tmp_path / "mine"), (tmp_path / "mine").as_uri()])
    DDFS().tag("other", [shared])
    [lost] = DDFS().push("x", [(io.BytesIO(b"3"), "lost")])[1][0]
    path_of(lost).unlink()
    DDFS().delete("tag://x")
    DDFS().delete("x")
    assert not DDFS().exists("x")
    assert blobs_on_disk(home) == [path_of(shared)]
    assert (tmp_path / "mine").exists()


def test_tags_are_there_or_not_and_are_listed_by_prefix():
    DDFS().tag("disco:test:tag", [["urls"]])
    assert DDFS().exists("tag://disco:test:tag") and DDFS().exists(["disco:test:tag"])
    assert (
        not DDFS().exists("disco:test:notag") and not DDFS().exists("") and not DDFS().exists("!!")
    )
    assert DDFS("disco://localhost").list("disco:test") == ["disco:test:tag"]
    assert DDFS().list("disco:test:not") == []
    with pytest.raises(NoSuchTag):
        DDFS().get("disco:test:notag")
    with pytest.raises(InvalidTag):
        DDFS().get("")


def test_attributes_are_set_looked_up_and_deleted():
    DDFS().setattr("x", "owner", {"name": "é"})
    DDFS().setattr("x", "n", 1)
    DDFS().tag("x", ["a"])
    assert DDFS().attrs("x") == {"owner": {"name": "é"}, "n": 1}
    assert DDFS().getattr("x", "owner") == {"name": "é"}
    DDFS().delattr("x", "owner")
    with pytest.raises(DataError, match="tag x has no attribute 'owner'; it has n"):
        DDFS().getattr("x", "owner")
    id = DDFS().get("x")["id"]
    DDFS().delattr("x", "owner")
    assert DDFS().get("x")["id"] == id
    with pytest.raises(NoSuchTag):
        DDFS().delattr("nowhere", "owner")


def test_attributes_of_the_original_itself_are_refused():
    with pytest.raises(DataError, match=r"ddfs:read-token: .* kvproto has no tokens") as caught:
        DDFS().setattr("x", "ddfs:read-token", "secret")
    assert caught.value.code == 404
    assert not DDFS().exists("x")


def test_a_change_that_changes_nothing_is_no_new_version():
    DDFS().tag("x", ["a"])
    id = DDFS().get("x")["id"]
    DDFS().tag("x", [])
    DDFS().tag("x", ["a"], update=True)
    DDFS().setattr("x", "n", 1)
    assert DDFS().get("x")["id"] == f"{id.rpartition('$')[0]}${int(id.rpartition('$')[2]) + 1}"
    DDFS().tag("empty", [])
    assert DDFS().get("empty")["urls"] == []


def test_what_is_pushed_twice_in_one_update_is_there_once():
    DDFS().push("x", [(io.BytesIO(b"1"), "a")])
    _made, urls = DDFS().push(
        "x", [(io.BytesIO(name), name.decode()) for name in (b"a", b"b", b"c", b"b")], update=True
    )
    assert len(urls) == 2
    assert sorted(contents("x")) == [b"1", b"b", b"c"]


@pytest.fixture
def graph():
    """top -> left, right, gone; left and right -> shared; shared -> top."""
    DDFS().tag("top", [["tag://left"], ["tag://right"], ["tag://gone"], ["t"]])
    DDFS().tag("left", ["tag://shared", "l"])
    DDFS().tag("right", ["tag://shared", ["r", "r2"]])
    DDFS().tag("shared", ["s", "tag://top"])


def test_the_graph_of_tags_is_walked_depth_first_and_does_not_go_round(graph):
    top, left, right, shared, gone = (
        f"tag://{name}" for name in ("top", "left", "right", "shared", "gone")
    )
    assert list(DDFS().walk("top")) == [
        ((top,), [left, right, gone], [["t"]]),
        ((top, left), [shared], [["l"]]),
        ((top, left, shared), [top], [["s"]]),
        ((top, right), [shared], [["r", "r2"]]),
        ((top, right, shared), [top], [["s"]]),
        ((top, gone), [], []),
    ]
    assert list(DDFS().blobs("top")) == [["t"], ["l"], ["s"], ["r", "r2"], ["s"]]
    assert [tag for tag, _, _ in DDFS().findtags("top")] == [top, left, right, gone, shared]
    for look in (DDFS().walk, DDFS().blobs, DDFS().findtags):
        with pytest.raises(NoSuchTag, match="tag gone"):
            list(look("top", ignore_missing=False))


def test_tags_of_another_machine_can_be_read_and_not_changed():
    inner = b'{"urls": [["http://x/blob"]]}'
    with serving(
        {"/ddfs/tag/a": page(b'{"urls": [["tag://b"]]}'), "/ddfs/tag/b": page(inner)}
    ) as server:
        host = server.url.removeprefix("http://")
        assert list(DDFS().blobs(f"tag://{host}/a")) == [["http://x/blob"]]
        assert DDFS().exists(f"tag://{host}/a")
        assert not DDFS().exists(f"tag://{host}/none")
        assert list(DDFS().blobs(f"tag://{host}/none")) == []
        for change in (
            DDFS().delete,
            lambda tag: DDFS().tag(tag, ["x"]),
            lambda tag: DDFS().put(tag, ["x"]),
        ):
            with pytest.raises(
                JobError, match=f"tag://{host}/a: a tag of another machine can only be read"
            ):
                change(f"tag://{host}/a")


def test_names_of_tags_in_their_forms():
    assert canonizetag("x") == canonizetag("tag://x") == canonizetag(["x", "y"]) == "tag://x"
    assert tagname("tag://x") == tagname("x") == tagname(f"tag://{socket.gethostname()}/x") == "x"
    assert istag("tag://x") and istag(["tag://x"]) and not istag("x") and not istag("http://x/tag")
    for wrong in ("", [], "a b"):
        with pytest.raises(InvalidTag):
            canonizetag(wrong)


@pytest.mark.documented("15 save: keeps the results as a tag")
def test_results_are_saved_in_the_order_given_and_stay_when_their_files_go(tmp_path):
    paths = []
    for name in ("result-1", "result-0"):
        (tmp_path / name).write_bytes(name.encode())
        paths.append(str(tmp_path / name))
    assert save_results("grep.Grep@2024", paths) == "tag://disco:results:grep_Grep@2024"
    inode = os.stat(paths[0]).st_ino
    [[first], _] = DDFS().urls("disco:results:grep_Grep@2024")
    assert path_of(first).stat().st_ino == inode
    for path in paths:
        os.unlink(path)
    assert contents("disco:results:grep_Grep@2024") == [b"result-1", b"result-0"]


def test_results_that_are_saved_again_take_the_place_of_those_before(tmp_path, home):
    (tmp_path / "result").write_bytes(b"one")
    for _ in range(2):
        assert DDFS().save("job", [str(tmp_path / "result")]) == "disco:results:job"
    assert contents("disco:results:job") == [b"one"]
    assert len(blobs_on_disk(home)) == 1


def test_results_on_another_file_system_are_copied(tmp_path, monkeypatch):
    def refuse(source, target):
        if str(source).endswith("result"):
            raise OSError(18, "Invalid cross-device link")
        return link(source, target)

    link = os.link
    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "result").write_bytes(b"one")
    save_results("job", [tmp_path / "result"])
    assert contents("disco:results:job") == [b"one"]


def test_results_that_cannot_be_saved_leave_nothing(tmp_path, home):
    (tmp_path / "result").write_bytes(b"one")
    with pytest.raises(DataError, match="reading /no/such: No such file"):
        save_results("job", [str(tmp_path / "result"), "/no/such"])
    assert blobs_on_disk(home) == []
    assert not DDFS().exists("disco:results:job")
