"""What the index of a spool file says of any columns of it, and what a damaged one says."""

import itertools
import os
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto.errors import DataError
from kvproto.storage.spool import SpoolWriter, read_columns, read_parts, read_segments
from kvproto.storage.spool_index import ColumnsInFiles, SpoolFile, columns_of, pack_index
from kvproto.storage.store import store_of

N_COLUMNS = 4


def write(path, writes, **options):
    with SpoolWriter(str(path), N_COLUMNS, **options) as writer:
        for column, data in writes:
            writer.write(column, data, len(data))
        return writer.publish()


def bytes_of(columns):
    """The bytes of each segment, file by file."""
    return [
        [b"".join(read_segments([segment])) for segment in segments]
        for segments in read_columns(columns)
    ]


WRITES = st.lists(st.tuples(st.integers(0, N_COLUMNS - 1), st.binary(max_size=40)), max_size=30)


@given(
    outputs=st.lists(WRITES, max_size=3),
    buffer_size=st.integers(0, 200),
    in_rounds=st.booleans(),
    in_file=st.booleans(),
    columns=st.tuples(st.integers(0, N_COLUMNS - 1), st.integers(1, N_COLUMNS)),
)
def test_any_columns_have_what_was_written_to_them(
    tmp_path_factory, outputs, buffer_size, in_rounds, in_file, columns
):
    directory = tmp_path_factory.mktemp("spool")
    options = {"buffer_size": buffer_size, "in_rounds": in_rounds, "index_in_file": in_file}
    files = [
        write(directory / f"map-{number}", writes, **options)
        for number, writes in enumerate(outputs)
    ]
    first, end = columns[0], min(columns[0] + columns[1], N_COLUMNS)
    part = pickle.loads(pickle.dumps(columns_of(files, str(directory), first, end)))
    written = [
        [
            b"".join(data for number, data in writes if number == column)
            for column in range(N_COLUMNS)
        ]
        for writes in outputs
    ]
    assert bytes_of(part) == [of_file[first:end] for of_file in written]
    assert [file.n_bytes for file in files] == [sum(map(len, of_file)) for of_file in written]
    for segments, of_file in zip(read_columns(part), written, strict=True):
        assert [segment.n_pairs for segment in segments] == [
            len(data) for data in of_file[first:end]
        ]
        parts = [b""] * (end - first)
        for number, data in read_parts(segments, in_file_order=True):
            parts[number] += data
        assert parts == of_file[first:end]


def in_file(path, writes=((0, b"a"), (1, b"b"), (3, b"d"))):
    """A spool file whose index is at its end, and all its columns."""
    file = write(path, writes, index_in_file=True)
    return file, columns_of([file], str(path.parent), 0, N_COLUMNS)


def test_an_index_of_one_range_for_each_column_takes_32_bytes_for_each(tmp_path):
    file, columns = in_file(tmp_path / "map-0")
    assert os.path.getsize(file.path) == file.n_bytes + 32 * N_COLUMNS == 3 + 128
    assert bytes_of(columns) == [[b"a", b"b", b"", b"d"]]


def test_an_index_of_zeros_is_an_error_and_no_empty_segment(tmp_path):
    file, columns = in_file(tmp_path / "map-0")
    with open(file.path, "r+b") as opened:
        opened.seek(file.n_bytes)
        opened.write(bytes(32 * N_COLUMNS))
    with pytest.raises(DataError, match=rf"spool file {file.path} is damaged: the checksum of"):
        bytes_of(columns)


def test_a_file_in_the_place_of_another_is_an_error(tmp_path):
    first, columns = in_file(tmp_path / "map-0.aaaaaaaa")
    second, _ = in_file(tmp_path / "map-0.bbbbbbbb")
    os.replace(second.path, first.path)
    with pytest.raises(DataError, match=rf"spool file {first.path} is damaged: the checksum of"):
        bytes_of(columns)


@pytest.mark.parametrize("n_left", range(0, 3 + 128, 13))
def test_a_file_that_is_cut_short_is_an_error(tmp_path, n_left):
    file, columns = in_file(tmp_path / "map-0")
    os.truncate(file.path, n_left)
    with pytest.raises(DataError, match=rf"spool file {file.path} is cut short: .* of its index"):
        bytes_of(columns)


def test_a_changed_bit_of_an_index_is_an_error_or_harmless(tmp_path):
    file, columns = in_file(tmp_path / "map-0", [(0, b"a"), (1, b"b"), (0, b"c" * 9)])
    whole = [[b"a" + b"c" * 9, b"b", b"", b""]]
    with open(file.path, "rb") as opened:
        data = opened.read()
    for bit in range(8 * file.n_bytes, 8 * len(data), 3):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with open(file.path, "wb") as opened:
            opened.write(changed)
        try:
            assert bytes_of(columns) == whole  # the number of pairs is counted only
        except DataError as e:
            assert file.path in str(e)


def test_the_columns_of_a_million_segments_travel_in_50_mb(tmp_path):
    n_maps, directory = 1000, str(tmp_path)
    with SpoolWriter(str(tmp_path / "map"), 1000) as writer:
        for column in range(1000):
            writer.write(column, b"data", 1)
        packed = writer.publish().packed
    files = [
        SpoolFile(f"{directory}/map-{number:05d}.{number:08x}", 1000, 4000, packed)
        for number in range(n_maps)
    ]
    assert len(pickle.dumps(files[0])) < 32_400
    sizes = [
        len(pickle.dumps(columns_of(files, directory, column, column + 1)))
        for column in range(0, 1000, 100)
    ]
    assert max(sizes) < 56_000


def test_the_columns_of_files_with_the_index_in_them_take_the_same_for_any_number(tmp_path):
    file, _ = in_file(tmp_path / "map-0")
    assert len(pickle.dumps(file)) < 200
    one, all_ = (columns_of([file], str(tmp_path), 0, end) for end in (1, N_COLUMNS))
    assert isinstance(one, ColumnsInFiles) and len(pickle.dumps(one)) == len(pickle.dumps(all_))


def test_further_ranges_are_packed_after_the_heads(tmp_path):
    writes = list(itertools.chain.from_iterable([(0, b"ab"), (1, b"cd")] for _ in range(3)))
    file = write(tmp_path / "map-0", writes, buffer_size=0)
    segments = file.segments()
    assert segments[0].ranges == ((0, 2), (4, 2), (8, 2))
    assert segments[1].ranges == ((2, 2), (6, 2), (10, 2))
    assert file.packed == pack_index(segments) and len(file.packed) == 4 * 32 + 4 * 16
    assert file.segments(1, 3) == segments[1:3]


def test_what_was_written_in_rounds_is_read_with_one_request_for_each(tmp_path, monkeypatch):
    writes = [(column, b"data") for _ in range(3) for column in range(N_COLUMNS)]
    file = write(tmp_path / "map-0", writes, buffer_size=4 * N_COLUMNS - 1, in_rounds=True)
    store = store_of(file.path)
    opened, open_range = [], store.open_range
    monkeypatch.setattr(store, "open_range", lambda *args: opened.append(args) or open_range(*args))
    parts = [*read_parts(file.segments(1, 3), in_file_order=True)]
    assert parts == [(0, b"data"), (1, b"data")] * 3
    assert [(start, n_bytes) for _, start, n_bytes in opened] == [(4, 8), (20, 8), (36, 8)]
