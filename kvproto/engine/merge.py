"""Between the maps and the reduces: which columns of spool files a task reads, and merges of them.

`kvproto.engine.merge_plan` says when there are merges, and why. A merge reads the columns of its
partitions from the file of each of its maps, and writes one file, in which each partition has a
column for each of those maps.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import chain

from kvproto.engine.calls import Calls, Finished, MergeCall
from kvproto.engine.merge_plan import Merge
from kvproto.engine.meter import Meter
from kvproto.engine.task_events import note_output
from kvproto.errors import DataError, JobError
from kvproto.storage.results import new_attempt, plain_name
from kvproto.storage.spool import SpoolWriter, read_columns, read_parts
from kvproto.storage.spool_index import (
    ColumnsInFiles,
    IndexPart,
    PackedColumns,
    Segment,
    SpoolFile,
    columns_of,
)

__all__ = ["Spooled", "merge_calls", "merge_task"]


class Spooled:
    """The spool files of the maps, or of the merges after them.

    Parameters
    ----------
    directory : str
        The directory of the files.
    files : list of SpoolFile
        In the order of the tasks that wrote them.
    n_partitions : int
    merge : Merge or None
        What the tasks were, if they were merges.

    Raises
    ------
    JobError
        The files are those of other merges: a map that ran again has written other data.
    """

    def __init__(
        self, directory: str, files: list[SpoolFile], n_partitions: int, merge: Merge | None = None
    ) -> None:
        self.directory = directory
        self.n_partitions = n_partitions
        self.n_bytes = sum(file.n_bytes for file in files)
        self.n_pairs = sum(file.n_pairs for file in files)
        self.files = files
        self._merge = merge
        if merge is not None:
            for task, file in enumerate(files):
                _check_name(file.path, _name(task, merge.maps(task), merge.partitions(task)))

    def columns(self, partition: int) -> PackedColumns | ColumnsInFiles:
        """Return the columns of a partition, in the order of the maps."""
        merge = self._merge
        if merge is None:
            return columns_of(self.files, self.directory, partition, partition + 1)
        parts = []
        for task in merge.tasks_of(partition):
            name, n_maps = os.path.basename(self.files[task].path), len(merge.maps(task))
            first = (partition - merge.partitions(task)[0]) * n_maps
            file = self.files[task]
            parts.append(IndexPart(name, file.n_bytes, file.n_columns, first, first + n_maps))
        return ColumnsInFiles(self.directory, tuple(parts))

    def segments(self) -> Iterator[list[Segment]]:
        """Yield the segments of each partition, in the order of the maps."""
        for partition in range(self.n_partitions):
            yield list(chain.from_iterable(read_columns(self.columns(partition))))


def merge_calls(spooled: Spooled, merge: Merge, buffer_size: int) -> Calls[MergeCall]:
    """Return the calls of the merges of what the maps wrote."""

    def make(task: int) -> MergeCall:
        maps, partitions = merge.maps(task), merge.partitions(task)
        files = spooled.files[maps.start : maps.stop]
        columns = columns_of(files, spooled.directory, partitions.start, partitions.stop)
        return MergeCall(task, maps, partitions, columns, spooled.directory, buffer_size)

    return Calls(merge.n_tasks, make)


def _name(task: int, maps: range, partitions: range) -> str:
    """The name of the file of a merge, without the ending of its attempt."""
    return f"merge-{task:05d}-{len(maps)}x{len(partitions)}"


def _check_name(path: str, name: str) -> None:
    if plain_name(path) != name:
        raise JobError(
            f"spool file {path} does not fit the merges of this job: the maps that ran again did "
            "not write what they had written before; run the job again, without resuming it"
        )


def merge_task(call: MergeCall) -> Finished[SpoolFile]:
    """Merge the columns of several maps. Its file has the index at its end."""
    meter = Meter("merged", 0)
    n_maps, n_partitions = len(call.maps), len(call.partitions)
    name = f"{_name(call.number, call.maps, call.partitions)}.{new_attempt()}"
    path = os.path.join(call.directory, name)
    with (
        meter,
        SpoolWriter(
            path,
            n_maps * n_partitions,
            buffer_size=call.buffer_size,
            in_rounds=True,
            index_in_file=True,
        ) as writer,
    ):
        try:
            for number, segments in enumerate(read_columns(call.columns)):
                for partition, data in read_parts(segments, in_file_order=True):
                    writer.write(partition * n_maps + number, data, 0)
                    meter.add(len(data))
                for partition, segment in enumerate(segments):
                    writer.write(partition * n_maps + number, b"", segment.n_pairs)
        except DataError as e:
            e.add_note(call.label)
            raise
        file = writer.publish()
        note_output([file])
        return Finished(file, {}, meter.n_bytes, meter.n_records, {}, {})
