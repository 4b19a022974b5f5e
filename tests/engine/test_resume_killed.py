"""However the driver of a job is killed, another one goes on from the finished tasks: the results
are the same bytes, and no task runs again whose attempt was accepted.
"""

import random

import pytest
from support.jobs import KEPT
from support.resuming import INPUTS, Killed, accepted, content, disk_names

from kvproto.classic import Job
from kvproto.engine.job_handle import READY, JobHandle
from kvproto.engine.sweep import sweep
from kvproto.errors import JobError

NEVER = 1 << 60


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The results of the job, and how many lines its driver runs."""
    directory = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KVPROTO_HOME", str(directory / "home"))
        killed = Killed(directory)
        n_lines = int(killed.drive("run", NEVER))
        job = Job(name=killed.job())
        return content(job.wait()), n_lines, job.oob_list()


def resumed(directory, undisturbed, moments):
    """Kill the driver at each of these moments, from 0 to 1; then let the job end."""
    expected, n_lines, keys = undisturbed
    killed = Killed(directory)
    for number, moment in enumerate(moments):
        what = "run" if not number else killed.job()
        was_accepted, n_began = accepted(what), len(killed.began())
        killed.drive(what, 1 + int(moment * n_lines))
        assert not was_accepted.intersection(killed.began()[n_began:])
        if killed.job() is None or JobHandle(killed.job()).status() == READY:
            break
        if not accepted(killed.job()):
            break
    name = killed.job()
    if name is None:
        return
    was_accepted, n_began = accepted(name), len(killed.began())
    if JobHandle(name).status() != READY:
        if not was_accepted:
            with pytest.raises(JobError, match="none of its tasks had finished: run it again"):
                Job(name=name).resume()
            return
        Job(name=name).resume(processes=2).wait()
    job = Job(name=name)
    assert not was_accepted.intersection(killed.began()[n_began:])
    assert content(job.wait()) == expected
    assert job.oob_list() == keys
    assert [job.oob_get(f"map-{url[6:]}") for url in INPUTS] == [url[6:] for url in INPUTS]
    sweep()  # the driver may have been killed when the job was done
    assert disk_names(name) == [*KEPT, "oob", "results", "results.jsonl"]


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0.3, 0.6, 0.9, 0.99])
def test_a_job_is_resumed_after_its_driver_was_killed(tmp_path, undisturbed, moment):
    resumed(tmp_path, undisturbed, [moment])


def test_a_job_is_resumed_after_each_of_several_drivers_was_killed(tmp_path, undisturbed):
    resumed(tmp_path, undisturbed, [0.4, 0.3, 0.3])


@pytest.mark.cluster
@pytest.mark.parametrize("seed", range(50))
def test_a_job_is_resumed_after_its_driver_was_killed_at_any_moment(tmp_path, undisturbed, seed):
    draw = random.Random(seed)
    resumed(tmp_path, undisturbed, [draw.random() for _ in range(1 + seed % 2)])
