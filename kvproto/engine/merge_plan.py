"""Plan the way from the maps to the reduces: directly, or with merges in between. No I/O.

Each map writes one spool file, and each reduce reads a range of every one: maps x partitions
requests. When there are many, and what they give is small, requests take longer than data. Then a
stage of merges runs in between. A merge reads the outputs of a group of maps for a group of
partitions, which lie in one piece in a map's file, and writes one spool file. A reduce reads what
is merged for it in one piece from each group of maps. With groups of g maps x g partitions there
are two times maps x partitions / g requests, at the price of each byte being moved twice.

Merges keep the order of the maps, and the end of each map's output, so that the reduce gets the
same bytes. Fewer, larger maps would not help: a map keeps part of its output in memory, and writes
what exceeds that in rounds, each with a range for every partition. A merge is also a small task,
which is tried again alone; a map of many splits is not.

The rule is a price in bytes. Reading from a store costs a request as much as `Store.request_bytes`
of data. Jobs are merged when the requests that this saves are worth more than the bytes that are
moved again, by at least the price of a stage (`Limits.least_gain`): from about 6,000 segments of
64 KiB in an object store, or 300,000 of 1 KiB in local files. Segments of 0.5 MiB, or 8 KiB, that
maps have written in one round are not merged.

Which is more depends on the number and the size of the segments, not on the number alone: a million
segments of 10 MiB are best read as they are. What depends on the number alone is where the indexes
are (`Limits.driver_segments`), as the driver must not hold what grows with maps x partitions.
"""

from __future__ import annotations

from math import isqrt
from typing import NamedTuple

from kvproto.storage.spool import BUFFER_SIZE, LARGE_BUFFER

__all__ = ["LIMITS", "Limits", "Merge", "Traffic", "indexes_in_files", "plan_merge", "traffic"]

_MIN_TASK = 1 << 20  # bytes
_TASKS_PER_PROCESS = 4
_HEAD = 32  # bytes of a column in an index
_FILE = 400  # bytes that the driver holds of each spool file besides


class Limits(NamedTuple):
    """What the plan depends on.

    Attributes
    ----------
    driver_segments : int
        The largest number of segments whose indexes the driver holds: 32 bytes for each.
    least_gain : int
        What merges must save, in bytes that could be read in the same time.
    task_bytes : int
        Bytes that one merge reads and keeps in memory, on average. The process of a merge takes up
        to 190 MiB with the default.
    task_columns : int
        The largest number of segments that one merge reads.
    """

    driver_segments: int = 1_000_000
    least_gain: int = 4 << 30
    task_bytes: int = LARGE_BUFFER
    task_columns: int = 1 << 16


LIMITS = Limits()


class Merge(NamedTuple):
    """A stage of merges: of n_maps x n_partitions, each task has some of both."""

    n_maps: int
    n_partitions: int
    maps_each: int
    partitions_each: int

    @property
    def n_map_groups(self) -> int:
        return -(-self.n_maps // self.maps_each)

    @property
    def n_partition_groups(self) -> int:
        return -(-self.n_partitions // self.partitions_each)

    @property
    def n_tasks(self) -> int:
        return self.n_map_groups * self.n_partition_groups

    def maps(self, task: int) -> range:
        """The maps that a task reads."""
        first = task // self.n_partition_groups * self.maps_each
        return range(first, min(first + self.maps_each, self.n_maps))

    def partitions(self, task: int) -> range:
        """The partitions that a task reads."""
        first = task % self.n_partition_groups * self.partitions_each
        return range(first, min(first + self.partitions_each, self.n_partitions))

    def tasks_of(self, partition: int) -> range:
        """The tasks that write a partition, in the order of the maps."""
        return range(partition // self.partitions_each, self.n_tasks, self.n_partition_groups)


class Traffic(NamedTuple):
    """What the way from the maps to the reduces costs.

    Attributes
    ----------
    n_objects : int
        Spool files.
    n_requests : int
        Files written, ranges read.
    n_bytes : int
        Bytes written and read, with those of indexes in files.
    driver_bytes : int
        The most memory that the driver needs for it.
    """

    n_objects: int
    n_requests: int
    n_bytes: int
    driver_bytes: int


def indexes_in_files(n_maps: int, n_partitions: int, limits: Limits) -> bool:
    """Whether the indexes of the maps' files are in these, and the driver does not hold them."""
    return n_maps * n_partitions > limits.driver_segments


def traffic(
    n_maps: int, n_partitions: int, n_bytes: int, merge: Merge | None, limits: Limits
) -> Traffic:
    """Return what a job's shuffle of n_bytes costs, with or without merges."""
    n_segments = n_maps * n_partitions
    in_files = indexes_in_files(n_maps, n_partitions, limits)
    index_bytes = n_segments * _HEAD
    n_ranges = _n_ranges(n_maps, n_partitions, n_bytes, limits)
    in_driver = n_maps * _FILE + (0 if in_files else index_bytes)
    if merge is None:
        reads = n_segments * n_ranges
        moved = 2 * n_bytes + (2 * index_bytes if in_files else 0)
        return Traffic(n_maps, n_maps + reads, moved, in_driver + n_maps * 2 * _HEAD)
    reads = n_maps * merge.n_partition_groups * n_ranges
    reads += n_partitions * merge.n_map_groups * 2
    n_files = n_maps + merge.n_tasks
    moved = 4 * n_bytes + (4 if in_files else 2) * index_bytes
    of_call = merge.maps_each * merge.partitions_each * 2 * _HEAD
    return Traffic(n_files, n_files + reads, moved, in_driver + merge.n_tasks * _FILE + of_call)


def _n_ranges(n_maps: int, n_partitions: int, n_bytes: int, limits: Limits) -> int:
    """How many ranges of a map's file must be read for adjacent partitions, and of its index."""
    in_files = indexes_in_files(n_maps, n_partitions, limits)
    buffer = LARGE_BUFFER if in_files else BUFFER_SIZE
    n_rounds = max(1, -(-n_bytes // (max(n_maps, 1) * buffer)))
    return n_rounds + in_files


def plan_merge(
    n_maps: int,
    n_partitions: int,
    n_bytes: int,
    n_processes: int,
    request_bytes: int,
    limits: Limits,
) -> Merge | None:
    """Plan the merges of a job, if it is better with them.

    Parameters
    ----------
    n_maps, n_partitions : int
    n_bytes : int
        Bytes that the maps have written.
    n_processes : int
        How many tasks run at a time.
    request_bytes : int
        Bytes that are read in the time that a request takes besides.
    limits : Limits

    Returns
    -------
    Merge or None
    """
    n_segments = n_maps * n_partitions
    if not n_segments:
        return None
    of_task = max(n_bytes // (n_processes * _TASKS_PER_PROCESS), _MIN_TASK)
    n_columns = min(of_task, limits.task_bytes) * n_segments // max(n_bytes, n_segments)
    n_columns = max(1, min(n_columns, limits.task_columns))
    n_ranges = _n_ranges(n_maps, n_partitions, n_bytes, limits)
    # As many requests for the merges as for the reduces, which read an index and a range.
    partitions_each = min(n_partitions, max(1, isqrt(n_columns * n_ranges // 2)))
    maps_each = max(1, min(n_maps, n_columns // partitions_each))
    partitions_each = min(n_partitions, n_columns // maps_each)
    merge = Merge(n_maps, n_partitions, maps_each, partitions_each)
    directly = traffic(n_maps, n_partitions, n_bytes, None, limits)
    merged = traffic(n_maps, n_partitions, n_bytes, merge, limits)
    saved = (directly.n_requests - merged.n_requests) * request_bytes
    gain = saved - (merged.n_bytes - directly.n_bytes)
    return merge if gain > limits.least_gain else None
