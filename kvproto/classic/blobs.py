"""The data of the tag store: blobs, files below `ddfs/blob/` in `kvproto.engine.home.home()`.

Each is whole and never changed, is named NAME$UNIQUE after what it was made from, and tags list it by its file:// url.
"""

from __future__ import annotations

import os
import urllib.parse
import uuid
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from kvproto.classic.tags import NoSuchTag, TagStore, safe_name
from kvproto.engine.files import BLOCK, naming, published
from kvproto.engine.home import home, in_home
from kvproto.errors import DataError

__all__ = ["CHUNK_SIZE", "Blobs", "blob_name", "read_blocks", "remove_unused"]

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
                _remove(path)

    def put(self, name: str, blocks: Iterable[bytes]) -> str:
        """Make a blob of blocks of bytes; returns its url."""
        path = self._new(name)
        with published(path) as file:
            for block in blocks:
                file.write(block)
            file.publish()
        self._made.append(path)
        return _url(path)

    def put_chunks(self, name: str, file: BinaryIO, chunk_size: int) -> list[str]:
        """Make blobs of a file, at least one, of chunk_size bytes and what is left of the last line; returns their urls."""
        urls = []
        block = file.read(min(BLOCK, chunk_size))
        while block or not urls:
            urls.append(self.put(f"{name}-{len(urls)}", _to_line_end(file, block, chunk_size)))
            block = file.read(min(BLOCK, chunk_size))
        return urls

    def put_file(self, name: str, path: str) -> str:
        """Make a blob of a file that will not change, where possible by a hard link; returns its url."""
        new = self._new(name)
        with naming(path, "reading"), open(path, "rb") as file:
            try:
                os.link(path, new)
            except OSError:  # another file system, or one without hard links
                return self.put(name, read_blocks(file))
        self._made.append(new)
        return _url(new)

    def _new(self, name: str) -> str:
        unique = uuid.uuid4().hex
        path = os.path.join(_directory(), unique[:2], f"{safe_name(name)[:200]}${unique}")
        with in_home(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
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


def remove_unused(lists: Iterable[list[str]]) -> None:
    """Remove the blobs in these lists of urls that no tag lists any more."""
    start = _url(_directory()) + "/"
    unused = {url for urls in lists for url in urls if url.startswith(start)}
    for name in TagStore().names() if unused else ():
        try:
            unused.difference_update(url for urls in TagStore().get(name)["urls"] for url in urls)
        except NoSuchTag:
            continue  # deleted meanwhile
    for url in unused:
        _remove(urllib.parse.unquote(url.removeprefix("file://")))


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise DataError(f"removing {path}: {e.strerror}") from e


def _directory() -> str:
    return os.path.join(home(), "ddfs", "blob")


def _url(path: str) -> str:
    return "file://" + urllib.parse.quote(path, safe="/$:@")
