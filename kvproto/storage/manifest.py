"""The manifest of a job's results: their sizes and checksums.

It is the file `results.jsonl` next to the directory `results`; `map-results` has one too. It has a
line for each result and a last line with the checksum of the others, so that any changed byte is
noticed. The engine's result files also contain their own size and checksum; those of a job's output
streams do not.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zlib import crc32

from kvproto.errors import DataError
from kvproto.storage.atomic import BLOCK, naming, open_regular
from kvproto.storage.records import RAW, RESULT_HEAD
from kvproto.storage.results import Result, ResultWriters, plain_name
from kvproto.storage.spool import read_segments
from kvproto.storage.spool_index import Segment
from kvproto.storage.store import full_path, is_object, is_shared_place, store_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = [
    "check_directory",
    "checked",
    "entry_of",
    "keep_map_results",
    "names_of",
    "open_result",
    "partition_of",
    "write_manifest",
]


def write_manifest(directory: str, results: Iterable[Result]) -> None:
    """Write the manifest of the results that `directory` is going to contain."""
    name_of = os.path.basename if is_object(directory) else plain_name  # no object is renamed
    lines = [
        json.dumps({**result._asdict(), "path": name_of(result.path)}) + "\n" for result in results
    ]
    text = "".join(lines).encode()
    manifest = _manifest(directory)
    with store_of(manifest).create(manifest) as file:
        file.write(text + _last_line(text))
        file.publish(on_disk=True)


def keep_map_results(directory: str, columns: Iterable[Sequence[Segment]], kind: str) -> None:
    """Copy the output of the maps to result files in `directory`, and write their manifest.

    There is one file for each partition. Of records that output streams wrote (RAW), there is one
    for each partition of each map, as only the streams know where their data ends.

    Parameters
    ----------
    directory : str
    columns : iterable of sequence of Segment
        The segments of each partition, in the order of the maps.
    kind : str
        The kind of the records.

    Raises
    ------
    JobError
        The disk is full.
    DataError
        A spool file is cut short or damaged.
    """
    results = []
    for partition, column in enumerate(columns):
        if kind == RAW:
            parts: dict[str, Sequence[Segment]] = {
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
    write_manifest(directory, results)


def _copied(path: str, segments: Sequence[Segment], kind: str) -> Result:
    with ResultWriters([path], kind) as writer:
        for data in read_segments(segments):
            writer.write(0, data, 0)
        writer.write(0, b"", sum(segment.n_pairs for segment in segments))
        return writer.publish(on_disk=True)[0]


def open_result(path: str) -> io.BufferedReader:
    """Open a result file for a reader; DataError that names it unless it is what the job wrote."""
    with naming(path, "reading"):
        return checked(open_regular(path), path)


def checked(file: io.BufferedReader, path: str) -> io.BufferedReader:
    """Check an open file, at its start, if it is a result of a job; return it or a wrapper.

    For a file that output streams wrote, the size is checked now and the checksum at the end of
    reading. A file in the engine's format contains both. DataError closes the file.
    """
    try:
        result = None if _has_header(file) else entry_of(path)
        if result is None:
            return file
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size != result.n_bytes:
            raise DataError(
                f"result file {path} has {size} bytes, but {result.n_bytes} were written; "
                "run the job again"
            )
    except BaseException:  # Ctrl-C too
        file.close()
        raise
    return io.BufferedReader(_Checked(file, path, result.crc), BLOCK)


def entry_of(path: str) -> Result | None:
    """The manifest's entry of a result; None for a path outside the directories of jobs.

    Raises DataError when the manifest is missing or damaged, or has no such entry.
    """
    directory, name = os.path.split(full_path(path))
    if not _is_in_job(directory):
        return None
    for result in _entries(directory):
        if result.path == name:
            return result
    raise DataError(
        f"{path} is not one of the results that {_manifest(directory)} lists; run the job again"
    )


def check_directory(directory: str) -> set[str] | None:
    """Return the names of the results in a directory of a job, or None for any other directory.

    Raises DataError if one of them is missing.
    """
    directory = full_path(directory)
    if not _is_in_job(directory):
        return None
    present = set(store_of(directory).names(directory))
    names = {result.path for result in _entries(directory)}
    for name in sorted(names - present):
        raise DataError(
            f"result file {os.path.join(directory, name)} no longer exists; run the job again"
        )
    return names


def partition_of(path: str) -> int | None:
    """The partition of a file among the results of a job, from its name; None for other files."""
    directory, name = os.path.split(full_path(path))
    number = plain_name(name).rpartition("-")[2]
    return int(number) if number.isdecimal() and _is_in_job(directory) else None


def names_of(directory: str) -> list[str] | None:
    """The names of the files in a directory of results; None if it has no manifest yet."""
    job, name = os.path.split(_manifest(directory))
    with suppress(FileNotFoundError):
        if name in store_of(job).names(job):
            return [result.path for result in _entries(directory)]
    return None


def _is_in_job(directory: str) -> bool:
    job, name = os.path.split(directory)
    return name in ("results", "map-results") and is_shared_place(job)


def _entries(directory: str) -> Iterator[Result]:
    manifest = _manifest(directory)
    with naming(manifest, "reading"), store_of(manifest).open_range(manifest) as file:
        lines = file.read().splitlines(keepends=True)
    text = b"".join(lines[:-1])
    if not lines or lines[-1] != _last_line(text):
        raise DataError(
            f"{manifest}, which says what the job wrote, is damaged or was cut short; "
            "run the job again"
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


def _result(fields: dict[str, Any]) -> Result:
    """Return the Result of a line; TypeError or ValueError for any other line."""
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
    """A file whose checksum is checked at its end."""

    def __init__(self, file: io.BufferedReader, path: str, crc: int) -> None:
        self._file = file
        self._path = path
        self._wanted = crc
        self._crc = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        n_read = self._file.readinto(buffer)
        self._crc = crc32(memoryview(buffer)[:n_read], self._crc)
        if not n_read and memoryview(buffer).nbytes and self._crc != self._wanted:
            raise DataError(f"result file {self._path} is damaged: its checksum is wrong")
        return n_read

    def close(self) -> None:
        self._file.close()
        super().close()
