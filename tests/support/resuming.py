"""A job whose driver kills itself at any line of its code, and whose tasks say that they ran."""

import os
import subprocess
import sys
from pathlib import Path

from kvproto.engine.journal import load
from kvproto.engine.registry import all_jobs
from kvproto.storage.job_directory import JobPaths

INPUTS = [f"raw://{number}" for number in range(12)]

SCRIPT = """
import os, signal, sys, threading
from kvproto.classic import Job
from kvproto.classic.func import sum_combiner

RAN, FAILS, INPUTS = {ran!r}, {fails!r}, {inputs!r}

def ran(what):
    with open(RAN, "ab", buffering=0) as file:
        file.write(what.encode() + b"\\n")

def map(line, params):
    ran("map:" + line)
    put("map-" + line, line)
    for word in range(300):
        yield f"{{word}}-{{line}}" if word % 2 else str(word), 1

def reduce(iter, params):
    ran(f"reduce:{{this_partition()}}")
    if os.path.exists(FAILS):
        raise RuntimeError("the reduce fails")
    sums = {{}}
    for key, value in iter:
        sums[key] = sums.get(key, 0) + value
    put(f"reduce-{{this_partition()}}", str(len(sums)))
    return sums.items()

OPTIONS = dict(map=map, reduce=reduce, combiner=sum_combiner, partitions=3, processes=2)

left = int(sys.argv[2])
lines = 0

def count(frame, what, argument):
    global left
    if os.sep + "kvproto" + os.sep not in frame.f_code.co_filename:
        return None
    if what == "line":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return count

def begin(*arguments):
    # not in the forks of a process, nor before the job begins
    threading.settrace(count)
    if sys.argv[1] == "run":
        job = Job("killed").run(input=INPUTS, **OPTIONS)
    else:
        job = Job(name=sys.argv[1]).resume(processes=1)
    threading.settrace(None)
    job.wait()

if __name__ == "__main__":
    first = left
    begin()
    print(first - left)
"""


class Killed:
    """A job whose drivers are killed.

    Parameters
    ----------
    directory : Path
        For what its tasks say.
    """

    def __init__(self, directory: Path) -> None:
        self.ran = directory / "ran"
        self.fails = directory / "fails"
        self.script = directory / "script.py"
        self.ran.touch()
        self.script.write_text(
            SCRIPT.format(ran=str(self.ran), fails=str(self.fails), inputs=INPUTS)
        )

    def drive(self, what: str, n_lines: int) -> str:
        """Run a driver, "run" or the name of a job to resume, that is killed after n_lines lines.

        Returns what it says at its end: how many lines there were; "" if it was killed.
        """
        driver = subprocess.run(
            [sys.executable, self.script, what, str(n_lines)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert driver.returncode in (0, -9), driver.stderr
        return driver.stdout

    def began(self) -> list[str]:
        """The tasks that have begun, such as "map:3", in order."""
        return self.ran.read_text().splitlines()

    def job(self) -> str | None:
        """The name of the job, if the driver was not killed before that."""
        return next(iter(all_jobs()), None)


def accepted(job: str) -> set[str]:
    """The tasks that the journal of a job has."""
    if not JobPaths(job).is_resumable():
        return set()
    journal = load(JobPaths(job))[1]
    return {f"{stage}:{index}" for stage in ("map", "reduce") for index in journal.finished(stage)}


def content(urls: list[str]) -> list[bytes]:
    """The bytes of result files."""
    return [Path(url).read_bytes() for url in urls]


def disk_names(job: str) -> list[str]:
    return sorted(os.listdir(JobPaths(job).path))
