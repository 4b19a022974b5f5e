"""How many records of a job may be bad, and what a task keeps of them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bad_records import bad_of, failure, number, run, written
from support.jobs import events

from kvproto._record import Place
from kvproto.classic import Job, external
from kvproto.engine import set_aside
from kvproto.engine.bad_limit import BadLimit
from kvproto.engine.meter import Meter
from kvproto.engine.set_aside import BadRecords
from kvproto.errors import JobError, TooManyBadRecords


def test_over_the_limit_the_job_fails_and_shows_the_first_ten(tmp_path):
    path = written(tmp_path / "in", [b"x%d\n" % n for n in range(20)])
    job, error = failure(path, max_bad_records=10)
    assert isinstance(error.cause, TooManyBadRecords)
    assert (
        "11 bad records of 20 that this task has read, which is more than max_bad_records=10"
        in (str(error))
    )
    assert f"kvproto bad {job.name}\n" in str(error)
    for line in range(1, 11):
        assert f"{path}, line {line}, bytes " in str(error)
    assert "line 11," not in str(error)
    assert [one.place.line for one in bad_of(job)] == list(range(1, 12))
    assert [e for e in events(job) if e["event"] == "retry"] == []


def test_the_records_of_several_tasks_count_together(tmp_path):
    inputs = [f"raw://bad{n}" for n in range(4)]
    job, error = failure(*inputs, max_bad_records=3, map_init=lambda entries, params: None)
    assert "4 bad records of 4 that the maps have read" in str(error)
    assert len(bad_of(job)) == 4


def test_the_job_ends_as_soon_as_there_are_too_many(tmp_path):
    def logged(line, params):
        with open(params, "a") as file:
            file.write(line + "\n")
        raise ValueError

    inputs = [f"raw://{n}" for n in range(20)]
    failure(*inputs, map=logged, map_init=lambda entries, params: None, max_bad_records=1,
            params=str(tmp_path / "log"), processes=1)  # fmt: skip
    assert len((tmp_path / "log").read_text().splitlines()) < 20


def test_bad_records_of_finished_tasks_count_in_a_job_that_is_resumed(tmp_path):
    def reader(fd, size, url, params):
        line = fd.read()
        if line == "second" and not os.path.exists(params):
            raise RuntimeError("not yet")
        yield line

    go = tmp_path / "go"
    inputs = [written(tmp_path / name, [name.encode()]) for name in ("first", "second")]
    job, error = failure(*inputs, map_reader=reader, map_init=lambda entries, params: None,
                         params=str(go), max_bad_records=1, processes=1)  # fmt: skip
    assert ("not yet" in str(error), len(bad_of(job))) == (True, 1)
    go.touch()
    with pytest.raises(JobError, match="2 bad records of 2 that the maps have read"):
        Job(name=job.name).resume().wait(show=False)
    assert [one.value for one in bad_of(job)] == [b"first", b"second"]


def test_a_share_is_of_all_records(tmp_path):
    path = written(tmp_path / "in", [*[b"1\n"] * 99, b"x\n"])
    assert run(path, max_bad_records="1%")[0].bad_records == 1
    _, error = failure(path, max_bad_records="0.99%")
    assert "1 bad record of 100 that the maps have read, which is more than" in str(error)


def test_a_job_without_a_limit_fails_at_the_first_record(tmp_path):
    job, error = failure(written(tmp_path / "in", [b"x\n"]), max_bad_records=0)
    assert "ValueError" in str(error)
    assert job.bad_records == 0


@pytest.mark.parametrize("wrong", [-1, "1.5", "", "101%", "%", "-1%", "1e3"])
def test_a_limit_is_a_number_or_a_share(wrong):
    with pytest.raises(ValueError, match="max_bad_records must be a number of records from 0, or"):
        Job("bad").run(input=["raw://1"], map=number, max_bad_records=wrong)


@pytest.mark.parametrize("wrong", [True, 0.5, None])
def test_a_limit_of_another_type_is_refused(wrong):
    with pytest.raises(TypeError, match="max_bad_records must be an int or a str"):
        Job("bad").run(input=["raw://1"], map=number, max_bad_records=wrong)


def test_a_limit_without_a_map_or_without_the_search_is_refused(identity):
    with pytest.raises(ValueError, match="max_bad_records is about what a map reads"):
        Job("bad").run(input=["raw://1"], reduce=lambda iter, params: iter, max_bad_records=1)
    with pytest.raises(ValueError, match="remove pinpoint=0"):
        Job("bad").run(
            input=["raw://1"],
            map=external([identity]),
            max_bad_records=1,
            ext_limits={"pinpoint": 0},
        )


@given(
    parts=st.tuples(st.integers(0, 100), st.integers(0, 9999)),
    n_bad=st.integers(0, 10**6),
    n_good=st.integers(0, 10**6),
)
def test_a_share_is_exact(parts, n_bad, n_good):
    whole, decimals = parts
    if whole == 100:
        decimals = 0
    limit = BadLimit.parse(f"{whole}.{decimals:04}%")
    n = n_bad + n_good
    assert limit.is_over(n_bad, n) == (n_bad * 1_000_000 > n * (whole * 10_000 + decimals))


def test_a_share_that_is_surely_missed_stops_a_task_early():
    limit = BadLimit.parse("1%")._replace(n_bytes=100 << 20)
    assert not limit.is_over_early(10**6, 10**6, 1 << 18)  # too little to know
    assert limit.is_over_early(30_001, 40_000, (4 << 20) + (1 << 19))
    assert not limit.is_over_early(19_000, 40_000, (4 << 20) + (1 << 19))


# --- what a task keeps -------------------------------------------------------------------------


class Reader:
    """What `BadRecords` asks for: as if entry 0 was the only one."""

    n_of_init = 0

    def last_number(self):
        return 0

    def locate(self, indexes):
        return [Place("in", index) for index in indexes]


class Unreadable:
    def __repr__(self):
        raise RuntimeError

    __str__ = __repr__


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


def test_what_a_task_keeps_of_its_bad_records_is_bounded(monkeypatch):
    monkeypatch.setattr(set_aside, "MAX_KEPT", 1000)
    monkeypatch.setattr(set_aside, "MAX_BYTES", 3 << 20)
    bad = BadRecords(BadLimit.parse(10**9), 0, Reader(), Meter("mapped", 0))
    bad.add_entry(b"x" * 5000, ValueError("no"))
    (one,) = bad.placed()
    assert (len(one.value), one.n_bytes) == (1000, 5000)
    with pytest.raises(TooManyBadRecords, match="of this task take more than 3 MiB; the first"):
        for _ in range(3000):
            bad.add_entry("x" * 1000, ValueError("no"))
    assert 1000 < len(bad.placed()) < 3000


def test_records_that_were_found_later_are_in_their_places():
    bad = BadRecords(BadLimit.parse(10), 0, Reader(), Meter("mapped", 0))
    for at in (50, 200, 100):
        bad.add(at, b"", b"%d" % at, "no")
    assert [(one.place.entry, one.value) for one in bad.placed()] == [
        *((50, b"50"), (100, b"100"), (200, b"200")),
    ]


def test_objects_and_errors_that_cannot_be_shown_are_set_aside_too():
    bad = BadRecords(BadLimit.parse(10), 0, Reader(), Meter("mapped", 0))
    bad.add_entry(Unreadable(), Mute())
    bad.add_entry("\ud800", ValueError("two\nlines"))
    one, other = bad.placed()
    assert (one.value, one.error, one.is_object) == (b"<Unreadable>", "Mute", True)
    assert (other.value, other.error) == (b"\xed\xa0\x80", "ValueError: two lines")
