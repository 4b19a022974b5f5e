"""Whole jobs of Python functions: count the words of 200 MB of text, against a pool of processes
with Counters.

Each is a process from start to exit that prints its counts; they are compared once, and must be
equal. The second half is memory: keys that never come twice, through a combiner and a reduce that
let go of what they had.
"""

import itertools
import os
import random
import string
import subprocess
import sys
from pathlib import Path

from counter import VARIANTS
from measure import HERE, alternate, directory, row, run

N_BYTES = 200_000_000
N_WORDS = 50_000
SHARE = 20  # the text is a piece of it so many times


def text(path: Path) -> None:
    """Lines of 1 to 20 words whose frequencies follow Zipf's law, the same ones each time."""
    source = random.Random(1)
    words = [
        "".join(source.choices(string.ascii_lowercase, k=source.randint(2, 9)))
        for _ in range(N_WORDS)
    ]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, N_WORDS + 1)))
    lines, n_bytes = [], 0
    while n_bytes < N_BYTES // SHARE:
        lines.append(
            " ".join(source.choices(words, cum_weights=weights, k=source.randint(1, 20))) + "\n"
        )
        n_bytes += len(lines[-1])
    piece = "".join(lines).encode()
    with open(path, "wb") as file:
        for _ in range(SHARE):
            file.write(piece)


def numbers(path: Path, n_lines: int) -> Path:
    """Lines that never come twice, in pieces so that this process stays small."""
    with open(path, "w", encoding="ascii") as file:
        for start in range(0, n_lines, 100_000):
            file.writelines(
                f"{number:019}\n" for number in range(start, min(n_lines, start + 100_000))
            )
    return path


def kvproto_run(job: str, path: Path) -> list[str]:
    return [sys.executable, "-m", "kvproto", "run", job, str(path)]


def counts(command: list[str]) -> list[bytes]:
    """What a command prints, in an order of its own."""
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr.decode())
    return sorted(done.stdout.splitlines())


def main():
    os.environ["KVPROTO_HOME"] = str(directory() / "home")
    path = directory() / "text"
    text(path)
    ours = kvproto_run("kvproto.examples.wordcount.WordCount", path)
    pools = {name: [sys.executable, str(HERE / "counter.py"), name, str(path)] for name in VARIANTS}
    expected = counts(ours)
    assert len(expected) > N_WORDS / 2
    for name, command in pools.items():
        assert counts(command) == expected, name
    commands = [ours, *pools.values()]
    taken, *others = alternate(
        *[
            lambda command=command: run(command, Path(os.devnull), quietly=True)
            for command in commands
        ]
    )
    row("200 MB of words, MB/s", path.stat().st_size / taken / 1e6, "{:.0f}")
    for name, seconds in zip(pools, others, strict=True):
        row(f"times a pool with Counters, {name.replace('_', ' ')}", taken / seconds)
    row("times the fastest of these", taken / min(others), at_most=1.5)
    path.unlink()

    os.environ["PYTHONPATH"] = str(HERE)
    for times in 1, 4:
        lines = numbers(directory() / "numbers", times * 5_000_000)
        peak = run(kvproto_run("streaming.Different", lines), Path(os.devnull), quietly=True)
        n_mb = lines.stat().st_size / 1e6
        row(
            f"peak memory of a process, {n_mb:.0f} MB of keys that differ, MB",
            peak / 1e6,
            "{:.0f}",
            at_most=300,
        )


main()
