"""Jobs on other engines: on an executor of this machine, and on a real Dask cluster."""

import os
import socket
import sys
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from support.command_line import kvproto_command
from support.jobs import COUNT, LIBRARY, counted, events, program, results, words

from kvproto.classic import Job, func, result_iterator
from kvproto.driver.files import external
from kvproto.engine.engines import Cluster
from kvproto.engine.pool import n_cores
from kvproto.errors import DataError, JobError

TEXT = [str(LIBRARY / name) for name in ("re/__init__.py", "ast.py", "abc.py", "os.py")]
COUNTS = counted(TEXT, rb"\S+")


def sums(iter, params):
    return func.sum_reduce(iter, params)


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(params=["processes", "dask"])
def engine(request):
    return request.getfixturevalue(request.param)


def word_counts(**jobargs):
    return {
        key.encode(): value
        for key, value in results(input=TEXT, map=words, reduce=sums, partitions=3, **jobargs)
    }


def test_an_executor_counts_the_words_as_this_machine_does(engine):
    assert word_counts(engine=engine) == COUNTS


def test_an_executor_of_threads_counts_them_too():
    with ThreadPoolExecutor(2) as executor:
        assert word_counts(engine=executor) == COUNTS


def test_an_engine_leaves_in_the_directory_of_a_job_what_this_machine_leaves(engine):
    def left(**jobargs):
        job = Job("test").run(input=TEXT, map=words, reduce=sums, **jobargs)
        job.wait()
        return sorted(os.listdir(job.directory)), sorted(os.listdir(f"{job.directory}/results"))

    assert left(engine=engine) == left()


def test_a_program_with_its_files_and_the_files_of_the_job_reach_the_workers(engine, tmp_path):
    (tmp_path / "extra.py").write_text("VALUE = 7\n")
    worker = program(tmp_path, COUNT)
    counts = results(input=TEXT, map=external([worker]), reduce=external([worker]), engine=engine)
    assert {key: int(value) for key, value in counts} == counted(TEXT)

    def read(line, params):
        import extra  # noqa: PLC0415

        with open("words.txt") as file:
            yield file.read(), extra.VALUE

    files = {"words.txt": b"from the job", "extra.py": (tmp_path / "extra.py").read_bytes()}
    given = dict(input=["raw://x"], map=read, required_files=files)
    assert results(engine=engine, **given) == [("from the job", 7)]


def test_tasks_leave_the_process_of_the_worker_as_it_was(dask):
    def wander(line, params):
        os.chdir("/")
        os.environ["LOST"] = "yes"
        sys.modules["lost"] = sys
        yield os.getcwd(), "LOST" in os.environ

    def look(line, params):
        yield "LOST" in os.environ, os.getcwd() == "/"

    results(input=["raw://x"] * 4, map=wander, engine=dask)
    assert set(results(input=["raw://x"], map=look, engine=dask)) == {(False, False)}


def test_a_function_that_fails_ends_the_job_once_with_its_own_error(engine):
    def fail(line, params):
        print("I begin")
        return {}["missing"]

    job = Job("test").run(input=["raw://x"], map=fail, engine=engine)
    with pytest.raises(
        JobError, match=r"task map:0 failed:\n(.|\n)*in fail(.|\n)*KeyError: 'missing'"
    ):
        job.wait()
    assert [event["event"] for event in events(job)] == ["job", "stage", "message", "failed"]


def test_the_command_that_resumes_a_job_names_its_cluster_and_its_tasks_run_here(dask):
    def fail(iter, params):
        raise ValueError(f"the pairs are {sorted(iter)}")

    job = Job("test").run(input=["raw://x"], map=words, reduce=fail, engine=dask)
    with pytest.raises(JobError, match=f"kvproto run --resume {job.name} --engine {dask}\n"):
        job.wait()
    replayed = kvproto_command("replay", job.name)
    assert replayed.returncode == 1
    assert b"\nValueError: the pairs are [('x', 1)]\n" in replayed.stderr


def test_an_input_that_fails_is_tried_again_and_each_retry_is_an_event(engine):
    def fail(line, params):
        raise DataError("not yet")

    job = Job("test").run(input=["raw://x"], map=fail, engine=engine)
    with pytest.raises(JobError, match="failed after 3 attempts"):
        job.wait()
    assert [e["attempt"] for e in events(job) if e["event"] == "retry"] == [1, 2]


def test_a_task_that_dies_costs_the_worker_nothing_and_is_tried_again(engine, tmp_path):
    def die_once(line, params):
        try:
            os.mkdir(tmp_path / "mark")
        except FileExistsError:
            return [(line, 1)]
        os.write(2, b"the last words\n")
        os._exit(7)

    job = Job("test").run(input=["raw://x"], map=die_once, engine=engine)
    assert list(result_iterator(job.wait())) == [("x", 1)]
    [retry] = [event for event in events(job) if event["event"] == "retry"]
    assert "ended with exit status 7" in retry["text"] and "the last words" in retry["text"]


def test_messages_come_while_their_task_runs(engine, tmp_path):
    """The task waits until the driver has its message: without that, it would wait for ever."""
    os.mkfifo(tmp_path / "seen")

    def speak(line, params):
        print("now")
        (tmp_path / "seen").read_text()
        yield line, 1

    def on_event(event):
        if event["event"] == "message":
            (tmp_path / "seen").write_text("yes")

    job = Job("test").run(input=["raw://x"], map=speak, engine=engine, on_event=on_event)
    assert list(result_iterator(job.wait())) == [("x", 1)]


@pytest.mark.cluster
def test_messages_are_events_at_most_two_seconds_late(engine, tmp_path):
    """Each message is the time when it was printed; the next one follows when it is an event."""
    os.mkfifo(tmp_path / "seen")

    def speak(line, params):
        for _ in range(5):
            print(time.time())
            (tmp_path / "seen").read_text()
        yield line, 1

    late = []

    def on_event(event):
        if event["event"] == "message":
            late.append(event["time"] - float(event["text"]))
            (tmp_path / "seen").write_text("yes")

    job = Job("test").run(input=["raw://x"], map=speak, engine=engine, on_event=on_event)
    assert list(result_iterator(job.wait())) == [("x", 1)]
    assert len(late) == 5 and sorted(late)[2] < 2 and max(late) < 5  # a busy machine adds to it


def test_two_jobs_on_one_cluster_do_not_meet(dask):
    def label(line, params):
        yield params, os.path.basename(os.environ["KVPROTO_HOME"])

    jobs = [
        Job("test").run(input=["raw://x"] * 8, map=label, params=number, engine=dask)
        for number in range(2)
    ]
    assert [set(result_iterator(job.wait())) for job in jobs] == [{(0, "home")}, {(1, "home")}]


def test_a_slow_task_gets_a_second_attempt_whose_result_counts(engine, tmp_path):
    never = tmp_path / "never"
    os.mkfifo(never)

    def slow_once(line, params):
        if line == "9":
            try:
                os.mkdir(tmp_path / "mark")
            except FileExistsError:
                return [("second", 1)]
            never.read_text()
        return [(line, 1)]

    given = dict(input=[f"raw://{n}" for n in range(10)], map=slow_once, map_init=lambda i, p: None)
    job = Job("test").run(engine=engine, **given)
    counts = dict(result_iterator(job.wait()))
    assert counts == {**{str(n): 1 for n in range(9)}, "second": 1}
    ended = [event for _, event in job.events() if event["event"] == "task" and event["task"] == 9]
    host = socket.gethostname()
    assert sorted((one["attempt"], one["outcome"], one["host"]) for one in ended) == [
        (0, "cancelled", host),
        (1, "done", host),
    ]


# --- what cannot run ---------------------------------------------------------------------------


def test_a_worker_with_another_version_is_an_error_before_the_first_task(
    engine, tmp_path, monkeypatch
):
    monkeypatch.setattr("kvproto.engine.executors.versions", lambda: ("3.2", "0.0.1"))

    def begin(line, params):
        (tmp_path / "begun").touch()
        return []

    job = Job("test").run(input=["raw://x"], map=begin, engine=engine)
    with pytest.raises(
        JobError,
        match=r"the worker process \S+ has Python 3\.\d+ and kvproto .*driver has Python 3.2",
    ):
        job.wait()
    assert not (tmp_path / "begun").exists()


def test_a_worker_that_does_not_see_the_directory_of_the_job_says_what_to_share(dask, monkeypatch):
    # The same path is another directory in each process.
    monkeypatch.setenv("KVPROTO_HOME", "/proc/self/cwd/home")
    job = Job("test").run(input=["raw://x"], map=words, engine=dask)
    with pytest.raises(
        JobError, match=r"cannot read what the driver wrote in /proc/self/cwd/home/jobs/.*must see"
    ):
        job.wait()


@pytest.mark.parametrize(
    "engine, extra, module", [("dask://127.0.0.1:1", "dask", "distributed"), ("ray", "ray", "ray")]
)
def test_an_engine_without_its_package_says_what_to_install(
    engine, extra, module, monkeypatch, home
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(JobError, match=rf"pip install 'kvproto\[{extra}\]'"):
        Job("test").run(input=["raw://x"], map=words, engine=engine)
    assert not list(home.glob("jobs/*"))


@pytest.mark.parametrize(
    "engine, error", [("spark://x", ValueError), (None, TypeError), (7, TypeError)]
)
def test_what_is_no_engine_is_refused_with_what_there_is(engine, error, home):
    with pytest.raises(error, match="Executor"):
        Job("test").run(input=["raw://x"], map=words, engine=engine)
    assert not list(home.glob("jobs/*"))


class Refusing(Executor):
    """An executor that gives each call up."""

    def submit(self, fn, /, *args, **kwargs):
        raise RuntimeError("the queue is closed")


class OfFive(Refusing):
    """An executor that says how many calls it runs in the way of executorlib."""

    max_workers = 5


def test_an_executor_says_how_many_calls_it_runs_or_they_are_as_many_as_there_are_cores(processes):
    executors = processes, OfFive(), Refusing()
    assert [Cluster(executor).slots() for executor in executors] == [2, 5, n_cores()]


def test_no_more_tasks_run_at_a_time_than_were_asked_for(dask, tmp_path):
    def alone(line, params):
        os.mkdir(tmp_path / "runs")
        sum(range(1_000_000))
        os.rmdir(tmp_path / "runs")
        return [(line, 1)]

    given = dict(input=[f"raw://{n}" for n in range(6)], map_init=lambda iter, params: None)
    assert len(results(map=alone, processes=1, engine=dask, **given)) == 6


def test_an_executor_that_takes_no_calls_ends_the_job_with_its_text():
    job = Job("test").run(input=["raw://x"], map=words, engine=Refusing())
    with pytest.raises(JobError, match=r"the executor .*RuntimeError: the queue is closed"):
        job.wait()


@pytest.mark.slow
def test_the_command_runs_a_job_on_a_cluster(dask, tmp_path):
    (tmp_path / "count.py").write_text(
        "from kvproto.classic import Job\n"
        "class Count(Job):\n"
        "    @staticmethod\n"
        "    def map(line, params):\n"
        "        return [(word, 1) for word in line.split()]\n"
    )
    done = kvproto_command("run", "--engine", dask, "count.Count", "raw://a b", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"a\t1\nb\t1\n")
