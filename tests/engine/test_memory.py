"""What a task keeps in memory does not grow with its input, when its functions let go of what they
had.
"""

import re
from pathlib import Path

import pytest
from support.jobs import results

from kvproto.classic import Job, result_iterator
from kvproto.classic.func import nop_map, sum_combiner
from kvproto.classic.task_io import disco_output_stream

pytestmark = pytest.mark.slow

PER_LINE = 100


def peak() -> int:
    """The most memory that this process has had, bytes; of itself alone, not of what started it."""
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10


def different(line, params):
    """Pairs whose keys, of 120 bytes, never come twice."""
    first = int(line) * PER_LINE
    return ((f"{number:0120}", 1) for number in range(first, first + PER_LINE))


def passing(iter, params):
    """Gives what it gets, and at the end the memory that it took, and the map before it in the same
    process.
    """
    n_pairs = 0
    for _pair in iter:
        n_pairs += 1
        yield _pair
    yield "peak", (n_pairs, peak())


def one_at_a_time(key, value, buffer, done, params):
    return None if done else [(key, value)]


def peak_of(path: Path, n_lines: int, **functions) -> int:
    path.write_text("".join(f"{number}\n" for number in range(n_lines)))
    for key, value in results(
        input=[str(path)], map=different, reduce=passing, processes=1, **functions
    ):
        if key == "peak":
            n_pairs, n_bytes = value
    assert n_pairs == n_lines * PER_LINE
    return n_bytes


@pytest.mark.parametrize(
    ("combiner", "n_lines"), [(sum_combiner, 3000), (one_at_a_time, 1000), (None, 1000)]
)
def test_four_times_the_input_takes_no_more_memory(tmp_path, combiner, n_lines):
    """The lines are so many that a task's spool is full, and its combiner has let go several times:
    from there on nothing may grow.
    """
    once = peak_of(tmp_path / "once", n_lines, combiner=combiner)
    four_times = peak_of(tmp_path / "four times", 4 * n_lines, combiner=combiner)
    n_more_bytes = 3 * n_lines * PER_LINE * 120
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


def small_and_large(fd, size, url, params):
    """Many small pairs, which make for long batches, and then large ones."""
    yield from ((str(number), "") for number in range(5000))
    yield from ((str(number), str(number % 10) * 2_000_000) for number in range(100))


def add_all(iter, out, params):
    n_pairs = 0
    for key, value in iter:
        out.add(key, value)
        n_pairs += 1
    out.add("peak", (n_pairs, peak()))


@pytest.mark.parametrize(
    "functions",
    [
        {"reduce": passing},
        {"reduce": add_all},
        {"reduce": add_all, "combiner": one_at_a_time},
        {"reduce": add_all, "map_output_stream": [disco_output_stream]},
    ],
)
def test_large_pairs_behind_small_ones_are_not_held_by_the_thousand(functions):
    job = Job("large").run(
        input=["raw://x"], map=nop_map, map_reader=small_and_large, processes=1, **functions
    )
    [(n_pairs, n_bytes)] = [value for key, value in result_iterator(job.wait()) if key == "peak"]
    assert n_pairs == 5100
    assert n_bytes < 200e6  # all of the large ones: 200e6, and Python


def test_a_sort_by_other_keys_than_text_stays_small_however_large_its_buffer():
    def numbers(fd, size, url, params):
        return (((number * 7919 % 1_000_003, 0), "") for number in range(1_000_000))

    def check(iter, params):
        before, n_pairs = (-1, 0), 0
        for key, _ in iter:
            assert key > before
            before, n_pairs = key, n_pairs + 1
        yield "peak", (n_pairs, peak())

    jobargs = {"sort": True, "sort_buffer_size": "2G", "processes": 1}
    [(_, (n_pairs, n_bytes))] = results(
        input=["raw://x"], map=nop_map, map_reader=numbers, reduce=check, **jobargs
    )
    assert n_pairs == 1_000_000
    assert n_bytes < 200e6
