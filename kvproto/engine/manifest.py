"""The manifest of a job's results: their sizes and checksums, in `results.jsonl` beside the directory `results`.

The engine's own result files carry these themselves; of what a job's own output streams wrote only the manifest knows.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from typing import BinaryIO
from zlib import crc32

from kvproto.engine.files import BLOCK, naming
from kvproto.engine.results import HEAD, Result
from kvproto.errors import DataError

__all__ = ["open_result", "write_manifest"]


def write_manifest(directory: str, results: Iterable[Result]) -> None:
    """Write down what is in results, which will be in `directory`, before they are there."""
    path = _manifest(directory)
    with naming(path, "writing"), open(path, "x", encoding="utf-8") as file:
        for result in results:
            file.write(json.dumps({**result._asdict(), "path": os.path.basename(result.path)}) + "\n")


def open_result(path: str) -> BinaryIO:
    """Open a result file for a reader of the user's own; DataError that names it when it is not what the job wrote.

    Of what output streams wrote the length and checksum are looked at; one of the engine's own format has them in itself.
    """
    with naming(path, "reading"):
        file = open(path, "rb")
        for line in _manifest_lines(os.path.dirname(os.path.abspath(path))):
            result = Result(**json.loads(line))
            if result.path == os.path.basename(path) and not _has_header(file):
                size = os.fstat(file.fileno()).st_size
                if size != result.n_bytes:
                    file.close()
                    raise DataError(f"result file {path} has {size} bytes, {result.n_bytes} were written; run the job again")
                return io.BufferedReader(_Checked(file, path, result.crc), BLOCK)
        return file


def _manifest(directory: str) -> str:
    return f"{directory}.jsonl"


def _manifest_lines(directory: str) -> list[str]:
    try:
        with open(_manifest(directory), encoding="utf-8") as file:
            return file.readlines()
    except FileNotFoundError:  # no directory of a job
        return []


def _has_header(file: BinaryIO) -> bool:
    header = file.read(len(HEAD))
    file.seek(0)
    return header == HEAD


class _Checked(io.RawIOBase):
    """A file that must have a checksum when it is read to its end."""

    def __init__(self, file: BinaryIO, path: str, crc: int) -> None:
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
