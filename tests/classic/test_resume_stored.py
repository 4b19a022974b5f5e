"""A job in a store is resumed from another home."""

import os

import pytest
from support.failed_jobs import COUNTED, TEXT, failing, map, n_maps, reduce, refused, repair

from kvproto.classic import Job, result_iterator
from kvproto.engine.adopting import adopt
from kvproto.errors import JobError
from kvproto.storage.store import store_of


def other_home(monkeypatch, tmp_path):
    """Go on as on another machine, with a home of its own."""
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "other home"))


def test_a_job_in_a_store_is_resumed_from_another_home(ran, tmp_path, monkeypatch):
    needed, store = tmp_path / "needed", tmp_path / "store"
    needed.write_text("1")

    def reading(iter, params):
        with open("needed") as file:
            int(file.read())
        return reduce(iter, params)

    job = failing(ran, store=store, required_files=[str(needed)], reduce=reading)
    assert f"kvproto run --resume {job.name} --store {store}\n" in str(caught_error(job))
    repair(ran)
    other_home(monkeypatch, tmp_path)
    again = Job(name=job.name).resume(store=store)
    assert list(result_iterator(again.wait())) == COUNTED
    assert n_maps(ran) == len(TEXT)
    assert not os.path.exists(store / job.name / "journal")
    refused(Job(name=job.name), "is done")

    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "home"))
    results = Job(name=job.name).resume().wait()  # it does not know that yet
    assert list(result_iterator(results)) == COUNTED
    assert n_maps(ran) == len(TEXT)


def caught_error(job):
    with pytest.raises(JobError) as caught:
        Job(name=job.name).wait()
    return caught.value


def test_the_first_home_goes_on_from_what_the_second_one_has_done(ran, tmp_path, monkeypatch):
    store = tmp_path / "store"
    job = failing(ran, store=store)
    os.unlink(next((store / job.name / "spool").iterdir()))
    other_home(monkeypatch, tmp_path)
    with pytest.raises(JobError, match="it fails"):
        Job(name=job.name).resume(store=store).wait()
    assert n_maps(ran) == len(TEXT) + 1
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "home"))
    repair(ran)
    assert list(result_iterator(Job(name=job.name).resume().wait())) == COUNTED
    assert n_maps(ran) == len(TEXT) + 1


def test_a_driver_whose_job_was_resumed_elsewhere_stops(ran, tmp_path):
    store = tmp_path / "store"

    def stolen(iter, params):
        journal = store / this_name() / "journal"  # noqa: F821
        (journal / f"{len(os.listdir(journal)):08d}").write_bytes(b"another driver")
        return iter

    job = Job("again").run(
        input=["raw://a", "raw://b"], map=map, reduce=stolen, params=ran, store=store
    )
    with pytest.raises(JobError, match=r"another driver has resumed the job: .*, which stops"):
        job.wait()


def test_a_store_without_such_a_job_is_an_error(tmp_path):
    with pytest.raises(JobError, match=r"there is nothing in .*nothing@1 to resume a job with"):
        Job(name="nothing@1").resume(store=tmp_path / "store")


def test_a_job_of_another_user_is_not_resumed_from_a_store(ran, tmp_path, monkeypatch):
    store = tmp_path / "store"
    job = failing(ran, store=store)
    other_home(monkeypatch, tmp_path)
    user = os.geteuid() + 1
    monkeypatch.setattr("os.geteuid", lambda: user)
    with pytest.raises(JobError, match=f"{store}/{job.name} belongs to another user"):
        adopt(job.name, str(store))


@pytest.mark.parametrize("with_reduce", [True, False], ids=["reduce", "map alone"])
def test_a_job_in_an_object_store_is_resumed_from_another_home(
    ran, bucket, tmp_path, monkeypatch, with_reduce
):
    def one_fails(line, params):
        if line == "a" and not os.path.exists(f"{params}.repaired"):
            raise RuntimeError("it fails")
        return map(line, params)

    store = f"{bucket}/jobs"
    if with_reduce:
        job = failing(ran, store=store)
    else:
        job = failing(ran, store=store, map=one_fails, reduce=None, processes=1)
    repair(ran)
    other_home(monkeypatch, tmp_path)
    again = Job(name=job.name).resume(store=store)
    pairs = list(result_iterator(again.wait()))
    mapped = [(word, 1) for line in TEXT for word in line.split()]
    assert pairs == (COUNTED if with_reduce else mapped)
    assert n_maps(ran) == len(TEXT)
    assert not store_of(store).names(f"{store}/{job.name}/journal")
