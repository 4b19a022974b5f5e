"""Spool files, result files and manifests are the same in a directory and in an object store."""

import pytest

from kvproto.errors import DataError
from kvproto.storage.manifest import keep_map_results, names_of
from kvproto.storage.records import FRAMES, pack_frames
from kvproto.storage.results import ResultWriters, read_result_stream
from kvproto.storage.spool import SpoolWriter, read_segments
from kvproto.storage.store import store_of


@pytest.fixture(params=["files", "memory"])
def job(request, tmp_path):
    """The address of a job."""
    for name in ("spool", "map-results"):
        (tmp_path / "job" / name).mkdir(parents=True)
    return f"{tmp_path}/job" if request.param == "files" else f"memory://{tmp_path}/job"


def test_a_segment_is_a_range_of_its_file(job):
    path = f"{job}/spool/map-0"
    with SpoolWriter(path, 2) as writer:
        writer.write(1, b"second", 1)
        writer.write(0, b"first", 1)
        segments = writer.publish().segments()
    assert store_of(path).get(path) == b"firstsecond"
    assert [b"".join(read_segments([segment])) for segment in segments] == [b"first", b"second"]
    store_of(path).put(path, b"firstsec")
    with pytest.raises(DataError, match=f"spool file {path} is cut short: 3 of the 6 bytes"):
        list(read_segments(segments[1:]))
    store_of(path).put(path, b"firstsecomd")
    with pytest.raises(DataError, match=f"spool file {path} is damaged: the checksum"):
        list(read_segments(segments[1:]))
    store_of(path).remove(path)
    with pytest.raises(
        DataError, match=f"spool file {path} does not exist.* removed it.*; run the job"
    ):
        list(read_segments(segments[:1]))


@pytest.mark.parametrize("n_files", [2, 70])
def test_a_result_file_is_there_when_it_is_published(job, n_files):
    paths = [f"{job}/spool/r{number}" for number in range(n_files)]
    with ResultWriters(paths, FRAMES) as writer:
        writer.write(1, pack_frames([("k", "v")], 0), 1)
        assert not [name for name in store_of(job).names(f"{job}/spool") if name in ("r0", "r1")]
        writer.publish()
    assert len(store_of(job).names(f"{job}/spool")) == n_files
    pairs = []
    for path in paths[:2]:
        with store_of(job).open_range(path) as file:
            pairs.append(list(read_result_stream(file, path)))
    assert pairs == [[], [(b"k", b"v")]]


def test_what_the_maps_wrote_is_copied_within_the_store_with_a_manifest(job):
    with SpoolWriter(f"{job}/spool/map-0", 1) as writer:
        writer.write(0, pack_frames([("k", "v")], 0), 1)
        [segment] = writer.publish().segments()
    keep_map_results(f"{job}/map-results", [[segment]], FRAMES)
    assert store_of(job).names(f"{job}/map-results") == ["map-00000"]
    assert names_of(f"{job}/map-results") == ["map-00000"]
