"""A journal ends before a record that a crash has cut, and any other damage is an error."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto.errors import DataError, JobError
from kvproto.storage.job_directory import JobPaths
from kvproto.storage.journal import JournalFile, read_journal

RECORDS = [b"first", b"", b"\x00\x00", b"last"]


def written(path, records=RECORDS):
    journal = JournalFile(str(path))
    journal.append(records[:1])
    for record in records[1:]:
        journal.append([record])
    journal.close()
    return path.read_bytes()


def test_records_are_read_in_order_and_the_file_is_private(tmp_path):
    data = written(tmp_path / "journal")
    assert read_journal(str(tmp_path / "journal")) == (RECORDS, len(data))
    assert os.stat(tmp_path / "journal").st_mode & 0o777 == 0o600


def test_a_journal_that_was_cut_anywhere_has_the_records_before_the_cut(tmp_path):
    path = tmp_path / "journal"
    data = written(path)
    seen = set()
    for n_bytes in range(len(data)):
        path.write_bytes(data[:n_bytes])
        records, end = read_journal(str(path))
        assert records == RECORDS[: len(records)]
        assert data[:end] == written(tmp_path / f"again{n_bytes}", records) if records else not end
        seen.add(len(records))
    assert seen == {0, 1, 2, 3}


def test_zero_bytes_at_the_end_are_what_a_crash_left(tmp_path):
    path = tmp_path / "journal"
    data = written(path)
    for n_bytes in (1, 11, 12, 5000):
        path.write_bytes(data + bytes(n_bytes))
        assert read_journal(str(path)) == (RECORDS, len(data))
    path.write_bytes(data[:-2] + bytes(2))
    assert read_journal(str(path))[0] == RECORDS[:-1]


def test_appending_after_a_crash_cuts_what_it_left(tmp_path):
    path = tmp_path / "journal"
    data = written(path)
    path.write_bytes(data[:-1])
    records, n_bytes = read_journal(str(path))
    journal = JournalFile(str(path), n_bytes)
    journal.append([b"new"])
    journal.close()
    assert read_journal(str(path))[0] == [*records, b"new"] == [*RECORDS[:-1], b"new"]


def test_each_other_change_of_a_byte_is_an_error_with_the_path_and_the_offset(tmp_path):
    path = tmp_path / "journal"
    data = written(path)
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        with pytest.raises(DataError, match=rf"{path} is damaged: .* at byte \d+"):
            read_journal(str(path))


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_are_an_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "journal"
    path.write_bytes(data)
    try:
        records, end = read_journal(str(path))
    except DataError:
        return
    assert end <= len(data) and len(records) <= end // 12


def test_a_journal_that_cannot_be_written_or_read_is_an_error_with_its_path(tmp_path):
    path = str(tmp_path / "none" / "journal")
    with pytest.raises(JobError, match=path):
        JournalFile(path).append([b"x"])
    with pytest.raises(DataError, match=path):
        read_journal(path)


def test_a_journal_that_was_created_alone_keeps_nothing_to_resume(tmp_path, monkeypatch):
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path))
    paths = JobPaths("job@20260101-000000-00000000")
    os.makedirs(paths.path)
    assert not paths.is_resumable()
    open(paths.journal, "x").close()
    assert not paths.is_resumable()
    written(Path(paths.journal))
    assert paths.is_resumable()
