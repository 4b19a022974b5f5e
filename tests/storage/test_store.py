"""Spool files, result files and manifests need of a store what `Store` says, and no more."""

import io

import pytest

from kvproto.errors import DataError
from kvproto.storage.manifest import keep_map_results, names_of
from kvproto.storage.records import FRAMES, pack_frames
from kvproto.storage.results import ResultWriters, read_result_stream
from kvproto.storage.spool import SpoolWriter, read_segment


class InMemory:
    """A store that is a dict: path -> bytes."""

    def __init__(self):
        self.files = {}
        self.ranges = []

    def create(self, path):
        return Being(self, path)

    def open_range(self, path, start=0, n_bytes=None):
        self.ranges.append((path, start, n_bytes))
        try:
            return io.BytesIO(self.files[path][start:][:n_bytes])
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None

    def names(self, directory):
        return [path.rpartition("/")[2] for path in self.files if path.startswith(f"{directory}/")]

    def remove(self, path):
        del self.files[path]


class Being:
    """A file that is being written."""

    def __init__(self, store, path):
        self.path, self._store, self._data = path, store, bytearray()

    def write(self, data):
        self._data += data

    def publish(self, *, on_disk=False):
        self._store.files[self.path] = bytes(self._data)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass


@pytest.fixture
def store():
    return InMemory()


def test_a_segment_is_a_range_of_its_file(store):
    with SpoolWriter("job/map-0", 2, store=store) as writer:
        writer.write(1, b"second", 1)
        writer.write(0, b"first", 1)
        segments = writer.publish()
    assert store.files == {"job/map-0": b"firstsecond"}
    assert [b"".join(read_segment(segment, store)) for segment in segments] == [
        b"first",
        b"second",
    ]
    assert store.ranges == [("job/map-0", 0, 5), ("job/map-0", 5, 6)]
    store.remove("job/map-0")
    with pytest.raises(DataError, match="reading job/map-0: No such file"):
        list(read_segment(segments[0], store))


def test_a_result_file_is_there_when_it_is_published(store):
    with ResultWriters(["r0", "r1"], FRAMES, store=store) as writer:
        writer.write(1, pack_frames([("k", "v")], 0), 1)
        assert store.files == {}
        writer.publish()
    assert [list(read_result_stream(store.open_range(name), name)) for name in ("r0", "r1")] == [
        [],
        [(b"k", b"v")],
    ]


def test_what_the_maps_wrote_is_copied_within_the_store_with_a_manifest(store):
    with SpoolWriter("job/spool/map-0", 1, store=store) as writer:
        writer.write(0, pack_frames([("k", "v")], 0), 1)
        [segment] = writer.publish()
    keep_map_results("job/map-results", [[segment]], FRAMES, store)
    assert sorted(store.files) == [
        "job/map-results.jsonl",
        "job/map-results/map-00000",
        "job/spool/map-0",
    ]
    assert names_of("job/map-results", store) == ["map-00000"]
