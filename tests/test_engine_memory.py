"""What a task keeps in memory does not grow with its input, when its functions let go of what they had."""

import re
from pathlib import Path

import pytest
from jobs import results

from kvproto.classic.func import sum_combiner

PER_LINE = 100
N_LINES = 3_000
"""So many that a task's spool is full and its combiner has let go several times: from here on nothing may grow."""


def peak() -> int:
    """The most memory that this process has had, bytes; of itself alone, not of what started it."""
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10


def different(line, params):
    """Pairs whose keys, of 120 bytes, never come twice."""
    first = int(line) * PER_LINE
    return ((f"{number:0120}", 1) for number in range(first, first + PER_LINE))


def passing(iter, params):
    """Gives what it gets, and at the end the memory that it took, and the map before it in the same process."""
    n_pairs = 0
    for _pair in iter:
        n_pairs += 1
        yield _pair
    yield "peak", (n_pairs, peak())


def one_at_a_time(key, value, buffer, done, params):
    return None if done else [(key, value)]


def peak_of(path: Path, n_lines: int, **functions) -> int:
    path.write_text("".join(f"{number}\n" for number in range(n_lines)))
    for key, value in results(input=[str(path)], map=different, reduce=passing, processes=1, **functions):
        if key == "peak":
            n_pairs, n_bytes = value
    assert n_pairs == n_lines * PER_LINE
    return n_bytes


@pytest.mark.parametrize("combiner", [sum_combiner, one_at_a_time, None])
def test_four_times_the_input_takes_no_more_memory(tmp_path, combiner):
    once = peak_of(tmp_path / "once", N_LINES, combiner=combiner)
    four_times = peak_of(tmp_path / "four times", 4 * N_LINES, combiner=combiner)
    n_more_bytes = 3 * N_LINES * PER_LINE * 120
    assert four_times - once < n_more_bytes // 4
    assert four_times < 300e6


def large(line, params):
    """A thousand values of a quarter of a mebibyte."""
    return ((number, b"x" * (1 << 18)) for number in range(1000))


def sizes(key, value, buffer, done, params):
    """The size of all values: none of them is kept."""
    if done:
        return buffer.items()
    buffer["size"] = buffer.get("size", 0) + len(value)


def test_large_values_are_not_collected_before_they_are_combined():
    got = dict(results(input=["raw://x"], map=large, combiner=sizes, reduce=passing, processes=1))
    assert got["size"] == 1000 << 18
    assert got["peak"][1] < (1000 << 18) // 2
