"""The old `DDFS`: that of kvproto, with the newest blobs of a tag first and what else programs for the original ask of it."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from kvproto.classic import ddfs
from kvproto.classic.putting import opened
from kvproto.classic.reading import result_iterator
from kvproto.classic.task_io import task_input_stream
from kvproto.inputs.schemes import find_inputs
from kvproto.storage.blobs import CHUNK_SIZE, Blobs
from kvproto.storage.hunks import HunkWriter
from kvproto.storage.tags import safe_name

__all__ = ["DDFS"]

_TOKENS = ("ddfs:read-token", "ddfs:write-token")


class DDFS(ddfs.DDFS):
    """The tag store of this user."""

    _newest_first = True

    def pull(
        self, tag, blobfilter: Callable[[str], Any] = lambda name: True, token=None
    ) -> Iterator[_Blob]:
        """Yield the blobs of the tag and the tags in it as open files; `blobfilter(name)` says which."""
        for urls in self.blobs(tag, ignore_missing=False):
            if blobfilter(self.blob_name(urls[0])):
                yield from (
                    _Blob(opened(found), found.url, found.n_bytes) for found in find_inputs([urls])
                )

    def chunk(
        self,
        tag,
        urls,
        *args,
        reader: Callable | None = None,
        input_stream: Sequence[Callable] = (task_input_stream,),
        params=None,
        update: bool = False,
        chunk_size: int = CHUNK_SIZE,
        **kwargs,
    ) -> tuple[list[str], list[list[str]]]:
        """Cut inputs into blobs, and add these to the tag: at line ends, or the entries that a reader gives, as hunks.

        reader, input_stream, params  as for `result_iterator`; `chain_reader` reads the entries again
        """
        if reader is None and tuple(input_stream) == (task_input_stream,):
            return super().chunk(tag, urls, *args, update=update, chunk_size=chunk_size, **kwargs)
        known = self._known(tag) if update else ()
        made: list[list[str]] = []
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

    def setattr(self, tag, attr: str, val, token=None) -> None:
        """Set an attribute of the tag; a token is told to protect nothing, and not kept."""
        if attr in _TOKENS:
            warnings.warn(
                f"{attr} protects nothing: a tag is its user's alone, by the permissions of files",
                stacklevel=2,
            )
        else:
            super().setattr(tag, attr, val)


def _hunks(entries: Iterable, chunk_size: int) -> Iterator[bytes]:
    """Entries as the contents of files of hunks, of about chunk_size bytes each; at least one."""
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


def _add(writer: HunkWriter, entry) -> None:
    """Add an entry: a pair, or a str or bytes; nothing else can be read again."""
    if isinstance(entry, tuple) and len(entry) == 2:
        writer.add(*entry)
    elif isinstance(entry, (str, bytes)):
        writer.add_line(entry)
    else:
        raise TypeError(
            f"DDFS.chunk: the reader gave {entry!r:.200}; it has to give (key, value) pairs, str or bytes"
        )


class _Blob:
    """An open file that knows its `url`, and its bytes as its length."""

    def __init__(self, file, url: str, n_bytes: int | None) -> None:
        self._file = file
        self._n_bytes = n_bytes
        self.url = url

    def __len__(self) -> int:
        return os.fstat(self._file.fileno()).st_size if self._n_bytes is None else self._n_bytes

    def __bool__(self) -> bool:
        return True

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)

    def __enter__(self) -> _Blob:
        return self

    def __exit__(self, *exc_info) -> None:
        self._file.close()
