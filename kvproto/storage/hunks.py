"""The two formats in which the original Disco kept its results: hunks, and the older netstrings.

A hunk begins with 14 bytes, `<BBIQ`: 0x81, whether it is compressed with zlib, the crc32 of the raw
bytes, and the number of bytes that follow. It contains pickled (key, value) pairs, or the pickled
lines of a chunk. An empty hunk ends the file; concatenated files can be read too. Netstrings are
`<bytes> <key> <bytes> <value>` and a newline for each pair, without an end mark.

8-bit strings of Python 2 and the strings of netstrings become str: UTF-8, with any other bytes as
lone surrogates (`surrogateescape`), as in the lines of an input. For data that is cut short or
damaged, DataError has the byte offset. Unpickling can run any code: only read files of people whom
you trust.
"""

from __future__ import annotations

import io
import pickle
import zlib
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any, Protocol

from kvproto.errors import DataError
from kvproto.protocol.frames import MAX_ITEM

__all__ = ["HunkWriter", "Reader", "encode_netstrings", "read_hunks", "read_netstrings"]

_HEAD = Struct("<BBIQ")
_VERSION = 0x81
_HUNK = 1 << 20  # raw bytes after which a hunk is complete
_LEVEL = 2
MAX_HUNK = MAX_ITEM + _HUNK
"""The most bytes of a decompressed hunk: an almost complete one, and the largest record."""
_PROTOCOL = 2  # the highest that Python 2 reads
_BLOCK = 1 << 20


class Readable(Protocol):
    """A file whose read(n) returns up to n bytes, and none at the end."""

    def read(self, n_bytes: int, /) -> bytes: ...


class Reader:
    """A binary file that is read by exact numbers of bytes.

    Parameters
    ----------
    file : Readable
    where : str
        Its name, for errors.
    ahead : bytes
        Reader that come before those of the file.

    Attributes
    ----------
    offset : int
        The offset of the next byte.
    """

    def __init__(self, file: Readable, where: str, ahead: bytes = b"") -> None:
        self._file = file
        self._ahead = ahead
        self.where = where
        self.offset = 0

    def peek(self, n_bytes: int) -> bytes:
        """Return the next n_bytes, or fewer at the end, without consuming them."""
        while len(self._ahead) < n_bytes and (data := self._file.read(n_bytes - len(self._ahead))):
            self._ahead += data
        return self._ahead[:n_bytes]

    def read(self, n_bytes: int) -> bytes:
        """Read up to n_bytes; none at the end."""
        data, self._ahead = self._ahead[:n_bytes], self._ahead[n_bytes:]
        data = data or self._file.read(n_bytes)
        self.offset += len(data)
        return data

    def seekable(self) -> bool:
        return False

    def exactly(self, n_bytes: int, what: str) -> bytes:
        """Read n_bytes in blocks, so that memory grows with the data and not with `n_bytes`."""
        start = self.offset
        if n_bytes > MAX_ITEM:
            raise self.error(
                start, f"announces {n_bytes} bytes of {what}, but the limit is {MAX_ITEM}"
            )
        data = self.read(min(n_bytes, _BLOCK))
        if len(data) < n_bytes:
            parts, n_read = [data], len(data)
            while n_read < n_bytes and (data := self.read(min(n_bytes - n_read, _BLOCK))):
                parts.append(data)
                n_read += len(data)
            data = b"".join(parts)
        if len(data) < n_bytes:
            raise self.error(
                start, f"is cut short: it has {len(data)} of {n_bytes} bytes of {what}"
            )
        return data

    def error(self, offset: int, what: str, kind: type[DataError] = DataError) -> DataError:
        return kind(f"{self.where}, at byte {offset}: {what}")


class _Damaged(DataError):
    """A hunk is complete, but its content is not what was written."""


def read_hunks(source: Reader, *, ignore_corrupt: bool = False) -> Iterator[Any]:
    """Yield the pairs or lines of hunks.

    Raises DataError for a hunk that is cut short or damaged, before any of its pairs, and for a
    missing closing hunk. With ignore_corrupt, a message reports a damaged hunk, and reading goes on
    with the next one; a cut is still an error.
    """
    is_closed = False
    while source.peek(1):
        start = source.offset
        try:
            raw = _read_hunk(source)
            is_closed = not raw
            if raw:
                yield from _unpickled(raw, source)
        except _Damaged as e:
            if not ignore_corrupt:
                raise
            print(
                f"{e}; its pairs from here on are left out, "
                f"{source.offset - start} bytes of the file"
            )
    if not is_closed:
        raise source.error(source.offset, "is cut short: it ends without the hunk that closes it")


def _read_hunk(source: Reader) -> bytes:
    start = source.offset
    version = source.peek(1)[0]
    if version != _VERSION:
        raise source.error(
            start, f"no hunk begins here: 0x{version:02x} instead of 0x{_VERSION:02x}"
        )
    _, is_compressed, crc, n_bytes = _HEAD.unpack(source.exactly(_HEAD.size, "a hunk's head"))
    raw = source.exactly(n_bytes, "a hunk")
    if is_compressed:
        raw = _unpacked(raw, source, start)
    if zlib.crc32(raw) != crc:
        raise source.error(start, "the hunk is damaged: its checksum is wrong", _Damaged)
    return raw


def _unpacked(stored: bytes, source: Reader, start: int) -> bytes:
    """Decompress a hunk. The result is limited: a few bytes can expand a thousandfold."""
    unpacking = zlib.decompressobj()
    try:
        raw = unpacking.decompress(stored, MAX_HUNK + 1)
    except zlib.error as e:
        raise source.error(start, f"the hunk is damaged: {e}", _Damaged) from e
    if len(raw) > MAX_HUNK:
        raise source.error(
            start, f"the hunk unpacks to more than {MAX_HUNK} bytes, the limit", _Damaged
        )
    if not unpacking.eof or unpacking.unused_data:
        raise source.error(
            start,
            "the hunk is damaged: its compressed data does not end where the hunk does",
            _Damaged,
        )
    return raw


def _unpickled(raw: bytes, source: Reader) -> Iterator[Any]:
    file = io.BytesIO(raw)
    while file.tell() < len(raw):
        start = file.tell()
        try:
            pair = _Unpickler(file, encoding="utf-8", errors="surrogateescape").load()
        except Exception as e:  # whatever the classes in it raise
            raise source.error(
                source.offset,
                f"record at byte {start} of the hunk that ends here cannot be unpickled: {e!r}",
                _Damaged,
            ) from e
        if not isinstance(pair, (str, bytes)) and not (isinstance(pair, tuple) and len(pair) == 2):
            what = (
                f"the hunk that ends here holds {pair!r:.200}, "
                "which is neither a (key, value) pair nor a line"
            )
            raise source.error(source.offset, what)
        yield pair


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        cls = super().find_class(module, name)
        is_date = module == "datetime" and name in ("date", "datetime", "time")
        return _of_bytes(cls) if is_date else cls


def _of_bytes(cls: type) -> Callable[..., object]:
    """Return a constructor for dates or times, whose state in Python 2 is an 8-bit string."""

    def make(state: object, *rest: object) -> object:
        return cls(
            state.encode("utf-8", "surrogateescape") if isinstance(state, str) else state, *rest
        )

    return make


class Writable(Protocol):
    """A file that hunks are written to."""

    def write(self, data: bytes, /) -> object: ...


class HunkWriter:
    """Writes pairs as hunks, which the original reads too, to `stream`, which stays open."""

    def __init__(self, stream: Writable) -> None:
        self.stream = stream
        self._parts: list[bytes] = []
        self._n_bytes = 0

    def add(self, key: object, value: object) -> None:
        """Add a pair of any objects that can be pickled.

        Raises ValueError for more than 1 GiB, which readers do not accept.
        """
        data = pickle.dumps((key, value), _PROTOCOL)
        if len(data) > MAX_ITEM:
            what = f"the limit is {MAX_ITEM}; its key is {key!r:.100}"
            raise ValueError(f"a pair of {len(data)} bytes, pickled: {what}")
        self._append(data)

    def add_line(self, line: str | bytes) -> None:
        """Add a line, or any str or bytes, instead of a pair.

        Raises ValueError for more than 1 GiB.
        """
        data = pickle.dumps(line, _PROTOCOL)
        if len(data) > MAX_ITEM:
            raise ValueError(
                f"a line of {len(data)} bytes, pickled: the limit is {MAX_ITEM}; "
                f"it begins with {line[:100]!r}"
            )
        self._append(data)

    def _append(self, data: bytes) -> None:
        self._parts.append(data)
        self._n_bytes += len(data)
        if self._n_bytes >= _HUNK:
            self._flush()

    def close(self) -> None:
        """Write the remaining pairs, and the hunk that closes the file."""
        if self._parts:
            self._flush()
        self._flush()

    def _flush(self) -> None:
        raw = b"".join(self._parts)
        stored = zlib.compress(raw, _LEVEL)
        self.stream.write(_HEAD.pack(_VERSION, 1, zlib.crc32(raw), len(stored)) + stored)
        self._parts, self._n_bytes = [], 0


def encode_netstrings(key: object, value: object) -> bytes:
    """Encode a pair: bytes unchanged, str as UTF-8 (lone surrogates as their bytes).

    For any other object, str() of it is written.
    """
    data, more = _encoded(key), _encoded(value)
    return b"%d %b %d %b\n" % (len(data), data, len(more), more)


def _encoded(item: object) -> bytes:
    return (
        bytes(item)
        if isinstance(item, (bytes, bytearray))
        else str(item).encode("utf-8", "surrogateescape")
    )


def read_netstrings(source: Reader) -> Iterator[tuple[str, str]]:
    """Yield the pairs of netstrings. A cut between two pairs goes unnoticed."""
    while source.peek(1):
        yield _netstring(source, b" "), _netstring(source, b"\n")


def _netstring(source: Reader, end: bytes) -> str:
    start = source.offset
    head = source.peek(11)
    digits, space, _ = head.partition(b" ")
    if not (space and digits.isdigit()):
        is_cut = len(head) < 11 and not head.strip(b"0123456789")
        wrong = f"a length, at most 10 digits and a space, should be here, not {head!r}"
        raise source.error(start, "is cut short inside a pair" if is_cut else wrong)
    source.exactly(len(digits) + 1, "a length")
    item = source.exactly(int(digits) + 1, "a key or value and what ends it")
    if not item.endswith(end):
        raise source.error(
            start, f"{int(digits)} bytes are not followed by {end!r}, but by {item[-1:]!r}"
        )
    return item[:-1].decode("utf-8", "surrogateescape")
