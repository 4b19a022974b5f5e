"""Tags, indexes and addresses of nodes as inputs: what they stand for, here and on
another machine.
"""

import bz2
import gzip
import json
import socket

import pytest
from support.web_server import page, serving

from kvproto.classic import result_iterator
from kvproto.errors import DataError, JobError
from kvproto.inputs.schemes import find_inputs, open_input
from kvproto.storage.tags import TagStore


def tag(name, urls):
    TagStore().update(name, lambda document: document["urls"].extend(urls))


def document(urls):
    """A tag as a server gives it."""
    return page(
        json.dumps(
            {"version": 1, "id": "x$1", "last-modified": "", "urls": urls, "user-data": {}}
        ).encode()
    )


@pytest.fixture
def files(tmp_path):
    """The paths of three files."""
    paths = [tmp_path / name for name in ("a", "b", "c c")]
    for path in paths:
        path.write_bytes(path.name.encode() * 10)
    return [str(path) for path in paths]


def urls(*inputs):
    return [found.url for found in find_inputs(inputs)]


@pytest.mark.documented("3 input: tag:// is a stored tag")
def test_a_tag_is_the_inputs_that_it_lists_with_their_replicas(files):
    a, b, c = files
    tag("data:log", [[a], [b, "/no/such", c]])
    assert [one[:5] for one in find_inputs(["tag://data:log"])] == [
        (a, 10, True, (), None),
        (b, 10, False, (c,), None),
    ]
    assert urls(f"tag://{socket.gethostname()}/data:log") == urls("tag:///data:log") == [a, b]


def test_a_tag_in_a_tag_is_what_that_one_lists_and_each_tag_counts_once(files):
    a, b, c = files
    tag("left", [["tag://shared"], [b], ["tag://top"]])
    tag("right", [["tag://shared"], [c]])
    tag("shared", [[a], ["tag://shared"]])
    tag("top", [["tag://left"], ["tag://right"]])
    assert urls("tag://top") == [a, b, c]
    assert urls("tag://top", "tag://shared") == [a, b, c, a]


def test_what_is_wrong_with_a_tag_is_an_error_that_names_it(files):
    tag("gone", [["/no/such"]])
    tag("missing", [["tag://nothing"]])
    tag("odd", [["tag://gone", files[0]]])
    for url, says in {
        "tag://nothing": "tag nothing: there is no tag of this name in .*/ddfs/tag",
        "tag://missing": "tag nothing: there is no tag",
        "tag://gone": "tag gone: input /no/such: No such file",
        "tag://odd": "tag odd: a tag cannot be a replica: tag://gone, /",
        "tag://localhost/a name": "a name: not the name of a tag",
        "tag://": "tag://: not the name of a tag",
    }.items():
        with pytest.raises(DataError, match=says):
            find_inputs([url])


def test_a_tag_of_another_machine_is_fetched_and_so_are_the_tags_in_it(files):
    pages = {
        "/ddfs/tag/outer": document([["tag://inner"], ["raw://data"]]),
        "/blob": page(b"over the web"),
    }
    with serving(pages) as server:
        circle = f"{server.url}/ddfs/tag/outer"
        pages["/ddfs/tag/inner"] = document(
            [[f"{server.url}/no", f"{server.url}/blob"], ["tag://outer"], [circle]]
        )
        tag("outer", [[files[2]]])  # of the same name, here, and not meant
        for url in (
            f"{server.url}/ddfs/tag/outer",
            f"tag://{server.url.removeprefix('http://')}/outer",
        ):
            web, raw = find_inputs([url])
            assert (web.url, web.replicas) == (f"{server.url}/no", (f"{server.url}/blob",))
            assert raw.url == "raw://data"


HERE = [
    "{}",
    "file://{}",
    "FILE://localhost{}",
    "disco://{}",
    "dir://{}",
    "tag:///x",
    "tag://localhost/x",
    "TAG:///x",
]


@pytest.mark.parametrize("here", HERE)
def test_another_machine_names_nothing_of_this_one(files, here):
    tag("x", [[files[0]]])
    (here,) = [here.format(files[0])]
    pages = {
        "/ddfs/tag/one": document([[here]]),
        "/ddfs/tag/replica": document([["http://127.0.0.1/x", here]]),
    }
    pages["/index"] = page(f"0 {here} 10\n".encode())
    with serving(pages) as server:
        urls = [f"{server.url}/ddfs/tag/one", f"{server.url}/ddfs/tag/replica"]
        if "://" in here:  # without a scheme it is relative to the index
            urls.append(f"dir://{server.url.removeprefix('http://')}/index")
        for url in urls:
            with pytest.raises(DataError, match="a list of another machine must not name data"):
                find_inputs([url])


def test_an_index_of_another_machine_names_no_tag_of_this_one(files):
    tag("x", [[files[0]]])
    with (
        serving({"/index": page(b"0 tag://x 10\n")}) as server,
        pytest.raises(DataError, match="'tag://x': a list of another machine"),
    ):
        find_inputs([f"dir://{server.url.removeprefix('http://')}/index"])


def test_addresses_that_lead_in_a_circle_are_an_error_and_tags_nested_deeply_are_not(
    files, tmp_path
):
    (tmp_path / "index").write_text(f"0 dir://{tmp_path}/other 1\n")
    (tmp_path / "other").write_text(f"0 dir://{tmp_path}/index 1\n")
    with pytest.raises(DataError, match="is there a circle"):
        find_inputs([f"dir://{tmp_path}/index"])
    for number in range(50):
        tag(f"deep-{number}", [[f"TAG://deep-{number + 1}"]])
    tag("deep-50", [[files[0]], ["tag://deep-0"]])
    assert urls("tag://deep-0") == [files[0]]


@pytest.mark.parametrize(
    "given", [b"<html>", b"[]", b"{}", b'{"urls": ["a"]}', b'{"urls": [[]]}', b'{"urls": [[7]]}']
)
def test_what_is_no_tag_on_the_web_is_an_error_that_names_the_address(given):
    with serving({"/ddfs/tag/x": page(given)}) as server:
        with pytest.raises(DataError, match=f"{server.url}/ddfs/tag/x: not the document of a tag"):
            find_inputs([f"{server.url}/ddfs/tag/x"])
        with pytest.raises(DataError, match=f"input {server.url}/ddfs/tag/y: .*404"):
            find_inputs([f"{server.url}/ddfs/tag/y"])


def test_results_are_read_from_the_replica_that_there_is(files):
    with serving({}) as server:
        tag("x", [[f"{server.url}/none", files[0]]])
        assert list(result_iterator(["tag://x"], reader=None)) == ["a" * 10]


@pytest.mark.documented("3 input: dir:// is an index of results")
def test_an_index_gives_each_input_its_label_and_size(files, tmp_path):
    a, _, c = files
    index = tmp_path / "index"
    index.write_text(f"0 {a} 10\n3 b 10\n1 file://{tmp_path}/c%20c 30\n0 c c 30\n")
    expected = [
        (a, 10, True, (), 0),
        (files[1], 10, True, (), 3),
        (c, 30, True, (), 1),
        (c, 30, True, (), 0),
    ]
    for url in (f"dir://{index}", f"dir://localhost{index}"):
        assert [one[:5] for one in find_inputs([url])] == expected


def test_an_index_on_the_web_may_be_compressed_and_its_urls_are_relative_to_it(files):
    index = gzip.compress(b"2 part-0 7\n0 /top 9\n1 http://127.0.0.1/x 5\n")
    pages = {"/job/index": page(index), "/job/part-0": page(b"content")}
    with serving(pages) as server:
        found = find_inputs([f"dir://{server.url.removeprefix('http://')}/job/index"])
        assert [one[:5] for one in found] == [
            (f"{server.url}/job/part-0", 7, False, (), 2),
            (f"{server.url}/top", 9, False, (), 0),
            ("http://127.0.0.1/x", 5, False, (), 1),
        ]
        with open_input(found[0].url)[0] as file:
            assert file.read() == b"content"


@pytest.mark.parametrize(
    "line, says",
    [
        ("b 10", "'b 10' is not `label url size`"),
        ("0 b ten", "is not `label url size`"),
        ("-1 b 10", "is not `label url size`"),
        ("", "'' is not `label url size`"),
        ("٣ b 10", "is not `label url size`"),
        (f"0 b {'9' * 5000}", "is not `label url size`"),
        ("0 b\0b 10", "a path cannot contain a zero byte"),
        ("0 none 10", "input .*/none: No such file"),
        ("0 b 11", "b has 10 bytes, not 11"),
        ("0 . 10", "names 4 inputs, but a line must name one"),
    ],
)
def test_a_line_that_is_wrong_is_named_with_its_index(files, tmp_path, line, says):
    index = tmp_path / "index"
    index.write_text(f"0 a 10\n{line}\n")
    with pytest.raises(DataError, match=f"index {index}, line 2: .*{says}"):
        find_inputs([f"dir://{index}"])


def test_an_index_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "index").write_bytes(gzip.compress(b"0 a 10\n")[:-9])
    cases = {
        "dir:///no/index": "index /no/index: No such file",
        f"dir://{tmp_path}/index": f"index {tmp_path}/index: ",
    }
    for url, says in cases.items():
        with pytest.raises(DataError, match=says):
            find_inputs([url])


def test_a_compressed_document_says_what_it_is(tmp_path):
    (tmp_path / "index").write_bytes(bz2.compress(b"0 raw://x 1\n"))
    with pytest.raises(DataError, match=f"index {tmp_path}/index: is compressed with bzip2"):
        find_inputs([f"dir://{tmp_path}/index"])
    tag = gzip.compress(b'{"urls": []}')
    with (
        serving({"/ddfs/tag/x": page(tag, Content_Encoding="gzip")}) as server,
        pytest.raises(DataError, match=f"{server.url}/ddfs/tag/x: is compressed with gzip"),
    ):
        find_inputs([f"{server.url}/ddfs/tag/x"])


@pytest.mark.documented("3 input: disco:// is a file of a node")
def test_an_address_of_a_node_is_a_file_here_and_the_web_elsewhere(files):
    a = files[0]
    assert urls(f"disco://{a}", f"disco://localhost{a}", f"disco://{socket.gethostname()}{a}") == [
        a,
        a,
        a,
    ]
    assert urls("disco://elsewhere/x/y") == ["http://elsewhere:8989/x/y"]
    assert urls("disco://localhost:81/x") == ["http://localhost:81/x"]
    with open_input(f"disco://{a}")[0] as file:
        assert file.read() == b"a" * 10
    with serving({"/x": page(b"over the web")}) as server:
        node = server.url.removeprefix("http://")
        assert urls(f"disco://{node}/x") == [f"{server.url}/x"]
        with open_input(f"disco://{node}/x")[0] as file:
            assert file.read() == b"over the web"


def test_an_address_without_a_path_or_with_a_wrong_port_is_refused():
    for url in ("disco://host", "dir://host"):
        with pytest.raises(DataError, match=f"input {url}: has no path"):
            find_inputs([url])
    with pytest.raises(DataError, match="input disco://host:port/x: its port is not a number"):
        find_inputs(["disco://host:port/x"])


@pytest.mark.parametrize("url", ["tag://name", "dir:///index"])
def test_what_stands_for_other_inputs_cannot_be_opened_itself(url):
    with pytest.raises(JobError, match=f"input {url}: names other inputs"):
        open_input(url)
