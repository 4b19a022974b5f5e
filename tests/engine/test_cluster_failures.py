"""Parts of a cluster that end while a job runs: tasks, worker processes, scheduler, driver."""

import os
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.dask_cluster import own_cluster, pids
from support.jobs import events
from support.resuming import content

from kvproto.classic import Job, result_iterator
from kvproto.classic.core import Disco
from kvproto.errors import JobError

INPUT = [f"raw://{number}" for number in range(6)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The URL of a cluster whose workers may be killed: they are started again."""
    with own_cluster(tmp_path_factory.mktemp("dask")) as url:
        yield url


@pytest.fixture(params=["processes", "dask"])
def engine(request):
    if request.param == "dask":
        yield request.getfixturevalue("cluster")
    else:
        with ProcessPoolExecutor(2) as executor:
            yield executor


class Gate:
    """Where the first task that comes waits for ever, and says which process it is."""

    def __init__(self, directory):
        self.directory = directory
        for name in ("pid", "never"):
            os.mkfifo(directory / name)

    def wait(self):
        """In a task: wait, unless another task was here before."""
        try:
            os.mkdir(self.directory / "mark")
        except FileExistsError:
            return
        log = os.path.basename(os.readlink("/proc/self/fd/2"))  # process-HOST-PID-NUMBER.txt
        (self.directory / "pid").write_text(f"{os.getpid()} {log.rsplit('-', 2)[1]}")
        (self.directory / "never").read_text()

    def pids(self):
        """Wait for the task: the pids of its process, and of the worker process that runs it."""
        task, worker = (self.directory / "pid").read_text().split()
        return int(task), int(worker)


@pytest.fixture
def gate(tmp_path):
    return Gate(tmp_path)


@contextmanager
def ends(pid):
    """The process is alive at the beginning of the body, and ends soon after its end."""
    watch = os.pidfd_open(pid)
    try:
        yield
        assert select.select([watch], [], [], 15)[0], f"process {pid} is still alive"
    finally:
        os.close(watch)


def retries(job):
    return [(e["stage"], e["task"], e["text"]) for e in events(job) if e["event"] == "retry"]


def counting(directory):
    """A map, which leaves a file each time that it runs."""

    def map(line, params):
        (directory / f"map-{line}-{os.urandom(4).hex()}").touch()
        return [(line, 1)]

    return map


@pytest.mark.parametrize("stage", ["map", "reduce"])
def test_a_killed_worker_process_costs_only_the_call_that_it_ran(cluster, tmp_path, gate, stage):
    count = counting(tmp_path)

    def map(line, params):
        if stage == "map" and line == "3":
            gate.wait()
        return count(line, params)

    def reduce(iter, params):
        pairs = list(iter)
        if stage == "reduce":
            gate.wait()
        return pairs

    others_are_done = threading.Event()

    def on_event(event):
        if event["event"] == "progress" and event["done"] == 5:
            others_are_done.set()

    job = Job("test").run(
        input=INPUT,
        map=map,
        map_init=lambda iter, params: None,  # a task for each input
        reduce=reduce,
        engine=cluster,
        on_event=on_event,
    )
    task, worker = gate.pids()
    assert others_are_done.wait(60)
    with ends(task):
        os.kill(worker, signal.SIGKILL)
        assert sorted(result_iterator(job.wait())) == [(str(number), 1) for number in range(6)]
    [(number, text)] = [(number, text) for where, number, text in retries(job) if where == stage]
    assert number == (3 if stage == "map" else 0)
    assert f":{worker} ended" in text
    assert len(list(tmp_path.glob("map-*"))) == 6


def test_a_call_that_kills_each_worker_ends_the_job_with_the_text_of_dask(cluster):
    def die(line, params):
        log = os.path.basename(os.readlink("/proc/self/fd/2"))
        os.kill(int(log.rsplit("-", 2)[1]), signal.SIGKILL)
        signal.pause()

    job = Job("test").run(input=["raw://x"], map=die, attempts=10, engine=cluster)
    with pytest.raises(JobError, match=r"Dask gave up task map:0: KilledWorker: .*workers died"):
        job.wait()
    assert len(retries(job)) == 3


def test_a_call_that_kills_each_worker_fails_after_its_attempts(cluster):
    def die(line, params):
        log = os.path.basename(os.readlink("/proc/self/fd/2"))
        os.kill(int(log.rsplit("-", 2)[1]), signal.SIGKILL)
        signal.pause()

    job = Job("test").run(input=["raw://x"], map=die, attempts=2, engine=cluster)
    with pytest.raises(JobError, match=r"map:0 failed after 2 attempts.*\n.*the worker process"):
        job.wait()


def test_an_executor_that_breaks_ends_the_job_with_its_text(gate):
    def map(line, params):
        gate.wait()

    with ProcessPoolExecutor(2) as executor:
        job = Job("test").run(input=["raw://x"], map=map, engine=executor)
        task, worker = gate.pids()
        with ends(task):
            os.kill(worker, signal.SIGKILL)
            with pytest.raises(JobError, match="gave up task map:0: BrokenProcessPool"):
                job.wait()


def test_a_job_that_is_killed_leaves_no_task_process_on_the_workers(engine, gate):
    def map(line, params):
        gate.wait()

    job = Job("test").run(input=["raw://x"], map=map, engine=engine)
    task, _ = gate.pids()
    with ends(task):
        job.kill()
    assert Disco().results(job.name)[0] == "dead"


def test_a_task_that_fails_ends_the_others_of_its_stage(engine, gate, tmp_path):
    def map(line, params):
        if line == "0":
            gate.wait()
        (tmp_path / "seen").read_text()
        raise ValueError("a bug")

    os.mkfifo(tmp_path / "seen")
    job = Job("test").run(
        input=INPUT[:2], map=map, map_init=lambda iter, params: None, engine=engine
    )
    task, _ = gate.pids()
    with ends(task):
        (tmp_path / "seen").write_text("yes")
        with pytest.raises(JobError, match="a bug"):
            job.wait()


@pytest.mark.parametrize(
    "where", ["another cluster", pytest.param("this machine", marks=pytest.mark.cluster)]
)
def test_a_job_that_lost_its_scheduler_publishes_nothing_and_is_resumed(
    cluster, tmp_path, gate, where
):
    def reduce(iter, params):
        pairs = sorted(iter)
        gate.wait()
        return pairs

    one_is_left = threading.Event()

    def on_event(event):
        if (event.get("stage"), event.get("done")) == ("reduce", 2):
            one_is_left.set()

    given = dict(input=INPUT, map=counting(tmp_path), reduce=reduce, partitions=3)
    given["map_init"] = lambda iter, params: None  # a task for each input
    directory = tmp_path / "dask"
    with own_cluster(directory) as url:
        job = Job("test").run(engine=url, on_event=on_event, **given)
        task, _ = gate.pids()
        assert one_is_left.wait(60)
        with ends(task):
            os.kill(pids(directory)["scheduler"], signal.SIGKILL)
            with pytest.raises(JobError, match=r"Dask gave up task reduce:\d: .*[Cc]ancelled"):
                job.wait()
    assert Disco().results(job.name) == ("dead", [])
    assert not list(Path(job.directory).glob("results*"))
    again = Job(name=job.name).resume(engine=cluster if where == "another cluster" else "local")
    results = content(again.wait())
    assert len(list(tmp_path.glob("map-*"))) == 6
    [skipped] = [event["skipped"] for event in events(again) if event["event"] == "resumed"]
    assert "map:0-5" in skipped and any(tasks.startswith("reduce:") for tasks in skipped)
    assert results == content(Job("whole").run(**given).wait())


DRIVER = """
import sys
import threading
from pathlib import Path
from kvproto.classic import Job
from kvproto.engine import executors
executors._PATIENCE = 3.0

def map(line, params):
    import os
    directory = Path(params)
    (directory / "pid").write_text(f"{os.getpid()} 0")
    (directory / "never").read_text()

if __name__ == "__main__":
    Job("test").run(input=["raw://x"], map=map, params=sys.argv[1], engine=sys.argv[2]).wait()
"""


def test_when_the_driver_is_killed_the_workers_end_its_task_processes(cluster, tmp_path, gate):
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    with subprocess.Popen([sys.executable, "-P", script, tmp_path, cluster]) as driver:
        task, _ = gate.pids()
        with ends(task):
            driver.kill()


def test_a_worker_without_kvproto_is_an_error_that_says_what_to_install(tmp_path):
    (tmp_path / "kvproto.py").write_text("raise ImportError('there is no kvproto here')\n")
    with own_cluster(tmp_path / "dask", 1, path=str(tmp_path)) as url:
        job = Job("test").run(input=["raw://x"], map=lambda line, params: [], engine=url)
        with pytest.raises(JobError, match=r"cannot call kvproto: .*install kvproto"):
            job.wait()


def test_workers_without_the_library_of_object_stores_say_what_to_install(tmp_path, bucket):
    (tmp_path / "obstore.py").write_text("raise ImportError('there is no obstore here')\n")
    with own_cluster(tmp_path / "dask", 4, path=str(tmp_path)) as url:
        job = Job("test").run(
            input=["raw://x"], map=lambda line, params: [], engine=url, store=bucket
        )
        with pytest.raises(JobError, match=r"pip install 'kvproto\[object-store\]'") as caught:
            job.wait()
    assert str(caught.value).count("cannot read what the driver wrote") == 3
    assert "\nand 1 more of this kind" in str(caught.value)


def test_a_cluster_without_workers_is_an_error_before_the_job(tmp_path, home):
    with own_cluster(tmp_path / "dask", 0) as url:
        address = url.replace("dask", "tcp", 1)
        with pytest.raises(JobError, match=rf"{address} has no workers.* dask worker {address}"):
            Job("test").run(input=["raw://x"], map=lambda line, params: [], engine=url)
    assert not list(home.glob("jobs/*"))
