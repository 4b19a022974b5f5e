"""With bad_inputs="skip" nothing of an input counts that cannot be read, and the job says so."""

import bz2
import gzip
import os

import pytest
from support.jobs import events

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import jsonl_reader
from kvproto.errors import DataError, JobError
from kvproto.storage.bad_records import read_bad_records
from kvproto.storage.job_directory import JobPaths

TEXT = b"".join(b"line %d\n" % n for n in range(20_000))


def lines(line, params):
    return [(line, 1)]


def skip(*inputs, **jobargs):
    """The first parts of the keys of the results, and what was left out."""
    job = Job("skip").run(
        input=[one if isinstance(one, list) else str(one) for one in inputs],
        **{"map": lines, "bad_inputs": "skip", **jobargs},
    )
    pairs = list(result_iterator(job.wait(show=False)))
    return job, pairs, list(read_bad_records(JobPaths(job.name)))


def of(name, data, tmp_path):
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.fixture(params=["function", "program"])
def map(request, identity):
    return lines if request.param == "function" else external([identity])


def test_nothing_of_a_file_counts_that_breaks_in_the_middle(tmp_path, map):
    good = of("good", b"1\n", tmp_path)
    packed = gzip.compress(TEXT, 1)
    damaged = of("damaged.gz", packed[:-20] + b"\0" * 20, tmp_path)
    cut = of("cut.bz2", bz2.compress(TEXT)[:-5], tmp_path)
    last = of("last", b"2\n", tmp_path)
    job, pairs, bad = skip(good, damaged, cut, last, map=map)
    assert len(pairs) == 2
    assert [(one.kind, one.place.input) for one in bad] == [
        ("input", str(damaged)),
        ("input", str(cut)),
    ]
    assert bad[0].error.startswith("gzip data is cut short or damaged")
    assert job.bad_records == 0
    assert [e["inputs"] for e in events(job) if e["event"] == "set_aside"] == [2]
    texts = [e["text"] for e in events(job) if e["event"] == "message"]
    assert [f"left out: {one.place.input}: {one.error}" for one in bad] == texts


def test_files_that_are_missing_or_cannot_be_read_or_have_no_lines(tmp_path, map):
    missing = tmp_path / "missing"
    secret = of("secret", b"1\n", tmp_path)
    secret.chmod(0)
    archive = of("archive.zip", b"PK\x03\x04" + bytes(600), tmp_path)
    good = of("good", b"1\n", tmp_path)
    inputs = [missing, archive, good, *([] if os.access(secret, os.R_OK) else [secret])]
    _, pairs, bad = skip(*inputs, map=map)
    assert len(pairs) == 1
    assert {one.place.input for one in bad} == {str(path) for path in inputs if path != good}
    (error,) = [one.error for one in bad if one.place.input == str(missing)]
    assert "No such file" in error


def test_a_reader_that_refuses_its_data(tmp_path):
    rows = of("rows.jsonl", b'{"a": 1}\n{"a": \n', tmp_path)
    good = of("good.jsonl", b'{"a": 1}\n', tmp_path)

    def ones(row, params):
        return [(row["a"], 1)]

    _, pairs, bad = skip(rows, good, map=ones, map_reader=jsonl_reader)
    assert pairs == [(1, 1)]
    assert [one.place.input for one in bad] == [str(rows)]


def test_an_error_of_a_reader_that_is_not_about_its_data_fails_the_job(tmp_path):
    def reader(fd, size, url, params):
        yield from fd
        raise RuntimeError("a mistake in the reader")

    with pytest.raises(JobError, match="a mistake in the reader"):
        skip(of("good", b"1\n", tmp_path), map_reader=reader)


def test_an_input_that_can_be_read_the_second_time_counts_once(tmp_path):
    def reader(fd, size, url, params):
        yield "an entry"
        if not os.path.exists(params):
            open(params, "w").close()
            raise DataError("a connection was lost")

    _, pairs, bad = skip(
        of("good", b"1\n", tmp_path), map_reader=reader, params=str(tmp_path / "ran")
    )
    assert (pairs, bad) == ([("an entry", 1)], [])


def test_a_task_with_many_bad_inputs_reads_the_good_ones_twice_at_most(tmp_path):
    good = [of(f"{n}good", b"1\n", tmp_path) for n in range(3)]
    bad = [of(f"{n}bad", b"1\n", tmp_path) for n in range(3)]
    log = tmp_path / "log"

    def reader(fd, size, url, params):
        with open(params, "a") as file:
            file.write(url + "\n")
        yield from fd
        if url.endswith("bad"):
            raise DataError("damaged", is_final=True)

    inputs = sorted([*good, *bad])
    _, pairs, left_out = skip(*inputs, map_reader=reader, params=str(log))
    assert len(pairs) == 3
    assert [one.place.input for one in left_out] == [str(path) for path in bad]
    opened = log.read_text().splitlines()
    assert [opened.count(str(path)) for path in inputs] == [1, 2] * 3


def test_the_map_begins_again_with_the_params_of_the_job(tmp_path):
    def numbered(line, params):
        params["n"] = params.get("n", 0) + 1
        return [(params["n"], line)]

    good = of("a", b"1\n2\n", tmp_path)
    damaged = of("b.gz", b"\x1f\x8b\x08", tmp_path)
    _, pairs, bad = skip(good, damaged, map=numbered, params={})
    assert [one.task for one in bad] == [0]
    assert pairs == [(1, "1\n"), (2, "2\n")]


def test_another_replica_is_read_first(tmp_path):
    damaged = of("damaged.gz", gzip.compress(TEXT)[:100], tmp_path)
    good = of("good", TEXT, tmp_path)
    _, pairs, bad = skip([str(damaged), str(good)])
    assert (len(pairs), bad) == (20_000, [])


@pytest.mark.slow
def test_a_file_that_several_tasks_read_counts_without_the_part_that_cannot_be_read(tmp_path):
    rows = [b"%07d\n" % n for n in range(10**6, 10**6 + 400_000)]
    path = of("rows.jsonl", b"".join([*rows, b"{\n"]), tmp_path)
    _, pairs, (one,) = skip(
        path, map=lambda row, params: [(row, 1)], map_reader=jsonl_reader, processes=1
    )
    n_bytes = path.stat().st_size
    assert (one.kind, one.place.input, one.place.end) == ("input", str(path), n_bytes)
    assert one.place.start > 0
    assert len(pairs) == -(-one.place.start // len(rows[0]))
    assert str(one) == f"{path}, bytes {one.place.start} to {n_bytes}"


def test_a_job_without_any_input_that_can_be_read_fails(tmp_path):
    with pytest.raises(
        JobError,
        match=r"none of the inputs could be read; the first errors:\n  /.*missing: No such file",
    ):
        skip(tmp_path / "missing", of("missing.gz", gzip.compress(TEXT)[:100], tmp_path))


def test_without_it_the_job_fails(tmp_path):
    with pytest.raises(JobError, match="cut short or damaged"):
        skip(of("cut.gz", gzip.compress(TEXT)[:100], tmp_path), bad_inputs="fail")
    with pytest.raises(DataError, match="No such file"):
        skip(tmp_path / "missing", bad_inputs="fail")
    with pytest.raises(DataError, match="no tag"):
        skip("tag://missing")
    with pytest.raises(ValueError, match="bad_inputs must be 'fail' or 'skip', not 'no'"):
        skip("raw://1", bad_inputs="no")
