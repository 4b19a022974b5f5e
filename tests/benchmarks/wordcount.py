"""Whole jobs against their peers: count the words of 200 MB of text.

Each is a process, with all that it starts, from start to exit. What it prints is compared with
what one C process prints, after every run. The peers are a pool of processes with Counters
(`counter.py`) and `map | sort | reduce`, in a shell and in each job of GNU parallel. There, map and
reduce are the C code of the workers, which reads and writes lines `word TAB count`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from measure import (
    HERE,
    Usage,
    bar,
    directory,
    kvproto_map,
    left_out,
    n_text_bytes,
    row,
    run,
    run_in_turn,
)
from words import (
    count,
    expected_counts,
    job_in_c,
    kvproto_run,
    program,
    set_environment,
    sorted_job_in_c,
    zipf_text,
)

from kvproto import encode_pairs

N_MB = n_text_bytes() // 1_000_000
SORT_BUFFER = 512  # MiB
SMALL_BUFFER = N_MB // 10 or 1  # MiB: a tenth of the pairs of one partition
BY_HASH = f"Count the words of {N_MB} MB of text"
BY_SORT = "Sort the words, then count them"
ON_DISK = f"The same, with {SMALL_BUFFER} MiB of memory for the sort"

PIPE = '"$MAP" {} | LC_ALL=C sort --parallel={} -S {}M | "$REDUCE"'
SHELL = PIPE.format('< "$TEXT"', 2, "{}")
PARALLEL = (
    f"parallel --will-cite --pipepart -a \"$TEXT\" --block 10M '{PIPE.format('', 1, SORT_BUFFER)}'"
    ' | LC_ALL=C sort | "$REDUCE"'
)


class Entrant(NamedTuple):
    """One way to count the words. kind: "ours", "peer" or "limit"."""

    group: str
    name: str
    kind: str
    command: list[object]
    stdin: Path | str = os.devnull


def entrants(text: Path) -> dict[str, Entrant]:
    """The ways to count the words of a text."""
    os.environ |= {
        "TEXT": str(text),
        "MAP": str(program("map_text")),
        "REDUCE": str(program("reduce_text")),
    }

    def in_c(group: str, command: list[object]) -> Entrant:
        return Entrant(group, "kvproto, map and reduce in C", "ours", command)

    def counters(variant: str) -> Entrant:
        command = [sys.executable, HERE / "counter.py", variant, text]
        return Entrant(BY_HASH, f"multiprocessing + Counter, by {variant}", "peer", command)

    def piped(group: str, name: str, script: str) -> Entrant:
        command = ["bash", "-o", "pipefail", "-c", script]
        return Entrant(group, f"{name}: map | sort | reduce", "peer", command)

    in_python = kvproto_run("kvproto.examples.wordcount.WordCount", text)
    return {
        "one C process": Entrant(BY_HASH, "one C process", "limit", [program("count")], text),
        "C": in_c(BY_HASH, job_in_c("reduce", text)),
        "Python": Entrant(BY_HASH, "kvproto, Python functions", "ours", in_python),
        "Counter by lines": counters("lines"),
        "Counter by blocks": counters("blocks"),
        "sort": in_c(BY_SORT, sorted_job_in_c(text, f"{SORT_BUFFER}M")),
        "GNU parallel": piped(BY_SORT, "GNU parallel", PARALLEL),
        "shell pipe": piped(BY_SORT, "shell", SHELL.format(2 * SORT_BUFFER)),
        "sort on disk": in_c(ON_DISK, sorted_job_in_c(text, f"{SMALL_BUFFER}M")),
        "shell pipe on disk": piped(ON_DISK, "shell", SHELL.format(SMALL_BUFFER)),
    }


def worker_inputs(text: Path) -> tuple[Path, Path]:
    """Files of what a driver sends to the map and to the reduce."""
    lines, pairs = directory() / "lines.kv", directory() / "pairs.kv"
    with open(text, "rb") as source, open(lines, "wb") as target:
        target.write(b"0\n")
        while block := source.readlines(1 << 20):
            target.write(encode_pairs([(b"", line) for line in block]))
    with open(text, "rb") as source, open(pairs, "wb") as target:
        target.write(b"0\n")
        target.flush()
        command = kvproto_map(program("map"), "lines", "kv")
        subprocess.run(command, stdin=source, stdout=target, check=True)
    return lines, pairs


def main():
    set_environment()
    text = zipf_text(n_text_bytes())
    ways = entrants(text)
    if not shutil.which("parallel"):
        left_out(ways.pop("GNU parallel").name)
    expected = expected_counts(text)
    lines, pairs = worker_inputs(text)
    *usages, map_alone, reduce_alone = run_in_turn(
        *[lambda way=way: count(way.command, expected, way.stdin) for way in ways.values()],
        lambda: run([program("map"), "map"], lines),
        lambda: run([program("reduce"), "reduce"], pairs),
    )
    for way, usage in zip(ways.values(), usages, strict=True):
        bar(way.group, way.name, way.kind, usage)
    compare(dict(zip(ways, usages, strict=True)), map_alone.cpu_seconds + reduce_alone.cpu_seconds)
    for path in lines, pairs:
        path.unlink()


def compare(taken: dict[str, Usage], cpu_seconds_alone: float) -> None:
    """Print the figures beside those asked for."""

    def times(ours: str, peer: str, at_most: float) -> None:
        if peer in taken:
            ratio = taken[ours].seconds / taken[peer].seconds
            row(f"{ours}, times {peer}", ratio, at_most=at_most)

    def peak(ours: str, at_most: float) -> None:
        mb = taken[ours].peak_bytes / 1e6
        row(f"{ours}, peak memory of a process, MB", mb, "{:.0f}", at_most=at_most)

    times("C", "one C process", 2.0)
    row("C, CPU time, times its workers'", taken["C"].cpu_seconds / cpu_seconds_alone, at_most=1.5)
    times("Python", "Counter by lines", 0.75)
    times("Python", "Counter by blocks", 1.5)
    times("sort", "shell pipe", 0.5)
    times("sort", "GNU parallel", 0.65)
    times("sort on disk", "shell pipe on disk", 1.0)
    peak("C", 300)
    peak("Python", 300)
    peak("sort", 100 + SORT_BUFFER * 1.048576)
    peak("sort on disk", 100 + SMALL_BUFFER * 1.048576)


main()
