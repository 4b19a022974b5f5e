"""Whole jobs over more and more text: the time of each MB, and the memory of the largest process.

The text is a quarter of what the other whole jobs read, and then four times as much each time. The
start of a job makes each MB of a small text slower; growth is when those of a larger one are.
"""

import itertools

from measure import directory, most_text_bytes, n_text_bytes, row, run, run_in_turn
from words import (
    count,
    expected_counts,
    job_in_c,
    kvproto_run,
    set_environment,
    sorted_job_in_c,
    zipf_text,
)

SORT_BUFFER = 512  # MiB


def main():
    set_environment()
    sizes = [n_text_bytes() // 4]
    while 4 * sizes[-1] <= most_text_bytes():
        sizes.append(4 * sizes[-1])
    measure_growth(sizes)
    measure_sort(sizes[-1])
    measure_sort_of_objects(sizes[0])
    measure_different_keys()


def peak(what: str, n_bytes: int, at_most: float):
    row(f"{what}: peak memory, MB", n_bytes / 1e6, "{:.0f}", at_most=at_most)


def measure_growth(sizes: list[int]):
    runs = []
    for text in map(zipf_text, sizes):
        command, expected = job_in_c("reduce", text), expected_counts(text)
        runs.append(lambda command=command, expected=expected: count(command, expected))
    taken = run_in_turn(*runs)
    each_mb = [usage.seconds / size * 1e6 for usage, size in zip(taken, sizes, strict=True)]
    for size, seconds, usage in zip(sizes, each_mb, taken, strict=True):
        what = f"C map and reduce, {size // 1_000_000} MB"
        row(f"{what}: ms for each MB", seconds * 1e3)
        peak(what, usage.peak_bytes, at_most=300)
    row("ms for each MB, the most over the least", max(each_mb) / min(each_mb))
    growth = max(large / small for small, large in itertools.combinations(each_mb, 2))
    row("ms for each MB, a larger over a smaller text", growth, at_most=1.15)


def measure_sort(n_bytes: int):
    text = zipf_text(n_bytes)
    usage = count(sorted_job_in_c(text, f"{SORT_BUFFER}M"), expected_counts(text))
    what = f"the same with a sort, {n_bytes // 1_000_000} MB"
    peak(what, usage.peak_bytes, at_most=100 + SORT_BUFFER * 1.048576)


def measure_sort_of_objects(n_bytes: int):
    text = zipf_text(n_bytes)
    command, expected = kvproto_run("jobs.SortedWords", text), expected_counts(text)
    [usage] = run_in_turn(lambda: count(command, expected))
    row(f"Python functions with a sort, {n_bytes // 1_000_000} MB: s", usage.seconds)


def measure_different_keys():
    """Keys that never come twice, through a combiner and a reduce that keep nothing: the memory
    must not grow with them.
    """
    path = directory() / "numbers"
    for n_lines in n_text_bytes() // 40, n_text_bytes() // 10:
        with open(path, "w", encoding="ascii") as file:
            for start in range(0, n_lines, 100_000):
                file.writelines(
                    f"{number:019}\n" for number in range(start, min(n_lines, start + 100_000))
                )
        usage = run(kvproto_run("jobs.Different", path))
        what = f"keys that all differ, {path.stat().st_size // 1_000_000} MB"
        peak(what, usage.peak_bytes, at_most=300)


main()
