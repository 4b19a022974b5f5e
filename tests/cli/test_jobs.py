"""`kvproto jobs` and the commands that take a job's name, run from processes other than the job's
own.
"""

import glob
import json
import os
import re
import select
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.command_line import command_line, kvproto_command

from kvproto.engine.registry import all_jobs
from kvproto.engine.starts import started
from kvproto.storage.home import home

pytestmark = pytest.mark.slow

MODULE = """
import threading
from kvproto.classic import Job

class Lengths(Job):
    def map(line, params):
        put("some-key", b"any\\xff bytes")
        put("text", "caf\\u00e9")
        yield line.rstrip(), len(line)

class Broken(Job):
    def map(line, params):
        raise RuntimeError("the map is broken")

class Waits(Job):
    def map(line, params):
        put("a", "b")
        with open("runs", "w") as file:
            print("it runs", file=file, flush=True)
            threading.Event().wait()
"""


def prepare(directory):
    """Make a directory with a module of jobs, and an input."""
    (directory / "here.py").write_text(MODULE)
    (directory / "input").write_text("one\nthree\n")
    return directory


@pytest.fixture(autouse=True)
def here(tmp_path):
    """The directory in which the test's commands work."""
    return prepare(tmp_path)


@pytest.fixture(scope="module")
def two_jobs(tmp_path_factory):
    """A home with two jobs that are done, for tests that change nothing in it."""
    directory = prepare(tmp_path_factory.mktemp("two"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KVPROTO_HOME", str(directory / "home"))
        patch.chdir(directory)
        return directory / "home", [run("Lengths"), run("Lengths")]


def command(*arguments):
    return kvproto_command(*arguments, cwd=os.getcwd())


def said(*arguments):
    """What a command that has to work prints."""
    done = command(*arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def refused(*arguments, status=1):
    """What stderr says of a command that must not work."""
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (status, b"")
    assert done.stderr.startswith((b"kvproto: ", b"usage: "))
    return done.stderr.decode()


def run(job, *options):
    """Run a job of the module to its end, good or bad; returns its full name."""
    command("run", "-q", f"here.{job}", *options, "input")
    return names()[-1]


def table():
    return [line.split() for line in said("jobs").decode().splitlines()[1:]]


def names():
    return sorted(all_jobs(), key=started)


@pytest.fixture
def active(here):
    """A job that runs and does not end by itself: its name and its driver, a process."""
    os.mkfifo(here / "runs")
    process = subprocess.Popen(
        command_line("run", "here.Waits", "-n", "active", "input"), stderr=subprocess.PIPE
    )
    fd = os.open(here / "runs", os.O_RDONLY | os.O_NONBLOCK)
    assert select.select([fd], [], [], 30)[0], process.stderr
    yield SimpleNamespace(name=names()[-1], driver=process)
    process.terminate()
    process.communicate()
    os.close(fd)


HEAD = ["NAME", "STATUS", "STARTED", "SECONDS", "RESULTS", "SIZE"]


# --- listing -------------------------------------------------------------------------------------


def test_jobs_are_listed_the_newest_last_with_their_status(active):
    ended = [run("Lengths", "--partitions", "1"), run("Broken")]
    head, *rows = said("jobs").decode().splitlines()
    assert head.split() == HEAD
    assert [row.split()[0] for row in rows] == [active.name, *ended]
    assert [row.split()[1] for row in rows] == ["active", "ready", "dead"]
    assert [row.split()[-3] for row in rows] == ["-", "1", "-"]
    for row in rows:
        assert re.search(r"  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d  +\d+\.\d  ", row)
        assert re.search(r" [\d.]+ (bytes|kB)$", row)


def test_jobs_are_listed_as_json_with_the_sizes_of_what_they_keep(here):
    name, broken = run("Lengths", "--partitions", "2"), run("Broken")
    ready, dead = map(json.loads, said("jobs", "--json").splitlines())
    assert list(ready) == [
        "name",
        "status",
        "started",
        "seconds",
        "results",
        "bytes",
        "result_bytes",
        "spool_bytes",
        "resumable_bytes",
        "directory",
        "store",
    ]
    assert (ready["name"], ready["status"]) == (name, "ready")
    assert (dead["name"], dead["status"], dead["results"]) == (broken, "dead", [])
    assert ready["started"] <= dead["started"]
    directory = Path(ready["directory"])
    assert ready["store"] is None
    assert [os.path.dirname(path) for path in ready["results"]] == [str(directory / "results")] * 2
    assert ready["result_bytes"] == sum(map(os.path.getsize, ready["results"]))
    files = [path for path in directory.rglob("*") if not path.is_dir()]
    assert ready["bytes"] == sum(path.stat().st_size for path in files) > ready["result_bytes"]


def test_the_spool_of_a_job_is_a_part_of_its_size(active):
    [directory] = map(Path, glob.glob(f"{home()}/jobs/{active.name}"))
    (directory / "spool" / "map-0").write_bytes(bytes(5000))
    [job] = map(json.loads, said("jobs", "--json").splitlines())
    assert job["spool_bytes"] == 5000
    assert job["bytes"] > 5000


def test_where_there_are_no_jobs_the_list_is_empty():
    assert said("jobs").decode().split() == HEAD


def test_a_job_whose_driver_ended_before_its_first_event_says_what_to_do(home):
    name = "early@20260101-000000-00000000"
    (home / "jobs" / name).mkdir(parents=True)
    done = kvproto_command("jobs")
    advice = f"its driver ended before it began; kvproto purge {name} removes it"
    assert done.stderr.decode() == f"kvproto: job {name}: {advice}\n"
    assert kvproto_command("purge", name).returncode == 0
    assert kvproto_command("jobs").stderr == b""


def test_a_job_whose_process_was_killed_is_dead_and_its_seconds_are_unknown(active):
    with subprocess.Popen(command_line("wait", "-q", active.name), stderr=subprocess.PIPE) as waits:
        active.driver.kill()
        assert (
            b"its driver, the process that ran it, ended before the job did" in waits.stderr.read()
        )
    assert waits.returncode == 1
    assert table()[0][1] == "dead" and table()[0][-4:-2] == ["-", "-"]


# --- names ---------------------------------------------------------------------------------------


def test_a_job_is_named_whole_or_by_a_beginning_of_its_own_or_as_the_last_one():
    first = run("Lengths", "-n", "first")
    second = run("Lengths", "-n", "second")
    for name, job in (first, first), ("fir", first), ("@", second):
        assert f"/{job}/results/".encode() in said("results", name)


@pytest.mark.parametrize(
    "arguments",
    [["results"], ["events"], ["wait"], ["oob"], ["counters"], ["kill"], ["purge"], ["pstats"]],
)
def test_a_name_that_is_no_job_or_several_jobs_is_an_error(arguments, two_jobs, monkeypatch):
    assert re.fullmatch(r"kvproto: there are no jobs in .*/home; .*\n", refused(*arguments, "@"))
    home, [first, second] = two_jobs
    monkeypatch.setenv("KVPROTO_HOME", str(home))
    assert refused(*arguments, "Nothing").startswith("kvproto: there is no job Nothing in")
    several = refused(*arguments, "Len")
    assert (
        several.startswith("kvproto: 2 jobs begin with Len: give more")
        and first in several
        and second in several
    )
    assert names() == [first, second]


# --- results, events, wait -----------------------------------------------------------------------


def test_results_are_urls_or_pairs_in_a_form():
    run("Lengths")
    [path] = said("results", "@").decode().splitlines()
    assert os.path.isfile(path)
    assert said("results", "@", "--out", "text") == b"one\t4\nthree\t6\n"
    assert [json.loads(line) for line in said("results", "--out", "jsonl", "@").splitlines()] == [
        ["one", 4],
        ["three", 6],
    ]
    assert "int is neither bytes nor str" in refused("results", "--out", "kv", "@")


def test_results_that_were_saved_are_a_tag():
    job = run("Lengths", "--save")
    assert said("results", "@").decode().strip().startswith(f"tag://disco:results:{job}")
    assert said("results", "@", "--out", "text") == b"one\t4\nthree\t6\n"


def test_results_that_are_not_there_are_an_error_that_says_why(active):
    assert f"kvproto: job {active.name} is not done; it continues" in refused(
        "results", active.name
    )
    assert "the map is broken" in refused("results", run("Broken"))


def test_events_are_json_lines():
    run("Lengths")
    events = [json.loads(line)["event"] for line in said("events", "@").splitlines()]
    assert (events[0], events[-1]) == ("job", "done")


def test_events_are_followed_until_the_job_ends(active):
    with subprocess.Popen(command_line("events", "-f", "@"), stdout=subprocess.PIPE) as process:
        assert json.loads(process.stdout.readline())["event"] == "job"
        assert [json.loads(line)["event"] for line in said("events", "@").splitlines()][
            -1
        ] != "failed"
        said("kill", active.name)
        assert json.loads(process.stdout.read().splitlines()[-1])["event"] == "failed"
    assert process.returncode == 0


def test_wait_shows_progress_and_prints_the_urls_of_the_results():
    run("Lengths")
    done = command("wait", "@")
    assert (done.returncode, done.stdout) == (0, said("results", "@"))
    assert said("wait", "--quiet", "@") == done.stdout


def test_wait_for_a_job_that_failed_is_status_1_with_its_error():
    run("Broken")
    assert "the map is broken" in refused("wait", "-q", "@")


def test_a_wait_whose_time_is_over_is_status_124_and_the_job_goes_on(active):
    assert "is not done after 0.01 seconds; it continues" in refused(
        "wait", "-q", "--timeout", "0.01", "@", status=124
    )
    assert table()[0][1] == "active"


def test_a_wait_whose_time_is_over_says_so_below_the_live_lines(active):
    main, terminal = os.openpty()
    done = subprocess.run(
        command_line("wait", "--timeout", "0.01", "@"),
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
        check=False,
    )
    said = os.read(main, 65536).decode()
    assert done.returncode == 124 and "map    " in said
    assert re.search(r"\r\nkvproto: job .* is not done after 0.01 seconds", said)
    os.close(main)
    os.close(terminal)


# --- oob, kill, purge, pstats --------------------------------------------------------------------


def test_oob_lists_keys_and_writes_a_value_as_it_is():
    run("Lengths")
    assert said("oob", "@") == b"some-key\ntext\n"
    assert said("oob", "@", "some-key") == b"any\xff bytes"
    assert said("oob", "@", "text") == "café".encode()
    assert "nothing" in refused("oob", "@", "nothing")
    assert "'no key' cannot be the key" in refused("oob", "@", "no key", status=2)


def test_kill_stops_a_job_that_runs_and_refuses_one_that_does_not(active):
    assert said("kill", "@") == b""
    assert table()[0][1] == "dead"
    assert "is dead, not active" in refused("kill", "@")


def test_purge_removes_jobs_that_have_ended(here):
    first, _, _ = (
        run("Lengths", "-n", "first"),
        run("Lengths", "-n", "second"),
        run("Lengths", "-n", "third"),
    )
    assert said("purge", "third", "second") == b""
    assert names() == [first] and os.listdir(here / "home" / "jobs") == [first]


def test_purge_removes_nothing_when_one_of_the_jobs_still_runs(active):
    job = run("Lengths")
    assert f"job {active.name} is active: stop it with `kvproto kill {active.name}`" in refused(
        "purge", job, "active"
    )
    assert names() == [active.name, job]
    assert said("kill", "active") == said("purge", "active") == b""
    assert names() == [job]


def test_purge_removes_nothing_when_one_of_the_names_is_wrong():
    job = run("Lengths")
    assert "there is no job Nothing" in refused("purge", "@", "Nothing")
    assert names() == [job]


def test_purge_older_than_takes_jobs_that_have_ended_and_began_before(active, here):
    old, new = run("Lengths", "-n", "old"), run("Lengths", "-n", "new")
    for job, n_days in (active.name, 9), (old, 8), (new, 6):
        began_days_ago(here / "home" / "jobs" / job / "events.jsonl", n_days)
    assert said("purge", "--older-than", "7") == b""
    assert names() == [active.name, new]


def began_days_ago(path, n_days):
    first, *others = path.read_text().splitlines(keepends=True)
    event = {**json.loads(first), "time": time.time() - n_days * 86400}
    path.write_text("".join([json.dumps(event) + "\n", *others]))


def test_pstats_shows_the_functions_of_a_profiled_job():
    run("Lengths", "--profile")
    lines = said("pstats", "@", "--sort", "calls", "-n", "3").decode().splitlines()
    at = next(n for n, line in enumerate(lines) if line.split()[:1] == ["ncalls"])
    assert str(os.getcwd()) not in "\n".join(lines)  # no list of the files that it read
    assert "Ordered by: call count" in "\n".join(lines[:at])
    assert len([line for line in lines[at + 1 :] if line]) == 3


def test_pstats_of_a_job_that_was_not_profiled_says_what_to_do():
    run("Lengths")
    assert "has no profiles" in refused("pstats", "@")


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["purge"], "name the jobs"),
        (["purge", "--older-than", "1", "name"], "name the jobs"),
        (["purge", "--older-than", "-1"], "not a number of days"),
        (["kill"], "NAME"),
        (["results", "@", "--out", "lines"], "invalid choice"),
        (["wait", "@", "--timeout", "0"], "seconds above 0"),
        (["jobs", "name"], "unrecognized arguments: name"),
    ],
)
def test_wrong_usage_is_status_2(arguments, says):
    assert says in refused(*arguments, status=2)


@pytest.mark.parametrize(
    "name",
    ["run", "jobs", "results", "events", "wait", "oob", "counters", "kill", "purge", "pstats"],
)
def test_help_has_exit_statuses_and_an_example(name):
    text = said(name, "--help").decode()
    assert "exit status: 0" in text and re.search(rf"example.*\n  kvproto {name}", text)
