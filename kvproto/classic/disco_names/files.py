"""DDFS, schemes and fileutils of the original: files by their urls."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BufferedReader
from itertools import chain
from types import ModuleType
from typing import Any, BinaryIO

from kvproto.classic import ddfs
from kvproto.classic.ddfs import Tag
from kvproto.classic.putting import opened
from kvproto.classic.results import result_iterator
from kvproto.classic.task_io import (
    chain_reader,
    disco_output_stream,
    plain_output_stream,
    task_input_stream,
)
from kvproto.inputs.schemes import find_inputs, open_input
from kvproto.inputs.streams import OutputStream
from kvproto.storage.blobs import CHUNK_SIZE, Blobs
from kvproto.storage.hunks import HunkWriter
from kvproto.storage.tags import safe_name

__all__ = [
    "DDFS",
    "DiscoOutputStream",
    "import_scheme",
    "input_stream",
    "open",
    "open_chain",
]

_TOKENS = ("ddfs:read-token", "ddfs:write-token")


class DDFS(ddfs.DDFS):
    """The tag store of this user, the newest blobs of a tag first."""

    _newest_first = True

    def pull(
        self, tag: Tag, blobfilter: Callable[[str], object] = bool, token: object = None
    ) -> Iterator[Any]:
        """Yield the blobs of the tag and of the tags in it as open files.

        `blobfilter(name)` selects them. Each file has a `url`, and its length is its size in bytes.
        """
        for replicas in self.blobs(tag, ignore_missing=False):
            if blobfilter(self.blob_name(replicas[0])):
                yield from (
                    _Blob(opened(one), one.url, one.n_bytes) for one in find_inputs([replicas])
                )

    def chunk(
        self,
        tag: Tag,
        urls: Any,
        *ignored: Any,
        reader: Callable[..., Any] | None = None,
        input_stream: Sequence[Callable[..., Any]] = (task_input_stream,),
        params: object = None,
        update: bool = False,
        chunk_size: int = CHUNK_SIZE,
        **options: Any,
    ) -> tuple[list[str], list[list[str]]]:
        """Cut inputs into blobs, and add these to the tag.

        Without a reader, the cuts are at line ends. With `reader`, `input_stream` or `params`, as
        for `result_iterator`, the entries become hunks, which `chain_reader` reads.
        """
        if reader is None and tuple(input_stream) == (task_input_stream,):
            options.update(update=update, chunk_size=chunk_size)
            return super().chunk(tag, urls, *ignored, **options)
        known = self._known(tag) if update else ()
        made = []
        with Blobs() as blobs:
            for url in [urls] if isinstance(urls, (str, os.PathLike)) else urls:
                replicas = [url] if isinstance(url, (str, os.PathLike)) else list(url)
                name = safe_name(os.path.basename(os.fspath(replicas[0])))
                if f"{name}-0" not in known:
                    entries = result_iterator([replicas], reader, input_stream, params=params)
                    made += [
                        [blobs.put(f"{name}-{n}", [data])]
                        for n, data in enumerate(_hunks(entries, chunk_size))
                    ]
            blobs.touch()
            return self.tag(tag, made), made

    def setattr(self, tag: Tag, attr: str, val: object, token: object = None) -> None:
        """Set an attribute of the tag. A token has no effect: it is dropped with a warning."""
        if attr in _TOKENS:
            warnings.warn(
                f"{attr} has no effect: the permissions of its files protect a tag",
                stacklevel=2,
            )
        else:
            super().setattr(tag, attr, val)


def _hunks(entries: Iterable[object], chunk_size: int) -> Iterator[bytes]:
    """Yield files of hunks with the entries, of about chunk_size bytes each; at least one file."""
    entries, n_files = iter(entries), 0
    while (first := next(entries, _NONE)) is not _NONE or not n_files:
        n_files += 1
        file = io.BytesIO()
        writer = HunkWriter(file)
        for entry in chain([] if first is _NONE else [first], entries):
            _add(writer, entry)
            if file.tell() >= chunk_size:
                break
        writer.close()
        yield file.getvalue()


_NONE = object()


def _add(writer: HunkWriter, entry: object) -> None:
    """Add an entry that can be read again: a pair, or a str or bytes."""
    if isinstance(entry, tuple) and len(entry) == 2:
        writer.add(*entry)
    elif isinstance(entry, (str, bytes)):
        writer.add_line(entry)
    else:
        raise TypeError(
            f"DDFS.chunk: the reader returned {entry!r:.200}; "
            "it must return (key, value) pairs, str or bytes"
        )


class _Blob:
    """An open file with a `url`, whose length is its size in bytes."""

    def __init__(self, file: BufferedReader, url: str, n_bytes: int | None) -> None:
        self._file = file
        self._n_bytes = n_bytes
        self.url = url

    def __len__(self) -> int:
        return os.fstat(self._file.fileno()).st_size if self._n_bytes is None else self._n_bytes

    def __bool__(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)

    def __enter__(self) -> _Blob:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()


# --- schemes --------------------------------------------------------------------------------------

input_stream = task_input_stream


def open(url: str, task: object = None) -> BufferedReader:
    """Open the data of a url as a binary file. DataError names the url."""
    return open_input(url)[0]


def open_chain(url: str, task: object = None) -> Iterator[tuple[Any, Any]]:
    """Yield the pairs of the result file of a url."""
    stream, size, url = input_stream(None, None, url, None)
    with stream:
        yield from chain_reader(stream, size, url)


def import_scheme(url: str) -> ModuleType:
    """Return the module that opens a url: this one, for all schemes."""
    return sys.modules[__name__]


# --- fileutils ------------------------------------------------------------------------------------


def DiscoOutputStream(stream: BinaryIO, version: int = 1, **tuning: object) -> OutputStream:
    """Write pairs to a binary file in the original's format; version 0 is its older one.

    Options such as compression_level have no effect.
    """
    make = disco_output_stream if version else plain_output_stream
    return make(stream, 0, "")
