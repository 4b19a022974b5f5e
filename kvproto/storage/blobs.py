"""The data of the tag store: blobs, files below `ddfs/blob/` in `kvproto.storage.home.home()`.

A blob is written atomically and never changes. It is named NAME$UNIQUE, where NAME is its origin;
tags list it by its file:// URL. A blob of lines, as `put_chunks` makes it, is named
NAME$UNIQUE.lines, by which `chain_reader` recognizes it.

Only a file whose real path is that of a blob is ever removed, and none on another file system that
is mounted inside the store. `kvproto.inputs.tagged` finds out which blobs the tags list.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import IO, BinaryIO

from kvproto.driver import proc
from kvproto.errors import DataError
from kvproto.storage.atomic import BLOCK, AtomicFile, naming, sync
from kvproto.storage.home import home, in_home, make_directory, make_home
from kvproto.storage.tags import safe_name

__all__ = [
    "CHUNK_SIZE",
    "Blobs",
    "all_blobs",
    "blob_name",
    "blob_path",
    "changed",
    "directory",
    "read_blocks",
    "remove",
    "url_of",
]

CHUNK_SIZE = 64 << 20
"""Bytes of a file in one blob, not counting the rest of the last line: 64 MiB."""

_BLOB = re.compile(r"([0-9a-f]{2})/[A-Za-z0-9_\-@:]{0,200}\$\1[0-9a-f]{30}(\.lines)?")
_UNFINISHED = re.compile(r"\.[0-9a-f]{8,32}\.part$")


def directory() -> str:
    """The directory of all blobs."""
    return os.path.join(home(), "ddfs", "blob")


def blob_name(url: str) -> str:
    """The NAME in the URL of a blob."""
    return url.rpartition("/")[2].partition("$")[0]


def read_blocks(file: IO[str] | IO[bytes]) -> Iterator[bytes]:
    """Yield the content of a file, 1 MiB at a time, text as UTF-8."""
    while block := file.read(BLOCK):
        yield block.encode("utf-8", "surrogateescape") if isinstance(block, str) else block


class Blobs:
    """Makes blobs. If the body of its context fails, it removes them, since no tag lists them.

    Errors of the file system are DataErrors that name the file, or JobErrors that name
    KVPROTO_HOME.
    """

    def __init__(self) -> None:
        self._made: list[str] = []

    def __enter__(self) -> Blobs:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *exc_info: object) -> None:
        if exc_type is not None:
            for path in self._made:
                remove("/".join(path.rsplit("/", 2)[1:]))

    def put(self, name: str, blocks: Iterable[bytes], *, is_chunk: bool = False) -> str:
        """Make a blob of blocks of bytes, flush it to the disk, and return its URL."""
        path = self._new(name, ".lines" if is_chunk else "")
        with AtomicFile(path) as file:
            for block in blocks:
                file.write(block)
            self._made.append(path)
            file.publish(on_disk=True)
        return url_of(path)

    def put_chunks(self, name: str, file: BinaryIO, chunk_size: int) -> list[str]:
        """Make blobs of lines, at least one, and return their URLs.

        Each has chunk_size bytes, and then the rest of the last line.
        """
        urls: list[str] = []
        while (block := file.read(min(BLOCK, chunk_size))) or not urls:
            urls.append(
                self.put(
                    f"{name}-{len(urls)}", _to_line_end(file, block, chunk_size), is_chunk=True
                )
            )
        return urls

    def put_file(self, name: str, path: str) -> str:
        """Make a blob of a file that will not change, if possible a hard link; return its URL."""
        new = self._new(name)
        with naming(path, "reading"), open(path, "rb") as file:
            try:
                os.link(path, new)
            except OSError:  # another file system, or one without hard links
                return self.put(name, read_blocks(file))
            self._made.append(new)
            sync(new)
            sync(os.path.dirname(new))
        return url_of(new)

    def touch(self) -> None:
        """Reset the age of the blobs, before a tag lists them.

        Old blobs that no tag lists may be removed, and making these may have taken long.
        """
        for path in self._made:
            with naming(path, "keeping"):
                os.utime(path)

    def _new(self, name: str, ending: str = "") -> str:
        unique = os.urandom(16).hex()
        path = os.path.join(directory(), unique[:2], f"{safe_name(name)[:200]}${unique}{ending}")
        with in_home(path):
            make_home()
            make_directory(os.path.dirname(path))
        return path


def _to_line_end(file: BinaryIO, block: bytes, n_wanted: int) -> Iterator[bytes]:
    """Yield block and more of the file: n_wanted bytes in all, then up to the end of the line."""
    while block:
        yield block
        last = block
        n_wanted -= len(block)
        block = file.read(min(BLOCK, n_wanted)) if n_wanted > 0 else b""
        if not block and not last.endswith(b"\n"):
            block = file.readline(BLOCK)


def blob_path(path: str) -> str | None:
    """The path of a blob relative to the directory of all blobs; None for any other file."""
    path = os.path.realpath(path)
    top, folder = os.path.split(os.path.dirname(path))
    blob = f"{folder}/{os.path.basename(path)}"
    return blob if top == os.path.realpath(directory()) and _BLOB.fullmatch(blob) else None


def all_blobs() -> list[str]:
    """The relative paths of all blobs, including the unfinished ones of killed processes."""
    paths = []
    with naming(directory(), "listing"):
        for folder in _names(directory()):
            if re.fullmatch("[0-9a-f]{2}", folder) and not os.path.islink(
                os.path.join(directory(), folder)
            ):
                paths += [f"{folder}/{name}" for name in _names(os.path.join(directory(), folder))]
    return [blob for blob in paths if _BLOB.fullmatch(_UNFINISHED.sub("", blob))]


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def changed(blob: str) -> float:
    """When a blob was made, linked or touched: seconds since the epoch, infinity if it is gone."""
    try:
        return os.lstat(os.path.join(directory(), blob)).st_ctime
    except FileNotFoundError:
        return float("inf")


def remove(blob: str) -> None:
    """Remove a blob, if it exists. Raises DataError when it cannot be removed."""
    folder, name = os.path.split(blob)
    path = os.path.join(directory(), blob)
    try:
        with ExitStack() as opened:
            top = os.open(directory(), os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, top)
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            opened.callback(os.close, inner)
            if _mount(inner) != _mount(top):
                raise DataError(
                    f"{path} is not removed: it is on another file system, mounted inside the store"
                )
            os.unlink(name, dir_fd=inner)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise DataError(f"removing {path}: {e.strerror}") from e


def _mount(fd: int) -> tuple[int, str]:
    """Identify the mount of a directory. Its device is not enough: a bind mount shares one."""
    try:
        lines = proc.read(f"self/fdinfo/{fd}").split("\n")
        mount = next((line for line in lines if line.startswith("mnt_id:")), "")
    except OSError:
        mount = ""
    return os.fstat(fd).st_dev, mount


def url_of(path: str) -> str:
    """The URL of a blob by its whole path."""
    return "file://" + urllib.parse.quote(path, safe="/$:@")
