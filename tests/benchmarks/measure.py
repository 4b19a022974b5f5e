"""What the benchmarks share: a clock, inputs made once, whole processes measured from start to
exit.
"""

import json
import os
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from support import catalogue

from kvproto import encode_pairs

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def row(
    what: str,
    measured: float,
    form: str = "{:.2f}",
    *,
    at_least: float | None = None,
    at_most: float | None = None,
):
    """Print one result as `run.py` reads it, with the figure asked for, if there is one."""
    asked, ok = "", None
    if at_least is not None:
        asked, ok = ">= " + form.format(at_least), measured >= at_least
    elif at_most is not None:
        asked, ok = "<= " + form.format(at_most), measured <= at_most
    print(
        json.dumps({"what": what, "measured": form.format(measured), "asked": asked, "ok": ok}),
        flush=True,
    )


def left_out(what: str):
    """Say that something was not measured, because a program is missing."""
    print(json.dumps({"what": what, "measured": "not installed", "asked": "", "ok": None}))


def bar(group: str, name: str, kind: str, usage: "Usage"):
    """Give `run.py` one bar of the chart. kind: "ours", "peer" or "limit"."""
    # A child begins with the memory of this process, and the kernel counts that as its peak.
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = f"{'< ' * (usage.peak_bytes <= own)}{usage.peak_bytes / 1e6:.0f}"
    record = {"group": group, "name": name, "kind": kind, "peak": peak}
    print(json.dumps(record | {"wall": usage.seconds, "cpu": usage.cpu_seconds}), flush=True)


def seconds(call: Callable[[], object]) -> float:
    """How long a call takes by the wall clock; that its result goes away again is not
    part of it.
    """
    start = time.perf_counter()
    result = call()
    taken = time.perf_counter() - start
    del result
    return taken


def alternate(*calls: Callable[[], object], rounds: int = 5) -> list[float]:
    """Run the calls in turn, several rounds; returns the median of the seconds of each."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for times, call in zip(taken, calls, strict=True):
            times.append(seconds(call))
    return [statistics.median(times) for times in taken]


def random_pairs(n_pairs: int, key_size: int, value_size: int) -> list[tuple[bytes, bytes]]:
    """Pairs of random bytes, the same ones each time."""
    source = random.Random(1)
    return [(source.randbytes(key_size), source.randbytes(value_size)) for _ in range(n_pairs)]


def pair_file(directory: Path, n_pairs: int, key_size: int, value_size: int) -> Path:
    """A file of framed pairs, written in pieces so that this process stays small; there already, it
    is taken.
    """
    path = directory / f"{n_pairs}-{key_size}-{value_size}"
    if not path.exists():
        piece = encode_pairs(random_pairs(50_000, key_size, value_size))
        with open(path, "wb") as f:
            for _ in range(n_pairs // 50_000):
                f.write(piece)
    return path


def kvproto_map(worker: Path, form_in: str = "kv", form_out: str = "kv") -> list[str]:
    """The command line of `kvproto map` with a worker."""
    return [
        sys.executable,
        "-m",
        "kvproto",
        "map",
        "--in",
        form_in,
        "--out",
        form_out,
        "--",
        str(worker),
    ]


class Usage(NamedTuple):
    """What a process took, with each child that it has waited for: seconds by the wall clock,
    seconds of all processors, and the peak memory of the largest of the processes, in bytes.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def run(
    command: Sequence[object],
    stdin: Path | str = os.devnull,
    stdout: Path | str = os.devnull,
    *,
    quietly: bool = False,
) -> Usage:
    """Run a command from file to file, without a shell.

    quietly: its stderr, where a job tells of its progress, goes to /dev/null.
    """
    arguments = [str(argument) for argument in command]
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, str(stdin), os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(stdout), writing, 0o600),
    ]
    if quietly:
        actions.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))
    start = time.perf_counter()
    pid = os.posix_spawnp(arguments[0], arguments, os.environ, file_actions=actions)
    _pid, status, usage = os.wait4(pid, 0)
    taken = time.perf_counter() - start
    if status != 0:
        raise SystemExit(
            f"{' '.join(arguments)} ended with exit status {os.waitstatus_to_exitcode(status)}"
        )
    return Usage(taken, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def run_in_turn(*runs: Callable[[], Usage], rounds: int = 3) -> list[Usage]:
    """Run processes in turn, several rounds; returns the medians of the seconds of each, and the
    most memory.
    """
    taken = zip(*[[call() for call in runs] for _ in range(rounds)], strict=True)
    return [
        Usage(statistics.median(wall), statistics.median(cpu), max(peaks))
        for wall, cpu, peaks in (zip(*usages, strict=True) for usages in taken)
    ]


def worker(source: str, directory: Path) -> Path:
    """A compiled worker of the catalogue."""
    return catalogue.program(source, directory)


def directory() -> Path:
    """Where inputs and programs go: the first argument of each benchmark."""
    return Path(sys.argv[1])


def n_text_bytes() -> int:
    """How much text whole jobs read: the second argument, in MB."""
    return int(sys.argv[2]) * 1_000_000


def most_text_bytes() -> int:
    """Up to how much text their growth is measured: the third argument, in MB."""
    return int(sys.argv[3]) * 1_000_000
