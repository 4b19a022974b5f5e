"""The data of the tag store: blobs, files below `ddfs/blob/` in `kvproto.storage.home.home()`.

Each is whole and never changed, is named NAME$UNIQUE after what it was made from, and tags list it by its file:// url.
A blob of lines, which `put_chunks` makes, is named NAME$UNIQUE.lines, so that `chain_reader` knows it.
`kvproto.storage.stored` knows which blobs there are.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from io import BufferedReader
from typing import BinaryIO

from kvproto.inputs.formats import HEAD_SIZE, has_lines
from kvproto.storage import stored
from kvproto.storage.files import BLOCK, naming, published
from kvproto.storage.home import in_home, make_home
from kvproto.storage.private import make_directory
from kvproto.storage.regular import sync
from kvproto.storage.tags import safe_name

__all__ = ["CHUNK_SIZE", "Blobs", "blob_name", "read_blocks"]

CHUNK_SIZE = 64 << 20
"""Bytes of a file that make a blob of their own, and what is left of the last line: 64 MiB."""


def blob_name(url: str) -> str:
    """The name that a blob was made under."""
    return url.rpartition("/")[2].partition("$")[0]


def read_blocks(file) -> Iterator[bytes]:
    """Yield what is in a file, 1 MiB at a time; text as UTF-8."""
    while block := file.read(BLOCK):
        yield block.encode("utf-8", "surrogateescape") if isinstance(block, str) else block


class Blobs:
    """Makes blobs. Context manager: when its body fails, the blobs made in it are removed, as no tag lists them.

    Errors of the file system are DataErrors that name the file, or JobErrors that name KVPROTO_HOME.
    """

    def __init__(self) -> None:
        self._made: list[str] = []

    def __enter__(self) -> Blobs:
        return self

    def __exit__(self, exc_type, *exc_info) -> None:
        if exc_type is not None:
            for path in self._made:
                stored.remove("/".join(path.rsplit("/", 2)[1:]))

    def put(self, name: str, blocks: Iterable[bytes], *, is_chunk: bool = False) -> str:
        """Make a blob of blocks of bytes, on the disk when this returns; returns its url."""
        path = self._new(name, ".lines" if is_chunk else "")
        with published(path) as file:
            for block in blocks:
                file.write(block)
            file.publish(on_disk=True)
        self._made.append(path)
        return stored.url_of(path)

    def put_chunks(self, name: str, file: BufferedReader, chunk_size: int) -> list[str]:
        """Make blobs of a file, at least one, of chunk_size bytes and the rest of the last line; returns their urls.

        What has no lines, because it is compressed or a result of a job, becomes a single blob.
        """
        if not has_lines(file.peek(HEAD_SIZE)[:HEAD_SIZE]):
            return [self.put(f"{name}-0", read_blocks(file))]
        urls: list[str] = []
        while (block := file.read(min(BLOCK, chunk_size))) or not urls:
            urls.append(
                self.put(
                    f"{name}-{len(urls)}", _to_line_end(file, block, chunk_size), is_chunk=True
                )
            )
        return urls

    def put_file(self, name: str, path: str) -> str:
        """Make a blob of a file that will not change, where possible by a hard link; returns its url."""
        new = self._new(name)
        with naming(path, "reading"), open(path, "rb") as file:
            try:
                os.link(path, new)
            except OSError:  # another file system, or one without hard links
                return self.put(name, read_blocks(file))
            sync(new)
            sync(os.path.dirname(new))
        self._made.append(new)
        return stored.url_of(new)

    def touch(self) -> None:
        """Make its blobs new again for `unused`, before a tag lists them: it may be long since they were made."""
        for path in self._made:
            with naming(path, "keeping"):
                os.utime(path)

    def _new(self, name: str, ending: str = "") -> str:
        unique = uuid.uuid4().hex
        path = os.path.join(
            stored.directory(), unique[:2], f"{safe_name(name)[:200]}${unique}{ending}"
        )
        with in_home(path):
            make_home()
            make_directory(os.path.dirname(path))
        return path


def _to_line_end(file: BinaryIO, block: bytes, n_wanted: int) -> Iterator[bytes]:
    """Yield block, then more of the file: n_wanted bytes in all, and on to the end of the line."""
    while block:
        yield block
        last = block
        n_wanted -= len(block)
        block = file.read(min(BLOCK, n_wanted)) if n_wanted > 0 else b""
        if not block and not last.endswith(b"\n"):
            block = file.readline(BLOCK)
