"""What the benchmarks share: a clock, inputs made once, whole processes measured from start to
exit.
"""

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

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


def run(command: list[str], stdin: Path, *, quietly: bool = False) -> int:
    """Run a command from a file to /dev/null, without a shell; returns its peak memory in bytes.

    That is the most of the process itself and each child that it has waited for. quietly: its
    stderr, where a job tells of its progress, goes to /dev/null too.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, str(stdin), os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    ]
    if quietly:
        actions.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    _pid, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit(
            f"{' '.join(command)} ended with exit status {os.waitstatus_to_exitcode(status)}"
        )
    return usage.ru_maxrss * 1024


def worker(source: str, directory: Path) -> Path:
    """A compiled worker of the catalogue."""
    return catalogue.program(source, directory)


def directory() -> Path:
    """Where inputs and programs go: the one argument of each benchmark."""
    return Path(sys.argv[1])
