"""Spool and result files: whole or not there; a cut or damaged one is an error that names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto.classic import result_iterator
from kvproto.errors import DataError
from kvproto.storage.records import FRAMES, OBJECTS, RAW, pack_frames, pack_objects
from kvproto.storage.results import ResultWriters
from kvproto.storage.spool import SpoolWriter, read_segments


def spool(path, writes, n_partitions=3, **options):
    with SpoolWriter(str(path), n_partitions, **options) as writer:
        for partition, data in writes:
            writer.write(partition, data, 1)
        return writer.publish().segments()


@given(
    writes=st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=40)), max_size=30),
    buffer_size=st.integers(0, 200),
)
def test_partitions_come_back_in_the_order_written_at_once_or_later(
    tmp_path_factory, writes, buffer_size
):
    directory = tmp_path_factory.mktemp("spool")
    segments = spool(directory / "map-0", writes, buffer_size=buffer_size)
    for partition, segment in enumerate(segments):
        written = [data for number, data in writes if number == partition]
        assert b"".join(read_segments([segment])) == b"".join(written)
        assert (segment.n_bytes, segment.n_pairs) == (sum(map(len, written)), len(written))
    assert os.listdir(directory) == ["map-0"]


def test_the_segments_lie_one_behind_the_other_and_fill_the_file(tmp_path):
    segments = spool(tmp_path / "map-0", [(2, b"ccc"), (0, b"a"), (2, b"c")])
    assert [segment.ranges for segment in segments] == [((0, 1),), (), ((1, 4),)]
    assert (tmp_path / "map-0").read_bytes() == b"acccc"


def test_a_writer_that_fails_leaves_no_file_and_none_is_there_before_it_is_whole(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        SpoolWriter(str(tmp_path / "map-0"), 1, buffer_size=0) as writer,
    ):
        writer.write(0, b"data", 1)
        assert not (tmp_path / "map-0").exists()
        raise ZeroDivisionError
    with (
        pytest.raises(ZeroDivisionError),
        ResultWriters([str(tmp_path / "r0"), str(tmp_path / "r1")], FRAMES),
    ):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_a_spool_file_cut_short_is_named(tmp_path):
    [segment] = spool(tmp_path / "map-0", [(0, b"x" * 100)], n_partitions=1)
    os.truncate(segment.path, 60)
    with pytest.raises(DataError, match=rf"{segment.path} is cut short: 40 of the 100"):
        list(read_segments([segment]))


def test_a_spool_file_with_one_changed_bit_is_named(tmp_path):
    [segment] = spool(tmp_path / "map-0", [(0, b"x" * 100)], n_partitions=1)
    with open(segment.path, "r+b") as file:
        file.seek(50)
        file.write(b"y")
    with pytest.raises(DataError, match=rf"{segment.path} is damaged.*checksum"):
        list(read_segments([segment]))


def test_a_spool_file_that_is_gone_is_named(tmp_path):
    [segment] = spool(tmp_path / "map-0", [(0, b"x")], n_partitions=1)
    os.unlink(segment.path)
    with pytest.raises(DataError, match=rf"spool file {segment.path} does not exist on "):
        list(read_segments([segment]))


def result(path, kind=OBJECTS, n_batches=3):
    with ResultWriters([str(path)], kind) as writer:
        for number in range(n_batches):
            if kind == OBJECTS:
                writer.write(0, pack_objects([(number, "value")] * 2), 2)
            else:
                writer.write(0, pack_frames([(str(number), "value")] * 2, 0), 2)
        return writer.publish()[0]


@pytest.mark.parametrize("kind, first", [(OBJECTS, (0, "value")), (FRAMES, (b"0", b"value"))])
def test_a_result_file_gives_the_pairs_written(tmp_path, kind, first):
    written = result(tmp_path / "result", kind)
    pairs = list(result_iterator([written.path]))
    assert (len(pairs), pairs[0], written.n_pairs) == (6, first, 6)


def many_results(directory, kind):
    """Writers of more files than are open at a time."""
    return ResultWriters([str(directory / f"result-{number:03}") for number in range(70)], kind)


def test_many_result_files_have_their_own_pairs_and_nothing_else_is_left(tmp_path):
    with many_results(tmp_path, FRAMES) as writer:
        for round in range(3):
            for number in range(70):
                pair = (f"{round} {number}", "value" * 10_000 * (number == 7))
                writer.write(number, pack_frames([pair], 0), 1)
        written = writer.publish()
    assert sorted(os.listdir(tmp_path)) == [f"result-{number:03}" for number in range(70)]
    for number, result in enumerate(written):
        keys = [key for key, _ in result_iterator([result.path])]
        assert keys == [f"{round} {number}".encode() for round in range(3)]
        assert result.n_pairs == 3


def test_many_result_files_of_streams_are_what_was_written(tmp_path):
    with many_results(tmp_path, RAW) as writer:
        writer.write(69, b"raw", 1)
        writer.publish()
    assert [(tmp_path / f"result-{number:03}").read_bytes() for number in (68, 69)] == [b"", b"raw"]


def test_many_result_files_that_fail_leave_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), many_results(tmp_path, FRAMES) as writer:
        writer.write(3, pack_frames([("k", "v" * 1_000_000)], 0), 1)
        raise ZeroDivisionError
    (tmp_path / "result-001").mkdir()
    with pytest.raises(DataError, match="result-001"), many_results(tmp_path, FRAMES) as writer:
        writer.publish()
    assert sorted(os.listdir(tmp_path)) == ["result-000", "result-001"]


def test_a_result_file_without_records_is_whole_too(tmp_path):
    assert list(result_iterator(tmp_path / result(tmp_path / "result", n_batches=0).path)) == []


@pytest.mark.parametrize("kind", [OBJECTS, FRAMES])
def test_a_result_file_cut_at_any_place_is_refused_before_its_first_pair(tmp_path, kind):
    path = result(tmp_path / "result", kind).path
    whole = Path(path).read_bytes()
    for size in range(len(whole)):
        with open(path, "wb") as file:
            file.write(whole[:size])
        with pytest.raises(DataError, match=path):
            next(result_iterator([path]))


@pytest.mark.parametrize("kind", [OBJECTS, FRAMES])
def test_a_result_file_with_any_changed_byte_is_refused(tmp_path, kind):
    path = result(tmp_path / "result", kind).path
    whole = Path(path).read_bytes()
    for at in range(len(whole)):
        with open(path, "wb") as file:
            file.write(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(DataError, match=path):
            list(result_iterator([path]))


def test_a_result_file_with_more_in_it_than_was_written_is_refused(tmp_path):
    path = Path(result(tmp_path / "result", FRAMES).path)
    whole = path.read_bytes()
    path.write_bytes(
        whole[:-28] + pack_frames([("more", "")], 0) + whole[-28:]
    )  # before the trailer
    with pytest.raises(DataError, match=f"{path} is cut short or damaged"):
        next(result_iterator([path]))


def test_a_result_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"input .*/nowhere: No such file"):
        list(result_iterator([tmp_path / "nowhere"]))


FULL_DISK = """
import resource, sys
from kvproto.storage.spool import SpoolWriter
from kvproto.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (3000000, 3000000))
try:
    with SpoolWriter(sys.argv[1], 1, buffer_size=int(sys.argv[2])) as writer:
        for _ in range(100):
            writer.write(0, b"x" * 50000, 1)
        writer.publish()
except DataError as e:
    print(e)
"""


@pytest.mark.parametrize("buffer_size", [1 << 30, 0])
def test_a_file_that_cannot_be_written_is_named_and_removed(tmp_path, buffer_size):
    argv = [sys.executable, "-c", FULL_DISK, str(tmp_path / "map-0"), str(buffer_size)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert said == f"writing {tmp_path / 'map-0'}: File too large\n"
    assert os.listdir(tmp_path) == []


WITHOUT_FCHMOD = """
import ctypes, os, platform, struct, sys
from kvproto.storage.atomic import AtomicFile, OutputFile, private

# A seccomp filter: fchmod fails with EPERM, all other system calls are allowed.
number = {"x86_64": 91, "aarch64": 52}[platform.machine()]
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
program = struct.pack("@HP", len(rules), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()  # PR_SET_SECCOMP

open("old", "w").close()
before = os.listdir("/proc/self/fd"), os.listdir(".")
for create in (
    lambda: AtomicFile("new"),
    lambda: OutputFile("old"),
    lambda: private("old", os.O_WRONLY | os.O_CREAT),
):
    try:
        create()
    except Exception as error:
        print(type(error).__name__, error)
    assert (os.listdir("/proc/self/fd"), os.listdir(".")) == before
"""


def test_a_file_that_cannot_be_made_private_leaves_neither_a_descriptor_nor_a_file(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT_FCHMOD],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.splitlines() == [
        "DataError writing new: Operation not permitted",
        "PermissionError [Errno 1] Operation not permitted: 'old'",
        "PermissionError [Errno 1] Operation not permitted",
    ], ran.stderr
