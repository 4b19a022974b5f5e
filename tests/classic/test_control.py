"""Jobs by their names, from the process that runs them and from others: state, events, values,
kill, purge.
"""

import cProfile
import os
import signal
import threading
from pathlib import Path

import pytest
from support.drivers import Driver, has_ended, processes_of
from support.jobs import program, words

from kvproto.classic import Job, result_iterator
from kvproto.classic.core import Disco
from kvproto.classic.func import sum_reduce
from kvproto.engine.context import sealed
from kvproto.errors import JobError, KVProtoError
from kvproto.storage import oob
from kvproto.storage.job_directory import JobPaths

pytestmark = pytest.mark.slow


@pytest.fixture
def driver(tmp_path):
    with Driver(tmp_path / "driver") as driver:
        yield driver


@pytest.fixture
def done():
    """A job of this process that is done."""
    job = Job("done").run(input=["raw://a b a"], map=words, reduce=sum_reduce)
    job.wait()
    return job


def in_thread(call):
    """Start a call in a thread; gives a function that waits for it and returns what it returned or
    raised.
    """
    outcome = []

    def run():
        try:
            outcome.append(call())
        except Exception as e:
            outcome.append(e)

    thread = threading.Thread(target=run)
    thread.start()

    def outcome_of():
        thread.join()
        return outcome[0]

    return outcome_of


# --- asking -------------------------------------------------------------------------------------


def test_a_done_job_is_asked_by_its_name_as_by_its_job(done):
    disco = Disco("disco://localhost", settings={}, proxy=None)
    assert disco.ddfs.list() == []
    assert done.name == done.job
    assert (
        disco.results(done.name) == disco.results(done) == done.results() == ("ready", done.wait())
    )
    assert dict(result_iterator(disco.results(done.name)[1])) == {"a": 2, "b": 1}
    info = disco.jobinfo(done.name)
    assert (info["job"], info["status"], info["stages"]) == (done.name, "ready", ["map", "reduce"])
    assert disco.joblist() == [(done.name, "ready", info["started"])]
    attached = Job(name=done.name)
    assert (attached.wait(), attached.job, attached.directory) == (
        done.wait(),
        done.name,
        done.directory,
    )


def test_a_job_that_is_not_there_is_unknown():
    disco = Disco()
    assert disco.results("nobody@1") == ("unknown job", [])
    for ask in (
        disco.wait,
        disco.jobinfo,
        disco.kill,
        disco.purge,
        disco.clean,
        disco.oob_list,
        disco.profile_stats,
    ):
        with pytest.raises(
            JobError, match=r"there is no job nobody@1: .*/jobs/nobody@1 does not exist"
        ):
            ask("nobody@1")
    with pytest.raises(JobError, match="no job nobody@1"):
        list(disco.events("nobody@1"))
    with pytest.raises(JobError, match="was not started, and no job has that full name: call run"):
        Job("nobody").wait()
    for name in ("", "../x", "a/b", ".hidden@1"):
        with pytest.raises(JobError, match="is not the name of a job"):
            disco.purge(name)
        assert disco.results(name) == ("unknown job", [])


@pytest.mark.documented(
    "6 new_job of Disco starts a job",
    "15 name: is the beginning of the job's name",
)
def test_new_job_runs_a_job_of_that_name():
    job = Disco().new_job("fresh", input=["raw://a"], map=words)
    assert job.name.startswith("fresh@") and list(result_iterator(job.wait())) == [("a", 1)]


def test_the_newest_job_is_the_last_of_the_list(done):
    failed = Job("a failed one").run(input=["raw://x"], map=lambda line, params: 1 / 0)
    with pytest.raises(JobError):
        failed.wait()
    assert [(name, status) for name, status, _ in Disco().joblist()] == [
        (done.name, "ready"),
        (failed.name, "dead"),
    ]


def test_events_go_on_behind_the_offset_of_the_last_one_known(done):
    events = list(done.events())
    assert [event["event"] for _, event in events if event["event"] != "progress"] == [
        *("job", "stage", "task", "stage", "task", "done")
    ]
    for number, (offset, _) in enumerate(events):
        assert list(done.events(offset)) == events[number + 1 :]


def test_the_results_of_a_stage_are_there_when_it_has_ended(done):
    assert done.stageresults("reduce") == done.wait()
    with pytest.raises(JobError, match=r"output of stage map .* was removed when the job ended"):
        done.stageresults("map")
    with pytest.raises(JobError, match="no stage 'shuffle'; its stages are: map, reduce"):
        done.stageresults("shuffle")
    map_only = Job("map").run(input=["raw://a"], map=words)
    assert map_only.wait() == map_only.stageresults("map")


def test_the_output_of_the_map_is_there_while_the_reduce_runs(tmp_path):
    told, go = tmp_path / "told", tmp_path / "go"
    os.mkfifo(told)
    os.mkfifo(go)

    def reduce(iter, params):
        told.write_text("")
        go.read_text()
        return iter

    job = Job("stages").run(input=["raw://a"], map=words, reduce=reduce)
    told.read_text()
    [path] = job.stageresults("map")
    assert os.path.isfile(path)
    with pytest.raises(JobError, match=r"stage reduce of job .* has no results: the job is active"):
        job.stageresults("reduce")
    go.write_text("")
    job.wait()


def test_out_of_band_values_are_listed_and_given(done):
    os.mkdir(JobPaths(done.name).oob)
    oob.put_all(JobPaths(done.name).oob, {"n": "3", "data": b"\0"})
    assert Disco().oob_list(done.name) == done.oob_list() == ["data", "n"]
    assert (done.oob_get("n"), Disco().oob_get(done.name, "data")) == ("3", b"\0")
    with pytest.raises(
        JobError, match=f"job {done.name} has no out-of-band value 'no'; it has data, n"
    ):
        done.oob_get("no")


def test_profiles_are_added_up_by_stage_or_all(done, capsys):
    os.mkdir(JobPaths(done.name).profile)
    for name in ("map-00000", "map-00001", "reduce-00000"):
        path = os.path.join(JobPaths(done.name).profile, name)
        cProfile.runctx("sum([1])", {}, {}, path)
        Path(path).write_bytes(sealed(Path(path).read_bytes()))
    of_map, of_reduce, of_all = (
        done.profile_stats(mode).total_calls for mode in ("map", "reduce", "")
    )
    assert of_map == 2 * of_reduce and of_all == 3 * of_reduce
    Disco().profile_stats(done.name).print_stats()
    assert f"{of_all} function calls" in capsys.readouterr().out
    with pytest.raises(JobError, match="has no profiles of stage 'x': run it with profile=True"):
        done.profile_stats("x")


def test_results_of_several_jobs_are_those_that_ended_and_those_that_run(done, driver):
    disco = Disco()
    ended, active = disco.results([done, driver.job, "nobody@1"])
    assert ended == [(done.name, ("ready", done.wait())), ("nobody@1", ("unknown job", []))]
    assert active == [(driver.job, ("active", []))]
    driver.go_on()
    ended, active = disco.results(active, timeout=60_000)
    assert [(name, status) for name, (status, _) in ended] == [
        (driver.job, "ready")
    ] and active == []
    assert disco.results([]) == ([], [])


def test_saved_results_are_a_tag_that_outlives_the_job():
    job = Job("saved").run(
        input=["raw://a b a"], map=words, reduce=sum_reduce, partitions=2, save=True
    )
    assert (
        job.wait()
        == [f"tag://disco:results:{job.name}"]
        == job.results()[1]
        == job.stageresults("reduce")
    )
    job.purge()
    assert dict(result_iterator([f"tag://disco:results:{job.name}"])) == {"a": 2, "b": 1}


def test_results_that_cannot_be_saved_fail_the_job(home):
    job = Job("unsaved")
    (home / "ddfs").mkdir(parents=True)
    (home / "ddfs" / "blob").write_text("in the way of the directory")
    with pytest.raises(JobError, match=f"writing {home}/ddfs/blob/.* KVPROTO_HOME"):
        job.run(input=["raw://a"], map=words, save=True).wait()
    assert job.results() == ("dead", [])


def test_a_required_file_that_cannot_be_placed_leaves_no_job(home):
    with pytest.raises(KVProtoError, match="File name too long"):
        Job("files").run(
            input=["raw://a"], map=words, required_files={"a" * 300: "too long a name for a file"}
        )
    assert not home.exists() or os.listdir(home / "jobs") == []


# --- from another process -----------------------------------------------------------------------


def test_a_job_of_another_process_is_waited_for(driver):
    job = Job(name=driver.job)
    assert job.results(timeout=0) == ("active", [])
    with pytest.raises(JobError, match="is not done; it continues"):
        job.wait(timeout=0)
    results = in_thread(job.wait)
    followed = in_thread(lambda: [event for _, event in job.events(follow=True)])
    driver.go_on()
    assert list(result_iterator(results())) == [("x", "went on")]
    assert [event["event"] for event in followed()][-1] == "done"
    assert {"event": "message", "text": "goes on"}.items() <= next(
        e for e in followed() if e["event"] == "message"
    ).items()


def test_a_wait_shows_what_the_job_tells(driver, capsys):
    waits = in_thread(lambda: Disco().wait(driver.job, show="nocolor"))
    driver.go_on()
    waits()
    shown = capsys.readouterr().err
    assert "map:0: goes on\n" in shown and "1/1 tasks" in shown


@pytest.mark.parametrize(
    "environment, show, is_shown", [("raw", None, True), ("raw", False, False), ("", None, False)]
)
def test_the_environment_says_whether_a_wait_shows_events_unless_its_caller_does(
    done, monkeypatch, capsys, environment, show, is_shown
):
    monkeypatch.setenv("DISCO_EVENTS", environment)
    done.wait(show=show)
    assert ('{"time": ' in capsys.readouterr().err) == is_shown


def test_a_killed_job_is_dead_and_nothing_of_it_runs(driver):
    waits = in_thread(lambda: Disco().wait(driver.job))
    directory = JobPaths(driver.job).path
    assert processes_of(directory)
    Job(name=driver.job).kill()
    assert processes_of(directory) == [] and has_ended(driver.map_process)
    assert Disco().results(driver.job) == ("dead", [])
    assert "the map stage was stopped by a kill or Ctrl-C" in str(waits())
    said = driver.end()
    assert (
        "stage was stopped" in said
        and said.count("Traceback") == 1
        and driver.process.returncode == 1
    )
    with pytest.raises(JobError, match="is dead, not active: there is nothing to kill"):
        Job(name=driver.job).kill()


def test_a_kill_ends_the_programs_of_the_job_too(tmp_path):
    told, go = tmp_path / "driver" / "told", tmp_path / "driver" / "go"
    path = program(
        tmp_path, f"open({str(told)!r}, 'w').write(str(os.getppid()))\nopen({str(go)!r}).read()\n"
    )
    start = (
        f"from kvproto.classic import external; job = Job('driven').run(input=['raw://x'], "
        f"map=external([{path!r}]))"
    )
    with Driver(tmp_path / "driver", start=start) as driver:
        directory = JobPaths(driver.job).path
        assert len(processes_of(directory)) >= 2
        Disco().kill(driver.job)
        assert processes_of(directory) == [] and not os.path.exists(JobPaths(driver.job).tmp)


def test_a_job_that_is_done_cannot_be_killed(done):
    with pytest.raises(JobError, match="is ready, not active: there is nothing to kill"):
        done.kill()
    assert done.results()[0] == "ready"


def test_a_kill_of_one_of_two_jobs_leaves_the_other(tmp_path, driver):
    with Driver(tmp_path / "other") as other:
        Disco().kill(driver.job)
        other.go_on()
        assert list(result_iterator(Disco().wait(other.job))) == [("x", "went on")]
    assert Disco().results(driver.job) == ("dead", [])


def test_a_job_whose_driver_was_killed_is_dead_and_can_be_purged(driver):
    waits = in_thread(lambda: Disco().wait(driver.job))
    driver.process.send_signal(signal.SIGKILL)
    assert "is dead: its driver, the process that ran it, ended before the job did" in str(waits())
    assert Disco().results(driver.job) == ("dead", [])
    with pytest.raises(JobError, match="is dead, not active"):
        Disco().kill(driver.job)
    assert {"spool", "tmp", "unfinished"} <= set(os.listdir(JobPaths(driver.job).path))
    assert has_ended(driver.map_process, 60)
    Disco().purge(driver.job)
    assert os.listdir(os.path.dirname(JobPaths(driver.job).path)) == []
    assert Disco().results(driver.job) == ("unknown job", [])


def test_a_purge_of_a_running_job_kills_it_first(driver):
    Disco().purge(driver.job)
    assert has_ended(driver.map_process)
    assert Disco().joblist() == []
    assert "stage was stopped" in driver.end()


def test_a_purged_job_has_nothing_left(done):
    done.purge()
    assert not os.path.exists(done.directory) and Disco().joblist() == []


def test_a_clean_leaves_the_results_and_is_refused_while_the_job_runs(done, driver):
    done.wait(clean=True)
    assert sorted(os.listdir(done.directory)) == ["events.jsonl", "results", "results.jsonl"]
    assert dict(result_iterator(Disco().wait(done.name))) == {"a": 2, "b": 1}
    with pytest.raises(JobError, match="is active: wait for it or kill it first"):
        Disco().clean(driver.job)


def test_results_are_found_where_the_home_has_been_moved_to(done, home, tmp_path, monkeypatch):
    os.rename(home, tmp_path / "moved")
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "moved"))
    assert dict(result_iterator(Disco().wait(done.name))) == {"a": 2, "b": 1}


def test_what_only_a_cluster_has_says_that_it_is_not_carried_over():
    with pytest.raises(AttributeError, match=r"kvproto has no Disco.nodeinfo"):
        Disco().nodeinfo()
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = Disco().nonsense
