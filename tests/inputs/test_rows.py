"""Readers of rows: JSON lines and CSV."""

import csv
import gzip
import io
import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.jobs import events, results

from kvproto.classic import Job, result_iterator
from kvproto.classic.func import nop_map
from kvproto.classic.task_io import csv_reader, jsonl_reader
from kvproto.errors import DataError, JobError


def rows(reader, data, **how):
    return list(reader(io.BufferedReader(io.BytesIO(data)), len(data), "x", None, **how))


def entries(**jobargs):
    return [key for key, _ in results(map=lambda entry, params: [(entry, "")], **jobargs)]


# --- JSON ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [True, False])
def test_each_line_of_json_is_an_entry(tmp_path, text):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"a": [1, null]}\n\n  \r\n"\xc3\xa9"\r\n1.5'))
    expected = [{"a": [1, None]}, "\xe9", 1.5]
    assert entries(input=str(path), map_reader=jsonl_reader, text=text) == expected


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), max_size=9))
def test_what_json_writes_comes_back(values):
    data = "".join(json.dumps(value) + "\n" for value in values).encode()
    assert rows(jsonl_reader, data) == values


@pytest.mark.parametrize("bad", [b"{", b"nope", b"[1] 2", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_a_line_that_is_no_json_is_an_error_with_its_number(tmp_path, bad):
    path = tmp_path / "rows"
    path.write_bytes(b"1\n\n" + bad + b"\n2\n")
    job = Job("bad").run(input=str(path), map=nop_map, map_reader=jsonl_reader)
    with pytest.raises(JobError, match=f"input {path}: line 3 is not JSON: "):
        job.wait()
    assert "retry" not in {event["event"] for event in events(job)}


def test_a_large_file_of_json_lines_is_read_in_parts(tmp_path):
    path = tmp_path / "rows"
    lines = [f'[{number}, "{"x" * 90}"]\n' for number in range(100_000)]
    path.write_text("".join(lines))
    job = Job("large").run(
        input=str(path),
        map=lambda entry, params: [(entry[0], "")],
        map_reader=jsonl_reader,
        processes=2,
    )
    assert [key for key, _ in result_iterator(job.wait())] == list(range(100_000))
    assert next(event["tasks"] for event in events(job) if event["event"] == "stage") > 1
    lines[90_000] = "no\n"
    path.write_text("".join(lines))
    with pytest.raises(
        JobError, match=r"line \d+ is not JSON: .*\n(.*\n)?lines: counted from .* at byte [1-9]"
    ):
        results(input=str(path), map=nop_map, map_reader=jsonl_reader, processes=2)


# --- CSV -------------------------------------------------------------------------------------

CSV = b'name,text\r\nann,"one\r\ntwo, ""three"""\r\n\r\nbob,\r\n'
ROWS = [["name", "text"], ["ann", 'one\r\ntwo, "three"'], ["bob", ""]]


@pytest.mark.parametrize("text", [True, False])
def test_each_row_is_an_entry_whatever_newlines_its_fields_have(tmp_path, text):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbf" + CSV)
    assert entries(input=str(path), map_reader=csv_reader, text=text) == ROWS
    with_names = [{"name": name, "text": text} for name, text in ROWS[1:]]
    reader = partial(csv_reader, header=True)
    assert entries(input=str(path), map_reader=reader, text=text) == with_names
    path.write_bytes(CSV.replace(b",", b";"))
    reader = partial(csv_reader, delimiter=";")
    assert entries(input=str(path), map_reader=reader)[2] == ["bob", ""]


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=4),
        max_size=9,
    )
)
def test_what_csv_writes_comes_back(values):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(values)
    assert rows(csv_reader, text.getvalue().encode()) == values


def test_a_large_file_of_csv_is_read_by_one_task_with_the_newlines_in_its_fields(tmp_path):
    path = tmp_path / "rows"
    path.write_text("".join(f'{number},"a\n{"x" * 90}\n"\n' for number in range(50_000)))
    job = Job("large").run(
        input=str(path),
        map=lambda row, params: [(row[0], row[1].count("\n"))],
        map_reader=csv_reader,
        processes=2,
    )
    pairs = list(result_iterator(job.wait()))
    assert pairs == [(str(number), 2) for number in range(50_000)]


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b'"never closed\n\n\n', "unexpected end of data"),
        (b'"a"b,c\n', "expected after"),
        (b"a\rb,c\n", "new-line character"),
        (b"x" * 200_000 + b",c\n", "field larger than"),
    ],
)
def test_a_bad_row_is_an_error_with_the_number_of_its_first_line(tmp_path, bad, says):
    path = tmp_path / "rows"
    path.write_bytes(b'a,"b\n"\n' + bad)
    job = Job("bad").run(input=str(path), map=nop_map, map_reader=csv_reader)
    with pytest.raises(JobError, match=f"input {path}: line 3 is not a row of CSV: .*{says}"):
        job.wait()
    assert "retry" not in {event["event"] for event in events(job)}


def test_a_row_that_does_not_fit_the_names_is_an_error_with_its_line():
    with pytest.raises(DataError, match="input x: line 2 has 3 fields, not 2: "):
        rows(csv_reader, b"a,b\n1,2,3\n", header=True)
    with pytest.raises(DataError, match="input x: line 1 has a name twice: "):
        rows(csv_reader, b"a,a\n", header=True)
    assert rows(csv_reader, b"a,b\n1,2,3\n") == [["a", "b"], ["1", "2", "3"]]
    assert rows(csv_reader, b"", header=True) == []


@pytest.mark.parametrize("reader", [jsonl_reader, csv_reader])
def test_an_archive_is_named(tmp_path, reader):
    (tmp_path / "rows").write_bytes(b"PK\x03\x04 and so on\n")
    with pytest.raises(JobError, match="is a zip archive"):
        results(input=str(tmp_path / "rows"), map=nop_map, map_reader=reader)
