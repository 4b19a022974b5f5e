"""A job in a driver of its own, a process that a test starts, whose map waits until the test lets
it go on.
"""

import os
import select
import subprocess
import sys
from pathlib import Path

from kvproto.engine.registry import all_jobs

_SCRIPT = """
import os, sys
from kvproto.classic import Job, result_iterator
told, go, runs, start, after = sys.argv[1:]
def map(line, params):
    with open(told, "w") as file:
        file.write(str(os.getpid()))
    with open(go) as file:
        print("goes on")
        yield line, file.read()
exec(start)
open(runs).readline()
exec(after)
"""


_START = 'job = Job("driven").run(input=["raw://x"], map=map)'


class Driver:
    """A driver with a job "driven" whose one map waits. Context manager: the driver is ended.

    start, after  statements: how it starts the job with `map`, what it does when the map runs:
    wait, unless given job           the job's full name map_process   a pidfd of the process whose
    task the map is
    """

    def __init__(self, directory: Path, after: str = "job.wait()", start: str = _START) -> None:
        directory.mkdir()
        told, self._go, runs = (directory / name for name in ("told", "go", "runs"))
        for fifo in (told, self._go, runs):
            os.mkfifo(fifo)
        fd = os.open(told, os.O_RDONLY | os.O_NONBLOCK)
        jobs = set(all_jobs())
        argv = [sys.executable, "-c", _SCRIPT, str(told), str(self._go), str(runs), start, after]
        self.process = subprocess.Popen(
            argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.map_process = os.pidfd_open(int(self._told(fd)))
        [self.job] = set(all_jobs()) - jobs
        self._runs = open(runs, "r+b", buffering=0)  # both ends: it waits for nobody  # noqa: SIM115
        self._runs.write(b"\n")

    def _told(self, fd: int) -> bytes:
        """What the map says when it begins; the driver may also die before that."""
        died = os.pidfd_open(self.process.pid)
        try:
            ready, _, _ = select.select([fd, died], [], [])
            assert fd in ready, self.process.communicate()[1]
            return os.read(fd, 100)
        finally:
            os.close(died)
            os.close(fd)

    def go_on(self) -> None:
        """Let the map end."""
        self._go.write_text("went on")

    def end(self) -> str:
        """Wait for the driver; returns what it wrote to stderr."""
        return self.process.communicate()[1]

    def __enter__(self):
        return self

    def __exit__(self, *exc_info) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self.map_process)
        self._runs.close()


def has_ended(pidfd: int, seconds: float = 0) -> bool:
    """Whether a process has ended, or ends within so many seconds."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(1000 * seconds))


def processes_of(job_directory: str) -> list[int]:
    """The processes that work for a job: their TMPDIR, or the log that they write, is in its
    directory.
    """
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if b"TMPDIR=" + os.fsencode(job_directory) in (
                path / "environ"
            ).read_bytes() or job_directory in os.readlink(path / "fd/2"):
                found.append(int(path.name))
        except OSError:
            pass  # it has ended, or is another user's
    return found
