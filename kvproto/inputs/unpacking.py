"""Compressed data as it is read: gzip, bzip2, xz and zstd, recognized by its first bytes.

It may consist of several members, streams or frames, with zero bytes after each; their content is
joined. Memory is bounded by a block of content, and by a window whose size the data may choose up
to a limit, whatever the data unpacks to.

Data that was cut or damaged, or has anything else at its end, is a final DataError with an offset
in the compressed bytes. A change goes unnoticed only where zstd wrote no checksum.
"""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import chain
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from kvproto.errors import DataError, JobError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = [
    "PiecesFile",
    "ahead",
    "compression_of",
    "content_file",
    "content_of",
    "gunzip",
    "is_unpacked",
    "load_zstd",
    "unpack",
    "unpack_pieces",
]

_BLOCK = 1 << 20
"""Bytes of content that are unpacked at a time, at most."""

PIECE = 1 << 16
"""Compressed bytes that are unpacked at a time."""

MAX_WINDOW = 1 << 28
"""Bytes of memory that an xz file may ask for: 256 MiB. After `xz -9` it asks for 65 MiB."""


Pieces: TypeAlias = Generator[bytes, None, None]

_N_AHEAD = 4  # pieces of content


class _Decompressor(Protocol):
    """What unpacks one member, as bz2, lzma and compression.zstd have it."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: ReadableBuffer, max_length: int = -1) -> bytes: ...


_Library: TypeAlias = tuple[Callable[[], _Decompressor], type[Exception]]
"""What makes a _Decompressor, and the error that this one raises for bad data."""


class _Gunzip:
    """A _Decompressor over the decompressobj of a module like zlib."""

    needs_input = True

    def __init__(self, module: Any) -> None:
        self._member = module.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return bool(self._member.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._member.unused_data)

    def decompress(self, data: ReadableBuffer, max_length: int = -1) -> bytes:
        content = bytes(self._member.decompress(self._member.unconsumed_tail or data, max_length))
        self.needs_input = len(content) < max_length and not self._member.unconsumed_tail
        return content


def _gzip() -> _Library:
    try:
        from isal import isal_zlib  # noqa: PLC0415 (three times as fast, if it is installed)
    except ImportError:
        return partial(_Gunzip, zlib), zlib.error
    error: Any = isal_zlib.error  # whose stub says that it is an instance
    return partial(_Gunzip, isal_zlib), error


def _bzip2() -> _Library:
    import bz2  # noqa: PLC0415 (slow)

    return bz2.BZ2Decompressor, OSError


def _xz() -> _Library:
    import lzma  # noqa: PLC0415 (slow)

    return partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, MAX_WINDOW), lzma.LZMAError


def _zstd() -> _Library:
    zstd = load_zstd()
    return zstd.ZstdDecompressor, zstd.ZstdError


def load_zstd() -> Any:
    """Return the module for zstd. JobError says what to install if it is missing."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415 (slow)
        else:
            from backports import zstd  # noqa: PLC0415 (slow)
    except ImportError as e:
        what = "for zstd, install the package backports.zstd: `pip install backports.zstd`"
        raise JobError(f"{what} ({e})") from e
    return zstd


class Compression(NamedTuple):
    """A format, the program that unpacks it, the bytes it begins with, what loads its library."""

    name: str
    program: str
    magic: tuple[bytes, ...]
    load: Callable[[], _Library]


_BZIP2_BLOCK, _BZIP2_END = b"1AY&SY", b"\x17rE8P\x90"

_GZIP = Compression("gzip", "gunzip", (b"\x1f\x8b\x08",), _gzip)
_FORMATS = (
    _GZIP,
    Compression(
        "bzip2",
        "bunzip2",
        tuple(b"BZh%d%b" % (n, mark) for n in range(1, 10) for mark in (_BZIP2_BLOCK, _BZIP2_END)),
        _bzip2,
    ),
    Compression("xz", "unxz", (b"\xfd7zXZ\x00",), _xz),
    Compression(
        "zstd",
        "unzstd",
        (b"\x28\xb5\x2f\xfd", *(bytes([n]) + b"*M\x18" for n in range(0x50, 0x60))),
        _zstd,
    ),
)
_MAGIC = tuple(head for one in _FORMATS for head in one.magic)
_N_MAGIC = max(map(len, _MAGIC))


def compression_of(head: bytes) -> Compression | None:
    """The format of data that begins with these bytes, 10 or more, or all of it."""
    return next((one for one in _FORMATS if head.startswith(one.magic)), None)


def content_of(file: Any, where: str) -> Pieces | None:
    """Yield the content of a compressed file in pieces; None for any other file.

    The text of a DataError begins with `where`, such as "input x.gz".
    """
    head = file.peek(_N_MAGIC)[:_N_MAGIC]
    compression = compression_of(head)
    if compression is not None:
        return _content(compression, _pieces_of(file), where)
    _check_head(head, where)
    return None


def content_file(pieces: Pieces, file: Any) -> io.BufferedReader:
    """Return what `content_of` yields as a file. Closing it closes `file`, the compressed one."""
    return io.BufferedReader(_Content(pieces, file), _BLOCK)


def unpack(file: io.BufferedReader, where: str) -> io.BufferedReader:
    """Return a file with the content of a compressed one, or the file itself."""
    pieces = content_of(file, where)
    return file if pieces is None else content_file(pieces, file)


def gunzip(file: Any, where: str) -> io.BufferedReader:
    """Return a file with the content of a gzip file; anything else is an error."""
    return content_file(_content(_GZIP, _pieces_of(file), where), file)


def unpack_pieces(pieces: Iterable[bytes], where: str) -> Iterator[bytes]:
    """Yield the content of compressed data, or the data itself, in pieces, each without delay."""
    pieces = iter(pieces)
    head = b""
    for piece in pieces:
        head += piece
        if not any(one.startswith(head) for one in _MAGIC):
            break
    compression = compression_of(head)
    if compression is None:
        _check_head(head, where)
        yield head
        yield from pieces
    else:
        yield from _content(compression, _cut(chain((head,), pieces)), where)


def _check_head(head: bytes, where: str) -> None:
    """Raise DataError for data that ends within the first bytes of a format.

    One or two printable characters are text.
    """
    is_text = len(head) < 3 and head.decode("latin-1").isprintable()
    if len(head) < _N_MAGIC and not is_text and any(one.startswith(head) for one in _MAGIC):
        raise _damaged(where, "compressed", f": it ends too early, at byte {len(head)}")


def _pieces_of(file: Any) -> Iterator[bytes]:
    return iter(partial(file.read, PIECE), b"")


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), PIECE):
            yield piece[start : start + PIECE]


def _content(compression: Compression, pieces: Iterable[bytes], where: str) -> Pieces:
    """Unpack all members."""
    try:
        new, error = compression.load()
    except JobError as e:  # the data is good: no input that a job should leave out
        raise JobError(f"{where}: is compressed; {e}") from e
    member: _Decompressor | None = None
    n_read = n_members = 0
    for piece in pieces:
        n_read += len(piece)
        data = piece if member is not None or not n_members else piece.lstrip(b"\0")
        while member is not None or data:
            if member is None:
                member = new()
                n_members += 1
            try:
                content = member.decompress(data, _BLOCK)
            except error as e:
                raise _damaged(where, compression.name, f", at or before byte {n_read}: {e}") from e
            if content:
                yield content
            data = b""
            if member.eof:
                data, member = member.unused_data.lstrip(b"\0"), None
            elif member.needs_input:
                break
    if member is not None or not n_members:
        raise _damaged(where, compression.name, f": it ends too early, at byte {n_read}")


def _damaged(where: str, name: str, how: str) -> DataError:
    return DataError(f"{where}: {name} data is cut short or damaged{how}", is_final=True)


def ahead(pieces: Iterator[bytes]) -> Pieces:
    """Yield the same pieces, which a thread makes in advance: libraries unpack without the GIL."""
    made: SimpleQueue[bytes | BaseException | None] = SimpleQueue()
    room = Semaphore(_N_AHEAD)
    is_over = False

    def make() -> None:
        try:
            for piece in pieces:
                made.put(piece)
                room.acquire()
                if is_over:
                    return
            made.put(None)
        except BaseException as e:  # whatever it is, the reader gets it
            made.put(e)

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        while (piece := made.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
            room.release()
    finally:
        is_over = True
        room.release()
        thread.join()


class PiecesFile(io.RawIOBase):
    """A file made of an iterator of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        view = memoryview(buffer)
        n_read = min(len(view), len(self._left))
        view[:n_read] = self._left[:n_read]
        self._left = self._left[n_read:]
        return n_read


class _Content(PiecesFile):
    """The content of a compressed file."""

    def __init__(self, pieces: Pieces, file: Any) -> None:
        super().__init__(pieces)
        self._made = pieces
        self._file = file

    def close(self) -> None:
        super().close()
        self._made.close()
        self._file.close()


def is_unpacked(file: object) -> bool:
    """Whether `content_file` made this file."""
    return isinstance(getattr(file, "raw", None), _Content)
