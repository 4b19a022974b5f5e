"""The manifest of a job's results: their sizes and checksums, in `results.jsonl` beside the directory `results`.

`map-results` has one too.

A line for each result, and a last one with the checksum of the lines: a change of any byte of it is noticed.

The engine's own result files carry these themselves; of what a job's own output streams wrote only the manifest knows.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from zlib import crc32

from kvproto.errors import DataError
from kvproto.storage.atomic import BLOCK, naming, open_regular
from kvproto.storage.records import RAW, RESULT_HEAD
from kvproto.storage.results import Result, ResultWriters
from kvproto.storage.spool import Segment, read_segment
from kvproto.storage.store import LOCAL, Store

__all__ = [
    "check_directory",
    "checked",
    "keep_map_results",
    "names_of",
    "open_result",
    "partition_of",
    "write_manifest",
    "written",
]


def write_manifest(directory: str, results: Iterable[Result], store: Store = LOCAL) -> None:
    """Write down what is in results, which will be in `directory`, before they are there."""
    lines = [
        json.dumps({**result._asdict(), "path": os.path.basename(result.path)}) + "\n"
        for result in results
    ]
    text = "".join(lines).encode()
    with store.create(_manifest(directory)) as file:
        file.write(text + _last_line(text))
        file.publish(on_disk=True)


def keep_map_results(
    directory: str, columns: list[list[Segment]], kind: str, store: Store = LOCAL
) -> None:
    """Copy what the maps wrote, records of `kind`, to result files in `directory`, with their manifest.

    There is one file for each partition. Where the maps have output streams of their own (RAW), there is one for
    each partition of each map, as only the streams know where their data ends.

    columns  the segments of each partition, in the order of the maps
    Raises JobError for a full disk, DataError for a spool file that is cut or damaged.
    """
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
            _copied(os.path.join(directory, f"map-{name}"), segments, kind, store)
            for name, segments in parts.items()
        ]
    write_manifest(directory, results, store)


def _copied(path: str, segments: Iterable[Segment], kind: str, store: Store) -> Result:
    with ResultWriters([path], kind, store=store) as writer:
        for segment in segments:
            for data in read_segment(segment, store):
                writer.write(0, data, 0)
            writer.write(0, b"", segment.n_pairs)
        return writer.publish(on_disk=True)[0]


def open_result(path: str) -> io.BufferedReader:
    """Open a result file for a reader of the user's own; DataError that names it when it is not what the job wrote."""
    with naming(path, "reading"):
        return checked(open_regular(path), path)


def checked(file: io.BufferedReader, path: str) -> io.BufferedReader:
    """A file that is open at its beginning, or, where it is among a job's results, one that is an error unless it is whole.

    Of what output streams wrote the length is looked at now, the checksum when it is read to its end. A file of the
    engine's own format has both in itself. Raises DataError, and has closed the file then.
    """
    try:
        result = None if _has_header(file) else written(path)
        if result is None:
            return file
        size = os.fstat(file.fileno()).st_size
        if size != result.n_bytes:
            raise DataError(
                f"result file {path} has {size} bytes, {result.n_bytes} were written; run the job again"
            )
    except BaseException:
        file.close()
        raise
    return io.BufferedReader(_Checked(file, path, result.crc), BLOCK)


def written(path: str, store: Store = LOCAL) -> Result | None:
    """What a job wrote down of this one of its results; None where path is not in a job's directory.

    Raises DataError when the manifest is missing or damaged, or does not name it.
    """
    directory, name = os.path.split(os.path.abspath(path))
    if not _is_of_job(directory):
        return None
    for result in _listed(directory, store):
        if result.path == name:
            return result
    raise DataError(
        f"{path} is not among the results that {_manifest(directory)} says were written; run the job again"
    )


def check_directory(directory: str, store: Store = LOCAL) -> None:
    """Raise DataError when it is the directory of a job's results and one of them is not there."""
    directory = os.path.abspath(directory)
    if _is_of_job(directory):
        there = set(store.names(directory))
        for result in _listed(directory, store):
            if result.path not in there:
                raise DataError(
                    f"result file {os.path.join(directory, result.path)} is not there any more; run the job again"
                )


def partition_of(path: str) -> int | None:
    """The partition that a file holds, where it is among the results of a job: the last number in its name; else None."""
    directory, name = os.path.split(os.path.abspath(path))
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() and _is_of_job(directory) else None


def names_of(directory: str, store: Store = LOCAL) -> list[str] | None:
    """The names of the files in a directory of results, as written down; None without a manifest: it is not complete."""
    job, name = os.path.split(_manifest(directory))
    with suppress(FileNotFoundError):
        if name in store.names(job):
            return [result.path for result in _listed(directory, store)]
    return None


def _is_of_job(directory: str) -> bool:
    job, name = os.path.split(directory)
    return name in ("results", "map-results") and os.path.exists(os.path.join(job, "events.jsonl"))


def _listed(directory: str, store: Store) -> Iterator[Result]:
    manifest = _manifest(directory)
    with naming(manifest, "reading"), store.open_range(manifest) as file:
        lines = file.read().splitlines(keepends=True)
    text = b"".join(lines[:-1])
    if not lines or lines[-1] != _last_line(text):
        raise DataError(
            f"{manifest}, which says what the job wrote, is damaged or was cut short; run the job again"
        )
    for line in lines[:-1]:
        try:
            yield _result(json.loads(line))
        except (ValueError, TypeError, RecursionError) as e:
            raise DataError(
                f"{manifest}, which says what the job wrote, is damaged: {e}; run the job again"
            ) from e


def _last_line(text: bytes) -> bytes:
    """The line that ends a manifest: the checksum of all lines before it."""
    return b'{"crc": %d}\n' % crc32(text)


def _result(fields: dict) -> Result:
    """A line of a manifest. TypeError or ValueError for what is none."""
    result = Result(**fields)
    if not isinstance(result.path, str) or not all(isinstance(field, int) for field in result[1:]):
        raise ValueError(f"{fields!r:.200} does not describe a result")
    return result


def _manifest(directory: str) -> str:
    return f"{directory}.jsonl"


def _has_header(file: io.BufferedReader) -> bool:
    header = file.read(len(RESULT_HEAD))
    file.seek(0)
    return header == RESULT_HEAD


class _Checked(io.RawIOBase):
    """A file that must have a checksum when it is read to its end."""

    def __init__(self, file: io.BufferedReader, path: str, crc: int) -> None:
        self._file = file
        self._path = path
        self._wanted = crc
        self._crc = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        n_read = self._file.readinto(buffer)
        self._crc = crc32(memoryview(buffer)[:n_read], self._crc)
        if not n_read and len(buffer) and self._crc != self._wanted:
            raise DataError(f"result file {self._path} is damaged: it does not have its checksum")
        return n_read

    def close(self) -> None:
        self._file.close()
        super().close()
