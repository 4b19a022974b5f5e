"""The data of the tag store: blobs, files below `ddfs/blob/` in `kvproto.storage.home.home()`.

Each blob is whole, never changes, and is named NAME$UNIQUE after what it was made from; tags list
it by its file:// url. A blob of lines, which `put_chunks` makes, is named NAME$UNIQUE.lines, so
that `chain_reader` knows it.

Only a file whose real path is that of a blob, NAME$UNIQUE in its directory, is ever removed, and
none on another file system that is mounted inside the store. `kvproto.inputs.tagged` knows which
blobs the tags list.
"""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Iterable, Iterator
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
"""Bytes of a file in one blob, besides the rest of the last line: 64 MiB."""

_OWN = re.compile(r"([0-9a-f]{2})/[A-Za-z0-9_\-@:]{0,200}\$\1[0-9a-f]{30}(\.lines)?")
_UNFINISHED = re.compile(r"\.[0-9a-f]{8,32}\.part$")


def directory() -> str:
    """The directory of all blobs."""
    return os.path.join(home(), "ddfs", "blob")


def blob_name(url: str) -> str:
    """The name that a blob was made under."""
    return url.rpartition("/")[2].partition("$")[0]


def read_blocks(file: IO[str] | IO[bytes]) -> Iterator[bytes]:
    """Yield what is in a file, 1 MiB at a time; text as UTF-8."""
    while block := file.read(BLOCK):
        yield block.encode("utf-8", "surrogateescape") if isinstance(block, str) else block


class Blobs:
    """Makes blobs. A context manager: when its body fails, it removes them, as no tag lists them.

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
        """Make a blob of blocks of bytes and return its URL; it is on the disk then."""
        path = self._new(name, ".lines" if is_chunk else "")
        with AtomicFile(path) as file:
            for block in blocks:
                file.write(block)
            file.publish(on_disk=True)
        self._made.append(path)
        return url_of(path)

    def put_chunks(self, name: str, file: BinaryIO, chunk_size: int) -> list[str]:
        """Make blobs of lines, at least one, and return their URLs.

        Each has chunk_size bytes and the rest of the last line.
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
            sync(new)
            sync(os.path.dirname(new))
        self._made.append(new)
        return url_of(new)

    def touch(self) -> None:
        """Make the blobs new for the removal of unused ones, before a tag lists them.

        Making them may have taken long.
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
    """Yield block, then more of the file: n_wanted bytes in all, and on to the end of the line."""
    while block:
        yield block
        last = block
        n_wanted -= len(block)
        block = file.read(min(BLOCK, n_wanted)) if n_wanted > 0 else b""
        if not block and not last.endswith(b"\n"):
            block = file.readline(BLOCK)


def blob_path(path: str) -> str | None:
    """The path of a blob below the directory of all blobs, by any path of it; None for others."""
    path = os.path.realpath(path)
    top, folder = os.path.split(os.path.dirname(path))
    own = f"{folder}/{os.path.basename(path)}"
    return own if top == os.path.realpath(directory()) and _OWN.fullmatch(own) else None


def all_blobs() -> list[str]:
    """The relative paths of all blobs and of the unfinished ones that killed processes left."""
    paths = []
    with naming(directory(), "listing"):
        for folder in _names(directory()):
            if re.fullmatch("[0-9a-f]{2}", folder) and not os.path.islink(
                os.path.join(directory(), folder)
            ):
                paths += [f"{folder}/{name}" for name in _names(os.path.join(directory(), folder))]
    return [own for own in paths if _OWN.fullmatch(_UNFINISHED.sub("", own))]


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def changed(own: str) -> float:
    """When a blob was made, linked or touched: seconds since the epoch, infinity if it is gone."""
    try:
        return os.lstat(os.path.join(directory(), own)).st_ctime
    except FileNotFoundError:
        return float("inf")


def remove(own: str) -> None:
    """Remove a blob. DataError when it cannot be removed; it may be gone already."""
    folder, name = os.path.split(own)
    path = os.path.join(directory(), own)
    try:
        top = os.open(directory(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            try:
                if _mount(inner) != _mount(top):
                    raise DataError(
                        f"{path} is not removed: it is on another file system, "
                        "mounted inside the store"
                    )
                os.unlink(name, dir_fd=inner)
            finally:
                os.close(inner)
        finally:
            os.close(top)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise DataError(f"removing {path}: {e.strerror}") from e


def _mount(fd: int) -> tuple[int, str]:
    """Identify the mount of a directory. A bind mount has the device of another one."""
    try:
        lines = proc.read(f"self/fdinfo/{fd}").split("\n")
        mount = next((line for line in lines if line.startswith("mnt_id:")), "")
    except OSError:
        mount = ""
    return os.fstat(fd).st_dev, mount


def url_of(path: str) -> str:
    """The URL of a blob by its whole path."""
    return "file://" + urllib.parse.quote(path, safe="/$:@")
