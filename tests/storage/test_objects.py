"""Files of this machine and objects of a store behave alike, as `Store` says; an error of an object
store names the URL and says what to do.
"""

import io
import os
import signal
import sys
import threading

import pytest
from support.object_store import one_in_ten, proxy, uploads

from kvproto.errors import DataError, JobError
from kvproto.storage.objects import ObjectStore
from kvproto.storage.store import store_of

DATA = bytes(range(256)) * 4096 * 20  # 20 MiB: an upload in three parts


@pytest.fixture(params=["local", "memory", "s3"])
def place(request, tmp_path):
    """A directory of a store."""
    if request.param == "local":
        (tmp_path / "store").mkdir()
        return str(tmp_path / "store")
    if request.param == "memory":
        return f"memory://{tmp_path}"
    return request.getfixturevalue("bucket") + "/some/place"


def written(path, *pieces):
    with store_of(path).create(path) as file:
        for piece in pieces:
            file.write(piece)
        file.publish()
    return path


def all_of(path, start=0, n_bytes=None):
    with io.BufferedReader(store_of(path).open_range(path, start, n_bytes)) as file:
        return file.read() if n_bytes is None else file.read(n_bytes)


def test_a_file_is_there_when_it_is_published(place):
    store, path = store_of(place), f"{place}/new"
    with store.create(path) as file:
        file.write(b"one ")
        file.write(memoryview(b"two"))
        assert "new" not in store.names(place)
        file.publish()
    assert all_of(path) == b"one two" and store.status(path).n_bytes == 7
    assert store.names(place) == ["new"]


@pytest.mark.parametrize("data", [b"small", DATA])
def test_a_file_that_is_not_published_never_appears(place, data, s3_address):
    with store_of(place).create(f"{place}/new") as file:
        file.write(data)
    assert store_of(place).names(place) == []
    if place.startswith("s3:"):
        assert uploads(s3_address, place.removesuffix("/some/place")) == 0


def test_a_large_file_comes_back_as_it_was_though_its_writer_reuses_the_buffer(place):
    room = bytearray(3 << 20)
    with store_of(place).create(f"{place}/large") as file:
        for start in range(0, len(DATA), len(room)):
            n_bytes = len(DATA[start : start + len(room)])
            room[:n_bytes] = DATA[start : start + n_bytes]
            file.write(memoryview(room)[:n_bytes])
        room[:] = bytes(len(room))
        file.publish()
    assert all_of(f"{place}/large") == DATA


def test_ranges_and_an_empty_file(place):
    path, empty = written(f"{place}/some", b"0123456789"), written(f"{place}/empty")
    assert [all_of(path, *part) for part in [(0, 3), (4, 3), (4, None), (8, 5), (10, 3)]] == [
        b"012",
        b"456",
        b"456789",
        b"89",
        b"",
    ]
    assert [all_of(empty), all_of(empty, 0, 5)] == [b"", b""]
    with io.BufferedReader(store_of(path).open_range(path)) as file:
        assert [file.read(2), file.seek(-3, 2), file.read(), file.seek(1), file.read(2)] == [
            b"01",
            7,
            b"789",
            1,
            b"12",
        ]


def test_small_files_are_put_replaced_and_put_only_if_they_are_new(place):
    store, path = store_of(place), f"{place}/small"
    store.put(path, b"1")
    first = store.status(path)
    store.put(path, b"22")
    assert store.get(path) == b"22" and store.status(path).version != first.version
    assert [store.put_new(path, b"3"), store.put_new(path, b"22")] == [False, True]
    assert store.put_new(f"{place}/other", b"") and store.get(f"{place}/other") == b""


def test_names_are_of_the_directory_alone_and_all_below_it_is_removed(place):
    store = store_of(place)
    if place.startswith("/"):  # objects need no directories
        os.mkdir(f"{place}/inner")
    for name in ("b", "a", "inner/c"):
        store.put(f"{place}/{name}", b"x")
    assert sorted(set(store.names(place)) - {"inner"}) == ["a", "b"]
    store.remove(f"{place}/a")
    assert sorted(set(store.names(place)) - {"inner"}) == ["b"]
    store.remove_tree(place)
    with pytest.raises(FileNotFoundError):
        store.get(f"{place}/inner/c")
    store.remove_tree(place)


def test_a_file_that_is_missing_is_an_error_that_names_it(place):
    path = f"{place}/none"
    for ask in (store_of(place).get, store_of(place).status, all_of):
        with pytest.raises(FileNotFoundError) as caught:
            ask(path)
        assert caught.value.filename == path and caught.value.strerror


# --- objects alone -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1"},
            "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or ",
        ),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            "the connection to http://127.0.0.1:1 failed: Connection refused; check "
            "AWS_ENDPOINT_URL and the network",
        ),
        (
            {"AWS_ENDPOINT_URL": "https://{}"},
            "the connection to https://{} failed.*; check AWS_ENDPOINT_URL and the network",
        ),
    ],
)
def test_a_store_that_cannot_be_used_says_what_to_set(
    change, text, bucket, s3_address, monkeypatch
):
    host = s3_address.removeprefix("http://")
    monkeypatch.setenv("HOME", "/nonexistent")
    for name, value in change.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value.format(host))
    with pytest.raises(OSError, match=text.format(host)) as caught:
        ObjectStore().check(f"{bucket}/x")
    assert caught.value.filename == f"{bucket}/x"


def test_a_bucket_that_does_not_exist_is_named_with_its_server(bucket, s3_address):
    text = f"there is no bucket none at {s3_address}: create it, or correct the URL"
    with pytest.raises(OSError, match=text):
        ObjectStore().check("s3://none/x")
    with (
        pytest.raises(DataError, match=f"writing s3://none/x: {text}"),
        store_of("s3://none/x").create("s3://none/x") as file,
    ):
        file.publish()
    with pytest.raises(OSError, match="the URL has no bucket: write s3://BUCKET/NAME"):
        store_of("s3://").get("s3:///x")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((403, "AccessDenied"), r"access was denied \(AccessDenied\): the credentials need the"),
        ((403, "InvalidAccessKeyId"), "the server does not accept the credentials"),
        ((301, "PermanentRedirect"), "is in another region: set AWS_REGION"),
        ((507, "XMinioStorageFull"), r"the object store is full \(XMinioStorageFull\)"),
        ((400, "Odd"), r"the server answered 400 Bad Request \(Odd\)"),
    ],
)
def test_what_the_server_answers_becomes_a_text_that_says_what_to_do(
    answer, text, bucket, s3_address, monkeypatch
):
    with proxy(s3_address, lambda *request: answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(OSError, match=text):
            ObjectStore().check(f"{bucket}/x")


def test_without_the_library_an_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setenv("AWS_REGION", "without-library")
    with pytest.raises(JobError, match=r"pip install 'kvproto\[object-store\]'"):
        store_of("s3://some/x").get("s3://some/x")


def test_keys_of_a_profile_are_used(bucket, tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "other")
    (tmp_path / "config").write_text("[profile other]\nregion = eu-west-1\n")
    (tmp_path / "credentials").write_text(
        "[other]\naws_access_key_id = key\naws_secret_access_key = secret\n"
    )
    store_of(bucket).put(f"{bucket}/x", b"1")
    assert store_of(bucket).get(f"{bucket}/x") == b"1"


def test_a_fork_of_a_process_that_used_a_store_does_not_wait_for_ever(bucket):
    store_of(bucket).put(f"{bucket}/x", b"1")
    pid = os.fork()
    if not pid:
        signal.alarm(20)
        try:
            store_of(bucket).get(f"{bucket}/x")
        except JobError as e:
            os._exit(3 if "this process is a fork" in str(e) else 4)
        os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_one_request_in_ten_may_fail(bucket, s3_address, monkeypatch):
    with proxy(s3_address, one_in_ten) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        store = store_of(bucket)
        for number in range(30):
            store.put_new(f"{bucket}/small/{number}", b"%d" % number)
        written(f"{bucket}/large", DATA)
        assert sorted(store.names(f"{bucket}/small"), key=int) == [str(n) for n in range(30)]
        assert all_of(f"{bucket}/large") == DATA
        assert [store.get(f"{bucket}/small/{number}") for number in range(30)] == [
            b"%d" % number for number in range(30)
        ]
        assert len(server.requests) > 70


def test_an_answer_that_breaks_is_resumed(bucket, s3_address, monkeypatch):
    written(f"{bucket}/large", DATA)

    def fails(number, method, path):
        return "cut" if method == "GET" and number < 4 else None

    with proxy(s3_address, fails) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        assert all_of(f"{bucket}/large") == DATA
        assert len(server.requests) >= 4


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(bucket, s3_address, monkeypatch):
    path = written(f"{bucket}/large", DATA)
    with store_of(path).open_range(path) as file:
        assert file.read(10) == DATA[:10]
        written(path, b"other", DATA)
        file.seek(15 << 20)
        with pytest.raises(OSError, match="the object was replaced while it was read"):
            file.read(1)


def test_the_next_ranges_are_requested_while_one_is_read(bucket, s3_address, monkeypatch):
    written(f"{bucket}/some", bytes(range(100)))
    together = threading.Barrier(3)

    def fails(number, method, path):
        if method == "GET":
            together.wait(30)  # three requests at a time, or none

    with proxy(s3_address, fails) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        ranges = [(f"{bucket}/some", start, 10) for start in range(0, 60, 10)]
        data = b"".join(file.read(10) for file in ObjectStore().open_ranges(ranges))
    assert data == bytes(range(60))


def test_ranges_are_those_of_each_file_and_one_that_is_missing_is_an_error(place):
    paths = [written(f"{place}/{number}", bytes([number]) * 9) for number in range(20)]
    ranges = [(path, 2, 5) for path in paths]
    pieces = []
    for file in store_of(place).open_ranges(ranges):
        with file:
            pieces.append(file.read(5))
    assert pieces == [bytes([number]) * 5 for number in range(20)]
    with pytest.raises(FileNotFoundError) as caught:
        for file in store_of(place).open_ranges([*ranges[:3], (f"{place}/none", 0, 5)]):
            file.close()
    assert caught.value.filename == f"{place}/none"


def test_a_whole_bucket_is_never_removed(bucket):
    written(f"{bucket}/some", b"1")
    for url in (bucket, f"{bucket}/"):
        with pytest.raises(OSError, match="a whole bucket is never removed"):
            ObjectStore().remove_tree(url)
    assert all_of(f"{bucket}/some") == b"1"


def test_a_small_object_is_requested_once_wherever_it_is_read(bucket, s3_address, monkeypatch):
    written(f"{bucket}/some", bytes(range(200)))
    with proxy(s3_address, lambda *request: None) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with io.BufferedReader(store_of(bucket).open_range(f"{bucket}/some")) as file:
            assert file.read(3) == bytes(range(3))
            assert file.seek(-2, os.SEEK_END) == 198 and file.read() == bytes([198, 199])
            assert file.seek(50) == 50 and file.read(2) == bytes([50, 51])
            assert file.seek(300) == 300 and file.read() == b""
        assert [method for method, _ in server.requests] == ["GET"]
