"""Output that is dealt to partitions; input that goes from a file to the worker without a copy."""

import os
from zlib import crc32

import pytest
from support.scripts import PAIRS, script

from kvproto import ExternalProgram, decode_pairs, encode_pairs
from kvproto.driver.source import FileRange
from kvproto.errors import DataError, WorkerExitedEarly, WorkerOutputError
from kvproto.storage.spool import SpoolWriter, segment_ranges

MANY = [(b"%d" % index, b"v" * (index % 50)) for index in range(100_000)]


def dealt(worker, mode, frames, n_partitions):
    parts, counts = [bytearray() for _ in range(n_partitions)], [0] * n_partitions

    def write(partition, data, n_pairs):
        parts[partition] += data
        counts[partition] += n_pairs

    worker.deal_frames(mode, frames, n_partitions, write)
    return [decode_pairs(bytes(part)) for part in parts], counts


@pytest.mark.parametrize("mode", ["map", "reduce"])
@pytest.mark.parametrize("n_partitions", [1, 3])
def test_each_pair_of_a_worker_goes_to_its_partition(identity, private, mode, n_partitions):
    with ExternalProgram([identity]) as worker:
        parts, counts = dealt(worker, mode, [encode_pairs(MANY)], n_partitions)
    assert counts == [len(part) for part in parts]
    assert parts == [
        [pair for pair in MANY if crc32(pair[0]) % n_partitions == index]
        for index in range(n_partitions)
    ]


def test_output_that_breaks_the_framing_is_the_same_error_when_it_is_dealt(tmp_path, private):
    code = (
        "import sys; sys.stdin.buffer.read(); sys.stdout.buffer.write(b'\\1\\0\\0\\0\\3\\0\\0\\0k')"
    )
    with ExternalProgram([script(tmp_path, code)]) as worker:
        with pytest.raises(WorkerOutputError) as dealing:
            dealt(worker, "reduce", [encode_pairs(PAIRS)], 2)
        with pytest.raises(WorkerOutputError) as passing:
            list(worker.reduce_frames([encode_pairs(PAIRS)]))
    assert dealing.value.what == passing.value.what
    assert "inside the key at byte 8" in dealing.value.what


@pytest.fixture
def segment(tmp_path):
    """A segment of several ranges of a spool file."""
    data = encode_pairs(MANY)
    with SpoolWriter(str(tmp_path / "map-0"), 2) as writer:
        for start in range(0, len(data), 1 << 20):
            writer.write(0, data[start : start + (1 << 20)], 0)
            writer.write(1, bytes(1 << 20), 0)
        return writer.publish().segments()[0]


def test_a_segment_goes_to_a_worker_as_it_is(identity, private, segment):
    assert len(segment.ranges) > 2
    with ExternalProgram([identity]) as worker:
        frames = b"".join(worker.reduce_frames(segment_ranges([segment])))
    assert frames == encode_pairs(MANY)


def test_a_segment_with_one_changed_bit_is_an_error_and_no_success(identity, private, segment):
    with open(segment.path, "r+b") as file:
        file.seek(4)
        file.write(b"\1")
    with (
        ExternalProgram([identity]) as worker,
        pytest.raises(DataError, match=rf"spool file {segment.path} is damaged: the checksum"),
    ):
        dealt(worker, "reduce", segment_ranges([segment]), 1)


def test_a_segment_that_is_cut_short_is_an_error_and_no_success(identity, private, segment):
    start, n_bytes = segment.ranges[-1]
    os.truncate(segment.path, start + n_bytes - 5)
    n_all = segment.n_bytes
    with (
        ExternalProgram([identity]) as worker,
        pytest.raises(DataError, match=f"is cut short: 5 of the {n_all} bytes from offset 0 on"),
    ):
        dealt(worker, "reduce", segment_ranges([segment]), 1)


def test_how_much_of_a_range_the_worker_has_not_read_is_counted(tmp_path, private, segment):
    code = "import os; os.read(0, 2); os.read(0, 1000)"
    with (
        ExternalProgram([script(tmp_path, code)], params="xy") as worker,
        pytest.raises(WorkerExitedEarly) as caught,
    ):
        dealt(worker, "reduce", segment_ranges([segment]), 1)
    assert caught.value.n_sent - caught.value.n_unread in (2, 1002)
    assert caught.value.n_sent > 1000


@pytest.fixture
def data_file(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"0123456789")
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_part_of_a_range_is_moved_to_a_pipe(data_file):
    read_end, write_end = os.pipe()
    left = FileRange(data_file, 2, 7)[1:]
    assert len(left) == 6
    assert left.write_to(write_end) == 6
    assert os.read(read_end, 100) == b"345678"
    for fd in (read_end, write_end):
        os.close(fd)


def test_a_range_is_copied_where_it_cannot_be_moved(data_file, tmp_path):
    with open(tmp_path / "copy", "wb") as copy:  # splice(2) takes no two regular files
        assert FileRange(data_file, 2, 7).write_to(copy.fileno()) == 7
    assert (tmp_path / "copy").read_bytes() == b"2345678"


def test_a_full_pipe_takes_nothing_of_a_range(data_file):
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(write_end, bytes(4096))
    with pytest.raises(BlockingIOError):
        FileRange(data_file, 0, 10).write_to(write_end)
    for fd in (read_end, write_end):
        os.close(fd)


def test_a_file_that_became_shorter_while_it_is_read_is_an_error(data_file, tmp_path):
    read_end, write_end = os.pipe()
    os.truncate(tmp_path / "data", 4)
    left = FileRange(data_file, 0, 10)
    left = left[left.write_to(write_end) :]
    with pytest.raises(DataError, match="cut short at byte 4 while it was being read"):
        left.write_to(write_end)
    for fd in (read_end, write_end):
        os.close(fd)
