"""What all tests share: the Hypothesis profiles, and directories of their own."""

import gc
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import catalogue, object_store
from support.dask_cluster import shared_cluster
from support.preloading import preload
from support.shared import one_at_a_time, shared_directory

from kvproto.classic import Job

# Each process that runs tests collects all of them, and each pytest rewrites the code of plugins:
# compiled once, that takes half the time.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# `#!/usr/bin/env python3` is the Python of these tests, as under `make test`.
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

preload()

pytest_plugins = ["support.clauses"]

# Processes share the machine: how long one example takes says nothing, so there is no deadline.
_EVERY = {"deadline": None, "derandomize": False}
settings.register_profile("dev", max_examples=60, **_EVERY)
settings.register_profile("ci", max_examples=200, print_blob=True, **_EVERY)
settings.register_profile(
    "deep",
    max_examples=5000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
    **_EVERY,
)
settings.load_profile(
    "ci" if os.environ.get("CI") else "dev"
)  # deep: pytest --hypothesis-profile=deep


def pytest_configure(config):
    """Let signals end the programs that tests start, also under nohup or in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def pytest_collection_finish(session):
    """Spare the garbage collector the thousands of tests, which stay until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def identity(tmp_path_factory):
    """The path of the C worker that gives back what it gets."""
    directory = shared_directory(tmp_path_factory, "workers")
    with one_at_a_time(directory):
        return catalogue.program(catalogue.IDENTITY, directory)


@pytest.fixture(scope="session")
def dask(tmp_path_factory):
    """The URL of a Dask cluster with two workers of one thread, for tests that kill nothing."""
    url, held = shared_cluster(shared_directory(tmp_path_factory, "dask-1"), 2, 1)
    yield url
    os.close(held)


@pytest.fixture
def private(tmp_path, monkeypatch):
    """Where the driver makes its private directories; each test that asks for it ends with the
    directory empty.
    """
    directory = tmp_path / "private"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    yield directory
    assert list(directory.iterdir()) == []


@pytest.fixture(autouse=True)
def own_directory(tmp_path, monkeypatch):
    """Each test works in its own directory.

    In the top directory, a `python` that a test starts would import the sources instead of the
    installed package.
    """
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Where jobs have their directories during a test: never in the home of who runs the tests."""
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="session")
def s3_address():
    """The address of an S3 server."""
    with object_store.s3_server() as address:
        yield address


@pytest.fixture
def bucket(s3_address, monkeypatch):
    """The URL of a bucket of the test's own, at a server that the environment names."""
    for name, value in object_store.settings(s3_address).items():
        monkeypatch.setenv(name, value)
    return object_store.make_bucket(s3_address)


# --- jobs on several engines ---------------------------------------------------------------------

ON_ENGINES = {
    "test_documented_jobs.py",
    "test_failing.py",
    "test_map_results.py",
    "test_params.py",
    "test_reduce_alone.py",
    "test_sort.py",
    "test_streams.py",
    "test_task.py",
    "test_task_io_jobs.py",
    "test_text.py",
}
"""The modules of tests/classic and tests/engine whose jobs also run on Dask, a thread a worker."""

ON_CLUSTERS = {
    "test_chain.py",
    "test_chains.py",
    "test_combinations.py",
    "test_contents.py",
    "test_documented.py",
    "test_external.py",
    "test_func_interfaces.py",
    "test_job.py",
    "test_run.py",
    "test_testing.py",
}
"""More of them, by `make test-cluster` and `make test-all`, which run all with four threads."""


IN_PROCESS = {
    "test_documented_jobs.py",
    "test_reduce_alone.py",
    "test_sort.py",
    "test_streams.py",
    "test_text.py",
}
"""Those whose jobs also run with processes=0."""


def pytest_generate_tests(metafunc):
    path = metafunc.definition.path
    name = path.name
    if path.parent.name in ("classic", "engine") and name in ON_ENGINES | ON_CLUSTERS:
        here = ["in process"] if name in IN_PROCESS else []
        one = ["1 thread"] if name in ON_ENGINES else []
        many = pytest.param("4 threads", marks=pytest.mark.cluster)
        metafunc.parametrize("engine_of_jobs", ["local", *here, *one, many], indirect=True)


@pytest.fixture(scope="session")
def executors(tmp_path_factory):
    """A function that returns the executor of a shared Dask cluster of two workers, by their
    number of threads.
    """
    from distributed import Client  # noqa: PLC0415 (it is slow to load)

    clients, held = {}, []

    def executor(n_threads):
        if n_threads not in clients:
            directory = shared_directory(tmp_path_factory, f"dask-{n_threads}")
            url, fd = shared_cluster(directory, 2, n_threads)
            held.append(fd)
            clients[n_threads] = Client(url.replace("dask", "tcp"), set_as_default=False)
        return clients[n_threads].get_executor(pure=False)

    yield executor
    for client in clients.values():
        client.close()
    for fd in held:
        os.close(fd)


@pytest.fixture(autouse=True)
def engine_of_jobs(request, monkeypatch):
    """Let the jobs of a test run on an engine: "local" with task processes or in this one, or Dask
    with so many threads a worker.
    """
    engine = getattr(request, "param", "local")
    if engine == "in process":
        monkeypatch.setitem(Job.run.__kwdefaults__, "processes", 0)
    elif engine != "local":
        executor = request.getfixturevalue("executors")(int(engine[0]))
        monkeypatch.setitem(Job.run.__kwdefaults__, "engine", executor)
