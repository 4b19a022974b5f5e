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

__all__ = ["MAX_TASK", "MAX_TASKS", "MIN_TASK", "Split", "plan_maps", "plan_reduces", "task_bytes"]

MIN_TASK = 1 << 20
MAX_TASK = 64 << 20
"""Bytes of input for a map task: 1 to 64 MiB, or one larger file that cannot be cut."""

MAX_TASKS = 10_000
"""Above this number of tasks they become larger instead, unless so many run at a time."""

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


def task_bytes(n_bytes: int, n_processes: int) -> int:
    """How many bytes of input a map task should have, of n_bytes in all.

    A task of 64 MiB is large enough for its start to cost next to nothing, and small enough to be
    run again. But what the driver holds, and what is read between maps and reduces, grows with the
    number of tasks: 10 TiB are 10,000 tasks of 1 GiB, and not 160,000.
    """
    n_wanted = n_processes * _TASKS_PER_PROCESS
    of_task = min(max(-(-n_bytes // n_wanted), MIN_TASK), MAX_TASK)
    return max(of_task, -(-n_bytes // max(MAX_TASKS, n_wanted)))


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
    size = task_bytes(sum(one.n_bytes or 0 for one in inputs), n_processes)
    tasks: list[list[Split]] = []
    n_filled = size
    for one in inputs:
        for split in _splits(one, size if cut and one.seekable else None):
            # An input of unknown size gets a task of its own.
            n_bytes = size if one.n_bytes is None else split.n_bytes
            if n_filled + n_bytes > size or not tasks or not share:
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
