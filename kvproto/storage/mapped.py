"""The output of a job's maps as result files, for a job that keeps it: `map-results` in its directory.

One file for each partition; where the maps have output streams of their own, one for each partition of each map, as
only the streams know where their data ends. They are there when `map-results.jsonl` says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from kvproto.storage.files import naming
from kvproto.storage.manifest import write_manifest
from kvproto.storage.private import make_directory
from kvproto.storage.records import RAW
from kvproto.storage.regular import sync
from kvproto.storage.results import Result, ResultWriters
from kvproto.storage.spool import Segment, read_segment

__all__ = ["keep_map_results"]


def keep_map_results(directory: str, columns: list[list[Segment]], kind: str) -> None:
    """Copy what the maps wrote, records of `kind`, to result files in `directory`, which is made.

    columns  the segments of each partition, in the order of the maps
    Raises JobError for a full disk, DataError for a spool file that is cut or damaged.
    """
    with naming(directory, "writing"):
        make_directory(directory)
    results = []
    for partition, column in enumerate(columns):
        if kind == RAW:
            parts = {
                f"{number:05d}-{partition:05d}": [segment]
                for number, segment in enumerate(column)
                if segment.n_bytes
            }
        else:
            parts = {f"{partition:05d}": column}
        results += [
            _copied(os.path.join(directory, f"map-{name}"), segments, kind)
            for name, segments in parts.items()
        ]
    with naming(directory, "writing"):
        for path in (*(result.path for result in results), directory):
            sync(path)
    write_manifest(directory, results)


def _copied(path: str, segments: Iterable[Segment], kind: str) -> Result:
    with ResultWriters([path], kind) as writer:
        for segment in segments:
            for data in read_segment(segment):
                writer.write(0, data, 0)
            writer.write(0, b"", segment.n_pairs)
        return writer.publish()[0]
