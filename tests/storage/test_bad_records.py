"""What a job has set aside is read as it was written; a damaged file says which line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto._record import Place
from kvproto.errors import DataError
from kvproto.storage import bad_records
from kvproto.storage.bad_records import BadRecord, encode_bad_records, read_bad_records

LINE = BadRecord(
    "record", 3, Place("a.txt", 1, 0, line=2, start=4, end=9), "ValueError: no", b"", b"word\n", 5
)


class Paths:
    def __init__(self, path):
        self.bad_records = str(path)


numbers = st.none() | st.integers(0, 1 << 63)
places = st.builds(
    Place,
    input=st.text().filter(lambda url: "@" not in url),
    entry=st.integers(0, 1 << 63),
    part=st.integers(0, 1 << 63),
    line=numbers,
    start=numbers,
    end=numbers,
    is_unpacked=st.booleans(),
)
records = st.builds(
    BadRecord,
    kind=st.sampled_from(["record", "input"]),
    task=st.integers(0, 99_999),
    place=places,
    error=st.text().filter(lambda text: "@" not in text),
    key=st.binary(),
    value=st.binary() | st.text().map(str.encode),
    n_bytes=st.integers(0, 1 << 40),
    is_object=st.booleans(),
)


@given(st.lists(records))
def test_records_are_read_as_they_were_written(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("job") / "bad.jsonl"
    path.write_bytes(encode_bad_records(written))
    assert list(read_bad_records(Paths(path))) == written


def test_a_job_that_has_set_nothing_aside_has_no_file(tmp_path):
    assert list(read_bad_records(Paths(tmp_path / "bad.jsonl"))) == []


def test_a_line_that_is_being_written_is_not_read_yet(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(encode_bad_records([LINE, LINE])[:-1])
    assert list(read_bad_records(Paths(path))) == [LINE]


def test_bytes_that_are_text_are_written_as_text_and_others_as_base64():
    lines = encode_bad_records([LINE, LINE._replace(value=b"\xff\n")]).splitlines()
    assert [json.loads(line)["value"] for line in lines] == ["word\n", {"base64": "/wo="}]


def test_a_long_record_is_cut_and_its_size_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(bad_records, "MAX_KEPT", 3)
    path = tmp_path / "bad.jsonl"
    path.write_bytes(encode_bad_records([LINE]))
    (read,) = read_bad_records(Paths(path))
    assert (read.value, read.n_bytes) == (b"wor", 5)


def test_passwords_are_not_written():
    place = Place("http://me:secret@host/a", 0)
    one = BadRecord("input", 0, place, "reading http://me:secret@host/a: timed out")
    assert b"secret" not in encode_bad_records([one])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"{", b"["),
        (b'"line": 2', b'"line": "2"'),
        (b'"value": "word', b'"value": 5, "word'),
        (b'"kind"', b'"knd"'),
        (b'"word\\n"', b'{"base64": "a"}'),
    ],
)
def test_a_damaged_line_is_named(tmp_path, before, after):
    path = tmp_path / "bad.jsonl"
    good = encode_bad_records([LINE])
    assert before in good
    path.write_bytes(good + good.replace(before, after))
    with pytest.raises(DataError, match=r"bad\.jsonl, line 2, is damaged: "):
        list(read_bad_records(Paths(path)))


def test_where_a_record_is_and_which_part_of_an_input():
    assert str(LINE) == "a.txt, line 2, bytes 4 to 9"
    part = BadRecord("input", 0, Place("b.gz", 0), "damaged")
    assert str(part) == "b.gz"
    assert str(part._replace(place=Place("b", 0, 7, start=7, end=20))) == "b, bytes 7 to 20"
