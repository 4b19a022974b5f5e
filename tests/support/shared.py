"""What is built once in a run of the tests, however many processes run them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def shared_directory(tmp_path_factory, name: str) -> Path:
    """A directory that all processes of this run share; it is made when it is first asked for."""
    directory = shared_base(tmp_path_factory) / name
    directory.mkdir(exist_ok=True)
    return directory


def shared_base(tmp_path_factory) -> Path:
    """The directory of this run, that all its processes share."""
    base: Path = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def one_at_a_time(directory: Path) -> Iterator[None]:
    """Keep other processes, and threads, from building in this directory meanwhile."""
    with open(directory / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
