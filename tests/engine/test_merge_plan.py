"""When the outputs of maps are merged, and what a shuffle of a thousand or ten thousand maps costs,
without one byte of it being there.
"""

import pickle
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto.engine.merge import Spooled, merge_calls
from kvproto.engine.merge_plan import LIMITS, Limits, Merge, indexes_in_files, plan_merge, traffic
from kvproto.storage.spool_index import Segment, SpoolFile, pack_index

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
LOCAL, OBJECTS = 16 * KIB, MIB
"""Bytes that are worth a request, of local files and of an object store."""


def plan(n_maps, n_partitions, n_bytes, request_bytes=OBJECTS, n_processes=8, limits=LIMITS):
    return plan_merge(n_maps, n_partitions, n_bytes, n_processes, request_bytes, limits)


@pytest.mark.parametrize("request_bytes", [LOCAL, OBJECTS])
@pytest.mark.parametrize(
    ("n_maps", "n_partitions", "segment"),
    [
        (4, 2, KIB),  # a small job
        (0, 1, 0),
        (1, 100_000, 100),  # nothing to merge: a single map
        (500_000, 3, 10 * MIB),  # many, and each is worth its request
        (10_000, 1, KIB),  # merges would have as many requests
        (100, 20, KIB),
    ],
)
def test_few_or_large_segments_are_read_as_they_are(n_maps, n_partitions, segment, request_bytes):
    assert plan(n_maps, n_partitions, n_maps * n_partitions * segment, request_bytes) is None


@pytest.mark.parametrize(
    ("n_maps", "n_partitions", "segment", "request_bytes"),
    [
        (1000, 1001, 4 * KIB, LOCAL),
        (1000, 1001, 64 * KIB, OBJECTS),
        (1000, 10, 63 * KIB, OBJECTS),
        (10_000, 10_000, 100 * KIB, OBJECTS),
    ],
)
def test_many_small_segments_are_merged(n_maps, n_partitions, segment, request_bytes):
    n_bytes = n_maps * n_partitions * segment
    merge = plan(n_maps, n_partitions, n_bytes, request_bytes)
    directly, merged = (
        traffic(n_maps, n_partitions, n_bytes, way, LIMITS) for way in (None, merge)
    )
    assert merged.n_requests < directly.n_requests / 4
    assert merged.n_bytes < 2.1 * directly.n_bytes


def test_what_a_map_writes_in_several_rounds_has_as_many_ranges():
    rounds = [
        traffic(1000, 1000, 1000 * n_bytes, None, LIMITS).n_requests - 1000
        for n_bytes in (MIB, 32 * MIB, 33 * MIB, 100 * MIB)
    ]
    assert rounds == [1_000_000, 1_000_000, 2_000_000, 4_000_000]


def test_a_local_job_of_ten_thousand_tasks_is_not_merged():
    assert plan(10_000, 1, 10 * MIB, LOCAL) is None


@given(
    n_maps=st.integers(1, 40),
    n_partitions=st.integers(1, 40),
    n_bytes=st.integers(0, 1 << 30),
    n_columns=st.integers(1, 2000),
)
def test_each_segment_is_merged_once_and_in_the_order_of_the_maps(
    n_maps, n_partitions, n_bytes, n_columns
):
    limits = Limits(least_gain=-TIB, task_columns=n_columns)
    merge = plan(n_maps, n_partitions, n_bytes, limits=limits)
    assert all(
        len(merge.maps(task)) * len(merge.partitions(task)) <= n_columns
        for task in range(merge.n_tasks)
    )
    for partition in range(n_partitions):
        tasks = merge.tasks_of(partition)
        assert all(partition in merge.partitions(task) for task in tasks)
        assert [number for task in tasks for number in merge.maps(task)] == [*range(n_maps)]


def spool_files(n_maps, n_partitions, segment, in_driver):
    packed = b""
    if in_driver:
        at = [(number * segment, segment) for number in range(n_partitions)]
        packed = pack_index([Segment("spool/map", (of_file,), 1, 7) for of_file in at])
    return [
        SpoolFile(
            f"spool/map-{number:05d}.{number:08x}",
            n_partitions,
            n_partitions * segment,
            bytes(bytearray(packed)),
        )
        for number in range(n_maps)
    ]


@pytest.mark.slow
def test_a_thousand_maps_and_partitions_need_50_mb_in_the_driver_and_on_their_way():
    n_bytes = 1000 * 1000 * 32 * KIB
    assert not indexes_in_files(1000, 1000, LIMITS)
    expected = traffic(1000, 1000, n_bytes, None, LIMITS)
    assert expected == (1000, 1_001_000, 2 * n_bytes, expected.driver_bytes)
    tracemalloc.start()
    spooled = Spooled("spool", spool_files(1000, 1000, 32 * KIB, in_driver=True), 1000)
    n_sent = sum(len(pickle.dumps(spooled.columns(partition))) for partition in range(1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_sent < 55e6
    assert peak < expected.driver_bytes * 1.1 < 40e6


@pytest.mark.slow
def test_ten_thousand_maps_and_partitions_leave_the_driver_with_a_constant_for_each_file():
    n_bytes = 10_000 * 10_000 * 100 * KIB
    assert indexes_in_files(10_000, 10_000, LIMITS)
    merge = plan(10_000, 10_000, n_bytes, n_processes=1000)
    directly, merged = (traffic(10_000, 10_000, n_bytes, way, LIMITS) for way in (None, merge))
    assert directly.n_requests > 800e6 and merged.n_requests < 30e6
    assert merged.n_objects == 10_000 + merge.n_tasks < 100_000
    assert merged.n_bytes < 4.01 * n_bytes
    tracemalloc.start()
    files = spool_files(10_000, 10_000, 100 * KIB, in_driver=False)
    calls = merge_calls(Spooled("spool", files, 10_000), merge, LIMITS.task_bytes)
    assert len(pickle.dumps(calls[len(calls) - 1])) < 3000
    files = [
        SpoolFile(
            f"spool/merge-{task:05d}-{len(merge.maps(task))}x{len(merge.partitions(task))}."
            f"{task:08x}",
            len(merge.maps(task)) * len(merge.partitions(task)),
            LIMITS.task_bytes,
            b"",
        )
        for task in range(merge.n_tasks)
    ]
    spooled = Spooled("spool", files, 10_000, merge)
    assert len(pickle.dumps(spooled.columns(9999))) < 30_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < merged.driver_bytes < 40e6


def test_a_merge_reads_no_more_than_its_buffer_holds():
    merge = plan(10_000, 10_000, 10 * TIB)
    assert merge.maps_each * merge.partitions_each * (10 * TIB // 10**8) <= LIMITS.task_bytes


def test_the_tasks_of_a_merge_are_enough_for_all_processes():
    assert plan(10_000, 10, GIB, n_processes=64).n_tasks >= 64 * 4


def test_the_groups_are_the_same_for_each_task_but_the_last():
    merge = Merge(10, 7, 4, 3)
    assert merge.n_tasks == 9
    assert [(len(merge.maps(task)), len(merge.partitions(task))) for task in range(9)] == [
        *([(4, 3), (4, 3), (4, 1)] * 2),
        *[(2, 3), (2, 3), (2, 1)],
    ]


def fewest(request_bytes, segment):
    """The fewest segments of a square shuffle that is merged; None if there are none."""
    for side in range(10, 3000, 10):
        if plan(side, side, side * side * segment, request_bytes) is not None:
            return side * side
    return None


def test_the_documented_sizes_are_those_of_the_plan():
    assert 5_000 < fewest(OBJECTS, 64 * KIB) < 7_000
    assert 250_000 < fewest(LOCAL, KIB) < 350_000
    assert plan(10_000, 60, 10_000 * 60 * MIB // 2, OBJECTS) is None
    assert plan(1000, 1000, 1000 * 1000 * 8 * KIB, LOCAL) is None
