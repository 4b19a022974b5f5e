"""Text, and ways to count its words: what the benchmarks of whole jobs share."""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from measure import HERE, Usage, directory, run
from support import catalogue


def set_environment() -> None:
    """What jobs and sorts keep goes where the inputs are; jobs find the functions of `jobs.py`."""
    os.environ |= {
        "KVPROTO_HOME": str(directory() / "home"),
        "PYTHONPATH": str(HERE),
        "TMPDIR": str(directory()),
    }


def program(name: str) -> Path:
    """A compiled program of `programs/`."""
    return catalogue.compile_worker(HERE / "programs" / f"{name}.c", directory() / name)


def zipf_text(n_bytes: int) -> Path:
    """A file of text, the same one each time (`programs/zipf.c`)."""
    path = directory() / f"text-{n_bytes}"
    if not path.exists():
        run([program("zipf"), n_bytes], stdout=path)
    return path


def kvproto_run(job: str, *options: object) -> list[object]:
    """The command line of a job."""
    return [sys.executable, "-m", "kvproto", "run", "-q", job, *options]


def job_in_c(reduce: str, text: Path, *options: object) -> list[object]:
    """The command line of a job that counts words with map and reduce in C."""
    workers = ["-m", program("map"), "-r", program(reduce)]
    return kvproto_run("kvproto.classic.Job", *workers, "--partitions", 2, *options, text)


def sorted_job_in_c(text: Path, buffer: str) -> list[object]:
    """The same with a sort, which the reduce needs."""
    options = ["-P", "sort=True", "-P", f"sort_buffer_size={buffer}"]
    return job_in_c("reduce_sorted", text, *options)


def digest(counts: Path) -> str:
    """What stands for a file of lines in any order."""
    return hashlib.sha256(b"".join(sorted(counts.read_bytes().splitlines(True)))).hexdigest()


def expected_counts(text: Path) -> str:
    """The digest of the counts that one C process finds."""
    counts = directory() / "counts"
    run([program("count")], text, counts)
    return digest(counts)


def count(command: Sequence[object], expected: str, stdin: Path | str = os.devnull) -> Usage:
    """Run a command that prints counts; they must be those expected."""
    counts = directory() / "counts"
    usage = run(command, stdin, counts)
    if digest(counts) != expected:
        raise SystemExit(f"wrong counts: {' '.join(map(str, command))}")
    return usage
