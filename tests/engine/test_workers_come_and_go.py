"""Workers that join a cluster while a job runs, and workers that leave it."""

import os
import select
from contextlib import closing

import pytest
from support.dask_cluster import add_worker, own_cluster, remove_worker

from kvproto.classic import Job, result_iterator

pytestmark = pytest.mark.cluster

INPUT = [f"raw://{number}" for number in range(3)]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The URL of a cluster with one worker, and its directory; `tmp` there is its TMPDIR."""
    directory = tmp_path / "dask"
    (directory / "tmp").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(directory / "tmp"))
    with own_cluster(directory, 1) as url:
        yield url, directory


class Stops:
    """Where the tasks of a job stop: each says its input, and waits until it may go on."""

    def __init__(self, directory):
        self.directory = directory
        for name in ("stopped", *(url[6:] for url in INPUT)):
            os.mkfifo(directory / name)
        self._stopped = os.open(directory / "stopped", os.O_RDWR)

    def map(self):
        """The map function of the job."""
        directory = self.directory

        def stop(line, params):
            (directory / "stopped").write_text(line)
            (directory / line).read_text()
            return [(line, 1)]

        return stop

    def next(self):
        """Wait until one more task has stopped; return its input."""
        assert select.select([self._stopped], [], [], 60)[0], "no task begins"
        return os.read(self._stopped, 1).decode()

    def go(self, line):
        """Let the task of an input go on."""
        (self.directory / line).write_text("go")

    def close(self):
        os.close(self._stopped)


@pytest.fixture
def stops(tmp_path):
    with closing(Stops(tmp_path)) as stops:
        yield stops


def run(stops, url, n_inputs, **options):
    return Job("test").run(
        input=INPUT[:n_inputs],
        map=stops.map(),
        map_init=lambda iter, params: None,  # a task for each input
        engine=url,
        **options,
    )


def test_a_worker_that_joins_while_a_job_runs_gets_a_task(cluster, stops):
    url, directory = cluster
    job = run(stops, url, 3)
    first = stops.next()
    add_worker(directory)
    second = stops.next()
    assert first != second
    stops.go(first)
    third = stops.next()
    stops.go(second)
    stops.go(third)
    assert sorted(result_iterator(job.wait())) == [("0", 1), ("1", 1), ("2", 1)]


def test_a_job_waits_when_all_workers_have_left_and_the_next_one_removes_what_they_left(
    cluster, stops
):
    url, directory = cluster

    def left():
        return [path.name for path in (directory / "tmp").glob("kvproto-*")]

    def on_event(event):
        if "has no workers now" in event.get("text", ""):
            add_worker(directory)

    job = run(stops, url, 1, on_event=on_event)
    line = stops.next()
    [before] = left()
    remove_worker(directory, "worker-0")
    assert stops.next() == line
    [after] = left()
    assert before != after
    stops.go(line)
    assert list(result_iterator(job.wait())) == [(line, 1)]
