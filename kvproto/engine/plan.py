"""Plan the tasks: cut the inputs into splits, and group the splits into tasks. No I/O.

A large file is cut so that all cores work on it. Small files share a task, so that thousands of
them do not become thousands of tasks. The cuts are byte offsets; the reader moves each one to the
start of the next line.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from kvproto.inputs.schemes import Input

__all__ = ["MAX_TASK", "MIN_TASK", "Split", "plan_maps", "plan_reduces"]

MIN_TASK = 1 << 20
MAX_TASK = 64 << 20
"""Bytes of input for a map task: 1 to 64 MiB, or one larger file that cannot be cut."""

_TASKS_PER_PROCESS = 4  # few, because each has a cost; enough for the processes to end together


class Split(NamedTuple):
    """A part of one input: the lines that begin in a range of bytes.

    Parameters
    ----------
    url : str
    start, end : int, int or None
        The byte offsets where the range begins and ends. None is the end of the input.
    n_bytes : int
        The size of the range; 0 if it is unknown.
    replicas : tuple of str
        Other URLs of the same data.
    """

    url: str
    start: int
    end: int | None
    n_bytes: int
    replicas: tuple[str, ...] = ()


def plan_maps(
    inputs: Iterable[Input], n_processes: int, *, cut: bool, share: bool = True
) -> list[list[Split]]:
    """Plan the map tasks.

    Parameters
    ----------
    inputs : iterable of Input
    n_processes : int
        How many tasks run at a time.
    cut : bool
        Whether inputs may be cut at line ends. A job with a reader needs whole inputs.
    share : bool
        Whether inputs may share a task.

    Returns
    -------
    list of list of Split
        The splits of each task, in the order of the inputs.
    """
    inputs = list(inputs)
    total = sum(one.n_bytes or 0 for one in inputs)
    task_bytes = min(max(-(-total // (n_processes * _TASKS_PER_PROCESS)), MIN_TASK), MAX_TASK)
    tasks: list[list[Split]] = []
    n_filled = task_bytes
    for one in inputs:
        for split in _splits(one, task_bytes if cut and one.seekable else None):
            # An input of unknown size gets a task of its own.
            n_bytes = task_bytes if one.n_bytes is None else split.n_bytes
            if n_filled + n_bytes > task_bytes or not tasks or not share:
                tasks.append([])
                n_filled = 0
            tasks[-1].append(split)
            n_filled += n_bytes
    return tasks


def plan_reduces(inputs: Iterable[Input], n_partitions: int | None) -> list[list[Split]] | None:
    """Plan a reduce without a map.

    A single partition reads all inputs. Of several, each reads the inputs with its label.

    Parameters
    ----------
    inputs : iterable of Input
    n_partitions : int or None
        None: as many as the labels need.

    Returns
    -------
    list of list of Split, or None
        The splits of each partition. None if an input has no label, or one that is too large: the
        job then needs a shuffle.
    """
    inputs = list(inputs)
    if n_partitions is None:
        n_partitions = 1 + max((one.label or 0 for one in inputs), default=0)
        labels: list[int | None] = [one.label or 0 for one in inputs]
    else:
        labels = [0 if n_partitions == 1 else one.label for one in inputs]
    tasks: list[list[Split]] = [[] for _ in range(n_partitions)]
    for label, one in zip(labels, inputs, strict=True):
        if label is None or label >= n_partitions:
            return None
        tasks[label] += _splits(one, None)
    return tasks


def _splits(one: Input, task_bytes: int | None) -> list[Split]:
    size = one.n_bytes or 0
    if task_bytes is None or size <= task_bytes * 3 // 2:
        return [Split(one.url, 0, None, size, one.replicas)]
    n_splits = -(-size // task_bytes)
    cuts = [size * number // n_splits for number in range(n_splits + 1)]
    return [Split(one.url, start, end, end - start, one.replicas) for start, end in pairwise(cuts)]
