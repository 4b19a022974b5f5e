"""Where a command writes: stdout, or what `-o` names, a file or an object of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BufferedWriter
from itertools import islice
from types import TracebackType
from typing import Any

from kvproto._stdio import StandardFile
from kvproto.errors import DataError
from kvproto.forms import encoder, plain_text
from kvproto.inputs.packing import PackedFile, compressor_for
from kvproto.storage.atomic import OutputFile, writing
from kvproto.storage.objects import ObjectStore
from kvproto.storage.store import Writer, is_object

__all__ = ["Output"]

_BUFFER = 1 << 16
_PAIRS = 1024  # that are encoded at a time


class Output:
    """Writes to stdout, or to a file or an object that appears when all of it is written.

    A context manager. Creating it raises OSError or DataError for a path that cannot be written. If
    the body raises, the file stays as it was.

    Parameters
    ----------
    path : str
        "-" for stdout. A pipe or a device is written directly. With a name in .gz, .bz2, .xz or
        .zst the data is compressed.

    Attributes
    ----------
    write : callable
        Takes bytes to append.
    """

    def __init__(self, path: str = "-") -> None:
        compressor = compressor_for(path)
        self._file = None if path == "-" else _created(path)
        self._stdout = BufferedWriter(StandardFile(1), _BUFFER)
        self._packed = PackedFile(self._file, compressor) if self._file and compressor else None
        self.write: Callable[[bytes | memoryview], object] = (
            self._packed or self._file or self._stdout
        ).write

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with self._file:
                if exc_type is None:
                    if self._packed is not None:
                        self._packed.close()
                    self._file.publish()
        elif exc_type is None:
            self._stdout.flush()
        else:
            with suppress(OSError):  # the error of the body is the one to show
                self._stdout.flush()

    def write_pairs(self, pairs: Iterable[tuple[Any, Any]], form: str = "text") -> None:
        """Write pairs in a form of `kvproto.forms.encoder`.

        DataError for a pair that cannot be written in this form; it has its number and types.
        """
        n_written, rest = 0, iter(pairs)
        while True:
            batch: list[tuple[Any, Any]] = []
            try:
                batch.extend(islice(rest, _PAIRS))
            finally:  # those before an error are written too
                self._write_batch(batch, form, n_written)
            if not batch:
                return
            n_written += len(batch)

    def _write_batch(self, pairs: list[tuple[Any, Any]], form: str, n_before: int) -> None:
        lines = plain_text(pairs) if form == "text" else None
        if lines is not None:
            self.write(lines)
            return
        encode = encoder(form)
        for number, (key, value) in enumerate(pairs, n_before):
            try:
                data = encode(key, value)
            except (TypeError, ValueError, RecursionError) as e:
                types = f"{type(key).__name__}, {type(value).__name__}"
                raise DataError(
                    f"pair {number} of the results ({types}) cannot be written as {form}: {e}"
                ) from None
            self.write(data)


def _created(path: str) -> Writer | OutputFile:
    if not is_object(path):
        return OutputFile(path)
    store = ObjectStore()
    with writing(path):
        store.check(path)
    return store.create(path)
