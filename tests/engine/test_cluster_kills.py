"""A worker process is killed at random moments: the result is right each time."""

import os
import random
import signal
import threading
from contextlib import suppress

import pytest
from support.dask_cluster import own_cluster, pids
from support.jobs import events

from kvproto.classic import Job, func, result_iterator

pytestmark = pytest.mark.cluster

N_TASKS, N_WORDS, N_ROUNDS, N_KILLS = 8, 2000, 10, 5


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    directory = tmp_path_factory.mktemp("dask")
    with own_cluster(directory) as url:
        yield url, directory


def count(url, directory):
    """Run a job; return its result, and how often its maps ran."""

    def map(line, params):
        (directory / f"map-{line}-{os.urandom(4).hex()}").touch()
        for number in range(N_WORDS):
            yield str(number % 100), 1

    job = Job("test").run(
        input=[f"raw://{number}" for number in range(N_TASKS)],
        map=map,
        map_init=lambda iter, params: None,  # a task for each input
        reduce=func.sum_reduce,
        partitions=3,
        attempts=10,
        engine=url,
    )
    counts = dict(result_iterator(job.wait()))
    retries = [event["stage"] for event in events(job) if event["event"] == "retry"]
    return counts, retries


@pytest.mark.parametrize("round", range(N_ROUNDS))
def test_a_worker_killed_at_random_moments_changes_nothing_of_the_result(cluster, tmp_path, round):
    url, directory = cluster
    moments = random.Random(round)
    for kill in range(N_KILLS):
        runs = tmp_path / f"{kill}"
        runs.mkdir()
        victim = pids(directory)[f"worker-{moments.randrange(2)}"]

        def end(victim=victim):
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)

        timer = threading.Timer(moments.uniform(0.1, 1.0), end)
        timer.start()
        counts, retries = count(url, runs)
        timer.join()
        assert counts == {str(number): N_TASKS * N_WORDS // 100 for number in range(100)}
        n_runs = len(list(runs.iterdir()))
        assert N_TASKS <= n_runs <= N_TASKS + retries.count("map"), retries
