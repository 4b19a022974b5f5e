"""Data for many partitions, collected in any order with two descriptors: in memory up to a limit, then in a nameless file."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kvproto.errors import DataError
from kvproto.storage.files import BLOCK, naming
from kvproto.storage.private import private

__all__ = ["MAX_HELD", "Held"]

MAX_HELD = 32 << 20
"""Bytes of output that a task holds in memory: 32 MiB."""


class Held:
    """The data of `n_partitions` partitions; `path` is where the file is made, which is gone with this process."""

    def __init__(self, path: str, n_partitions: int, max_held: int = MAX_HELD) -> None:
        self._path = path
        self._max_held = max_held
        self._n_held = 0
        self._held: list[list[bytes]] = [[] for _ in range(n_partitions)]
        self._spilled: list[list[tuple[int, int]]] = [
            [] for _ in range(n_partitions)
        ]  # offset, bytes
        self._file = None

    def add(self, partition: int, data: bytes) -> None:
        """Append data to a partition."""
        self._held[partition].append(data)
        self._n_held += len(data)
        if self._n_held > self._max_held:
            self._spill()

    def chunks(self, partition: int) -> Iterator[bytes]:
        """Yield all that was added to a partition, in order."""
        for at, n_bytes in self._spilled[partition]:
            yield from self._read(at, n_bytes)
        yield from self._held[partition]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spill(self) -> None:
        with naming(self._path, "writing"):
            if self._file is None:
                self._file = open(self._path, "x+b", buffering=0, opener=private)
                os.unlink(self._path)  # gone with its last descriptor, however this process ends
            for partition, held in enumerate(self._held):
                if held:
                    at = self._file.seek(0, os.SEEK_END)
                    data = b"".join(held)
                    _write_all(self._file, data)
                    self._spilled[partition].append((at, len(data)))
                    held.clear()
        self._n_held = 0

    def _read(self, at: int, n_bytes: int) -> Iterator[bytes]:
        with naming(self._path, "reading"):
            self._file.seek(at)
            while n_bytes:
                data = self._file.read(min(BLOCK, n_bytes))
                if not data:
                    raise DataError(f"{self._path} was cut short while it was in use")
                n_bytes -= len(data)
                yield data


def _write_all(file, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
