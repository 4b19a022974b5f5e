"""Engines on one machine: the job with map and reduce in C over text, and tasks that do nothing.

Each engine has two processes, which run already; the time is that of the job from its start to its
end.
"""

import importlib.util
import os
from contextlib import ExitStack

from measure import alternate, directory, left_out, n_text_bytes, row
from support.dask_cluster import own_cluster
from words import digest, expected_counts, program, set_environment, zipf_text

from kvproto import external
from kvproto.classic import Job, result_iterator

N_TASKS = 1000


def main():
    set_environment()
    text = zipf_text(n_text_bytes())
    expected = expected_counts(text)
    with ExitStack() as opened:
        engines = {"local": "local", "Dask": dask(opened)}
        if importlib.util.find_spec("ray"):
            engines["Ray"] = ray(opened)
        else:
            left_out("Ray: ray")
        measure("text", engines, lambda engine: count_words(text, expected, engine), at_most=1.3)
        measure(f"{N_TASKS:,} empty tasks", engines, run_empty_tasks)


def dask(opened):
    """The executor of a cluster on loopback."""
    from distributed import Client  # noqa: PLC0415 (it is slow to load)

    url = opened.enter_context(own_cluster(directory() / "dask"))
    return opened.enter_context(Client(url.replace("dask", "tcp"))).get_executor(pure=False)


def ray(opened):
    """Ray in this process, which has two slots."""
    import ray  # noqa: PLC0415 (it is slow to load)

    os.chdir(directory())  # where its workers look first for modules
    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    opened.callback(ray.shutdown)
    return "ray"


def measure(what, engines, job, at_most=None):
    taken = alternate(*(lambda engine=engine: job(engine) for engine in engines.values()), rounds=3)
    for name, seconds in zip(engines, taken, strict=True):
        row(f"{what}, {name}, s", seconds)
    for name, seconds in list(zip(engines, taken, strict=True))[1:]:
        asked = at_most if name == "Dask" else None
        row(f"{what}, {name}, times local", seconds / taken[0], at_most=asked)


def count_words(text, expected, engine):
    job = Job("words").run(
        input=[str(text)],
        map=external([str(program("map"))]),
        reduce=external([str(program("reduce"))]),
        partitions=2,
        processes=2,
        engine=engine,
    )
    job.wait()
    counts = directory() / "engine-counts"
    counts.write_bytes(b"".join(b"%s\t%s\n" % pair for pair in result_iterator(job.wait())))
    if digest(counts) != expected:
        raise SystemExit(f"wrong counts: {engine}")
    job.purge()


def run_empty_tasks(engine):
    job = Job("empty").run(
        input=["raw://x"] * N_TASKS,
        map=lambda line, params: [],
        map_init=lambda iter, params: None,  # a task for each input
        processes=2,
        engine=engine,
    )
    job.wait()
    job.purge()


main()
