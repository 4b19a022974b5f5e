"""Objects of a store as inputs: by name, below a directory, by a pattern; whole or in ranges."""

import gzip
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import words
from support.object_store import proxy
from support.web_server import page, serving

from kvproto.classic import Job, result_iterator
from kvproto.classic.func import nop_map, sum_reduce
from kvproto.errors import DataError, JobError
from kvproto.inputs.schemes import find_inputs, open_input
from kvproto.storage.objects import ObjectStore

STORE = ObjectStore()
NAMES = [
    "b.txt",
    "a.txt",
    "in/c.txt",
    "in/deep/d.txt",
    "other/e.log",
    "with [brackets].txt",
    ".hidden",
    "in/.dir/x.txt",
    "in/c.txt~",
]


@pytest.fixture
def top(tmp_path):
    """The URL of a directory of objects."""
    for name in NAMES:
        STORE.put(f"memory:/{tmp_path}/{name}", name.encode())
    return f"memory:/{tmp_path}"


def found(url, top, tell=print):
    return [one.url.removeprefix(f"{top}/") for one in find_inputs([url], tell)]


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("a.txt", ["a.txt"]),
        ("with [brackets].txt", ["with [brackets].txt"]),
        (".hidden", [".hidden"]),
        ("in/", ["in/c.txt", "in/deep/d.txt"]),
        ("in", ["in/c.txt", "in/deep/d.txt"]),
        ("*.txt", ["a.txt", "b.txt", "with [brackets].txt"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("*/*.txt", ["in/c.txt"]),
        ("?n/**", ["in/c.txt", "in/deep/d.txt"]),
        ("**/d*", ["in/deep/d.txt"]),
        ("**/*.log", ["other/e.log"]),
        ("in/.*/*", ["in/.dir/x.txt"]),
    ],
)
def test_a_url_stands_for_the_objects_that_a_path_would_stand_for(url, names, top, tmp_path):
    assert found(f"{top}/{url}", top) == names
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    assert [
        one.url.removeprefix(f"{tmp_path}/") for one in find_inputs([f"{tmp_path}/{url}"], print)
    ] == names


def test_what_is_left_out_is_told(top):
    messages = []
    found(f"{top}/in/", top, messages.append)
    assert messages == [
        f"input {top}/in/: skipped 1 hidden files or directories: {top}/in/.dir; "
        f"1 editor backups: {top}/in/c.txt~"
    ]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("none", "there is no object of this name or below it"),
        ("none/", "there is no object below it"),
        ("*.none", "no object matches this pattern"),
        ("a.txt/../b", "it cannot be the name of an object"),
    ],
)
def test_a_url_at_which_there_is_nothing_is_an_error(url, text, top):
    with pytest.raises(DataError, match=f"input {top}/{url.replace('*', '.')}: {text}"):
        find_inputs([f"{top}/{url}"])


def test_an_input_knows_its_size(top):
    [one] = find_inputs([f"{top}/a.txt"])
    assert (one.n_bytes, one.seekable) == (5, True)
    file, size = open_input(one.url)
    with file:
        assert (file.read(), size) == (b"a.txt", 5)


@given(pieces=st.lists(st.sampled_from([b"\n", b"a", b"long line\n"])), cut=st.data())
def test_ranges_give_each_line_once(pieces, cut):
    data = b"".join(pieces)
    url = "memory://ranges/some"
    STORE.put(url, data)
    inner = cut.draw(st.lists(st.integers(0, len(data)), max_size=5))
    cuts = [0, *sorted(inner), len(data)]
    pieces = []
    for start, end in pairwise(cuts):
        file, size = open_input(url, start, end)
        with file:
            pieces.append(file.read())
        assert size == len(pieces[-1])
    assert b"".join(pieces) == data
    assert all(piece.endswith(b"\n") for piece in pieces[:-1] if piece and data[-1:] == b"\n")


def test_an_object_that_is_shorter_than_it_was_is_an_error(top):
    with pytest.raises(DataError, match="was cut short after the job began: it has 5 bytes"):
        open_input(f"{top}/a.txt", 3, 9)


# --- in jobs -----------------------------------------------------------------------------------


def counts(**jobargs):
    return dict(result_iterator(Job("objects").run(reduce=sum_reduce, **jobargs).wait()))


def test_a_large_object_is_read_in_ranges_by_several_tasks(bucket, s3_address, monkeypatch):
    line = b"one two three\n"
    STORE.put(f"{bucket}/logs/large", line * 300_000)
    STORE.put(f"{bucket}/logs/small.gz", gzip.compress(line * 1000))
    with proxy(s3_address, lambda *request: None) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        job = Job("large").run(
            input=[f"{bucket}/logs/*"], map=words, reduce=sum_reduce, processes=2
        )
        assert dict(result_iterator(job.wait())) == dict.fromkeys(["one", "two", "three"], 301_000)
        n_tasks = next(event for _, event in job.events() if event["event"] == "stage")["tasks"]
        assert n_tasks > 3
        reads = [path for method, path in server.requests if method == "GET" and "large" in path]
        assert len(reads) < 5 * n_tasks


def test_results_in_a_store_and_replicas_are_inputs_too(bucket):
    STORE.put(f"{bucket}/text", b"a b a\n")
    assert counts(input=[[f"{bucket}/none", f"{bucket}/text"]], map=words) == {"a": 2, "b": 1}


def test_an_object_that_is_gone_when_its_task_reads_it_is_an_error_that_names_it(bucket):
    STORE.put(f"{bucket}/text", b"a b a\n")

    def init(iter, params):
        ObjectStore().remove(params)

    with pytest.raises(JobError, match=f"input {bucket}/text: there is no such object"):
        counts(
            input=["raw://x", f"{bucket}/text"],
            map=nop_map,
            map_init=init,
            params=f"{bucket}/text",
            processes=1,
        )


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("s3://none/x", "input s3://none/x: there is no bucket none at http://"),
        ("s3://", "input s3://: the URL has no bucket: write s3://BUCKET/NAME"),
        ("s4://x/y", "s4://x/y: there is no scheme s4://; use a path or one of .* s3://"),
    ],
)
def test_an_input_that_cannot_be_found_is_an_error_before_the_job(url, text, bucket):
    with pytest.raises(DataError, match=text):
        Job("none").run(input=[url], map=words)


@pytest.mark.parametrize("path", ["/ddfs/tag/some", "/index"])
def test_a_list_of_another_machine_does_not_name_objects(path, bucket):
    documents = {
        "/ddfs/tag/some": page(
            json.dumps(
                {
                    "version": 1,
                    "id": "some$1",
                    "last-modified": "2026/01/01 00:00:00",
                    "urls": [[f"{bucket}/x"]],
                    "user-data": {},
                }
            ).encode()
        ),
        "/index": page(f"0 {bucket}/x 1\n".encode()),
    }
    with (
        serving(documents) as server,
        pytest.raises(DataError, match="must not name an object, to read with your credentials"),
    ):
        url = f"{server.url}{path}" if "tag" in path else f"dir://{server.url[7:]}{path}"
        find_inputs([url])
