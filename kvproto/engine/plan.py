"""Which task reads what: inputs to splits, splits to tasks. Pure: sizes in, splits out.

A large file is cut so that all cores work on it, small files share a task so that thousands of them are not
thousands of tasks. The cuts are offsets; the reader moves each to the next line's start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["MAX_TASK", "MIN_TASK", "Split", "plan_maps", "plan_reduces"]

MIN_TASK = 1 << 20
MAX_TASK = 64 << 20
"""Bytes of input that a map task gets, at least and at most: 1 MiB, 64 MiB (a file that cannot be cut may be larger)."""

_TASKS_EACH = 4  # tasks per process: few enough to cost nothing, enough to end together


class Split(NamedTuple):
    """A part of one input: the lines that begin in url[start:end], end None for all.

    n_bytes   int, its size as far as it is known beforehand
    replicas  other urls of the same data
    """

    url: str
    start: int
    end: int | None
    n_bytes: int
    replicas: tuple[str, ...] = ()


def plan_maps(
    inputs: Iterable, n_processes: int, *, cut: bool, share: bool = True
) -> list[list[Split]]:
    """Plan the map tasks: lists of splits in the order of the inputs.

    inputs  `kvproto.classic.schemes.Input`s
    cut     whether an input may be cut at line ends; with a reader of the user's own it may not
    share   whether inputs may share a task
    """
    inputs = list(inputs)
    total = sum(found.n_bytes or 0 for found in inputs)
    task_bytes = min(max(-(-total // (n_processes * _TASKS_EACH)), MIN_TASK), MAX_TASK)
    tasks: list[list[Split]] = []
    n_filled = task_bytes
    for found in inputs:
        for split in _splits(found, task_bytes if cut and found.seekable else None):
            n_bytes = (
                task_bytes if found.n_bytes is None else split.n_bytes
            )  # unknown: a task of its own
            if n_filled + n_bytes > task_bytes or not tasks or not share:
                tasks.append([])
                n_filled = 0
            tasks[-1].append(split)
            n_filled += n_bytes
    return tasks


def plan_reduces(inputs: Iterable, n_partitions: int | None) -> list[list[Split]] | None:
    """Plan the tasks of a reduce without a map: the splits of each partition; None when that takes a shuffle by keys.

    One partition reads all inputs. Of several, or of None (as many as the labels need), each reads the inputs
    that have its label, if all have one.
    """
    inputs = list(inputs)
    if n_partitions is None:
        n_partitions = 1 + max((found.label or 0 for found in inputs), default=0)
        labels = [found.label or 0 for found in inputs]
    else:
        labels = [0 if n_partitions == 1 else found.label for found in inputs]
    if any(label is None or label >= n_partitions for label in labels):
        return None
    tasks: list[list[Split]] = [[] for _ in range(n_partitions)]
    for label, found in zip(labels, inputs):
        tasks[label] += _splits(found, None)
    return tasks


def _splits(found, task_bytes: int | None) -> list[Split]:
    size = found.n_bytes or 0
    if task_bytes is None or size <= task_bytes * 3 // 2:
        return [Split(found.url, 0, None, size, found.replicas)]
    n_splits = -(-size // task_bytes)
    cuts = [size * number // n_splits for number in range(n_splits + 1)]
    return [
        Split(found.url, start, end, end - start, found.replicas)
        for start, end in zip(cuts, cuts[1:])
    ]
