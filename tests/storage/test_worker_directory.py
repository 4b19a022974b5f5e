"""The directories of worker processes: those of processes that were killed are swept, no others."""

import os
import signal
import subprocess
import sys

import pytest

from kvproto.storage.worker_directory import WorkerDirectory, sweep

HOLDS = """
import sys
from kvproto.storage.worker_directory import WorkerDirectory
directory = WorkerDirectory()
print(directory.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The directory for temporary files, of this process and of those that it starts."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(directory))
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


@pytest.fixture
def holder(temporary):
    """A process that has a directory, and the path of that."""
    argv = [sys.executable, "-P", "-c", HOLDS]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process, process.stdout.readline().strip()


def test_the_directory_of_a_killed_process_is_swept_and_no_other(holder, temporary):
    process, path = holder
    own = WorkerDirectory()
    others = [temporary / "kvproto-other", temporary / "kvproto-worker-without-a-lock"]
    for other in others:
        other.mkdir()
    sweep()
    assert os.path.isdir(path)
    process.kill()
    process.wait()
    os.makedirs(f"{path}/modules/deep")
    sweep()
    assert set(temporary.iterdir()) == {*others, type(temporary)(own.path)}
    own.remove()
    assert set(temporary.iterdir()) == set(others)


def test_a_fork_of_the_process_that_lives_on_does_not_keep_the_directory(temporary):
    own = WorkerDirectory()
    left, leaves = os.pipe()
    pid = os.fork()
    if pid == 0:
        own.leave()
        os.write(leaves, b".")
        signal.pause()
    os.read(left, 1)
    os.close(own._fd)
    sweep()
    assert not list(temporary.iterdir())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for fd in (left, leaves):
        os.close(fd)


def test_a_link_is_not_followed_by_a_sweep(holder, temporary, tmp_path):
    process, path = holder
    moved = tmp_path / "moved"
    os.rename(path, moved)
    os.symlink(moved, path)
    process.kill()
    process.wait()
    sweep()
    assert moved.is_dir() and os.path.islink(path)
