"""Inputs as text: in lines, or in items that match a regular expression.

Data without lines (archives, what no job unpacks, UTF-16, and results of jobs) is recognized by its
first bytes and rejected: as lines it would be garbage.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

from kvproto.errors import DataError
from kvproto.inputs.unpacking import compression_of
from kvproto.protocol.frames import MAX_ITEM
from kvproto.protocol.native import split_lines
from kvproto.storage.records import RESULT_HEAD

__all__ = [
    "BOM",
    "HEAD_SIZE",
    "check_has_lines",
    "check_text",
    "checked_lines",
    "has_lines",
    "line_blocks",
    "line_too_long",
    "lines_of",
    "re_reader",
    "skip_mark",
    "text_file",
]

HEAD_SIZE = 512
"""Bytes at the start of an input that are enough to recognize its format."""

BOM = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, which some editors put before a text."""


def _unpack(command: str, module: str = "") -> str:
    reader = "or give map_reader a function that reads fd.buffer with Python's module"
    return f"unpack it first with `{command}`" + (f", {reader} {module}" if module else "")


_RESULT = "is a result of a job, which has no lines", "map_reader=chain_reader reads its pairs"
_TO_UTF_8 = "make it UTF-8 first, with `iconv -f UTF-16 -t UTF-8`"

_FORMATS = (
    (RESULT_HEAD, *_RESULT),
    (rb"\x81[\x00\x01].{8}\x00{4}", *_RESULT),
    (
        rb"\x5d\x00\x00.{2}(\xff{8}|.{5}\x00{3})",
        "is compressed with lzma",
        _unpack("unlzma", "lzma"),
    ),
    (rb"LZIP\x01", "is compressed with lzip", _unpack("lzip -d")),
    (rb"\x04\x22\x4d\x18|\x02\x21\x4c\x18", "is compressed with lz4", _unpack("lz4 -d")),
    (rb"\xff\x06\x00\x00sNaPpY", "is compressed with snappy", _unpack("snzip -d")),
    (rb"\x89LZO\x00\r\n\x1a\n", "is compressed with lzop", _unpack("lzop -d")),
    (rb"\x1f\x9d[\x09-\x10\x89-\x90]", "is compressed with compress", _unpack("gzip -d")),
    (rb"PK(\x03\x04|\x05\x06|\x07\x08)", "is a zip archive", _unpack("unzip", "zipfile")),
    (rb".{257}ustar[\x00 ]", "is a tar archive", _unpack("tar -x", "tarfile")),
    (rb"7z\xbc\xaf\x27\x1c", "is a 7z archive", _unpack("7z x")),
    (rb"Rar!\x1a\x07", "is a rar archive", _unpack("unrar x")),
    (rb"\xff\xfe[^\x00]\x00|\xfe\xff\x00[^\x00]", "is text in UTF-16", _TO_UTF_8),
)
"""How the data begins (a pattern), what it is, and what to do."""

_ALL = re.compile(b"|".join(b"(?:%b)" % start for start, _, _ in _FORMATS), re.DOTALL)


def has_lines(head: bytes) -> bool:
    """Whether data can be read as lines, judged by its first HEAD_SIZE bytes, or all of it."""
    return compression_of(head) is None and _ALL.match(head) is None


def check_has_lines(head: bytes, where: str) -> None:
    """Raise a final DataError for data without lines that names the format and says what to do."""
    if has_lines(head):
        return
    if (compression := compression_of(head)) is not None:
        what, advice = f"is compressed with {compression.name}", _unpack(compression.program)
    else:
        what, advice = next(
            (what, advice) for start, what, advice in _FORMATS if re.match(start, head, re.DOTALL)
        )
    raise DataError(f"{where}: {what}; {advice}", is_final=True)


def checked_lines(pieces: Iterable[bytes], where: str) -> Iterator[bytes]:
    """Yield data without its byte order mark. Raises DataError for data without lines.

    It delays no bytes but those that may be the beginning of a mark.
    """
    pieces = iter(pieces)
    head, n_yielded = b"", 0
    for piece in pieces:
        head += piece
        check_has_lines(head, where)
        if n_yielded == 0 and head.startswith(BOM):
            n_yielded = len(BOM)
        if len(head) >= len(BOM) or not BOM.startswith(head):
            yield head[n_yielded:]
            n_yielded = len(head)
        if len(head) >= HEAD_SIZE:
            break
    yield head[n_yielded:]
    yield from pieces


def check_text(stream: object, where: str) -> None:
    """Check a stream at its start with `check_has_lines`, if it is a file with `peek`."""
    buffer = getattr(stream, "buffer", stream)
    if isinstance(head := buffer.peek(HEAD_SIZE) if hasattr(buffer, "peek") else None, bytes):
        check_has_lines(head[:HEAD_SIZE], where)


def line_too_long(url: str, limit: int) -> DataError:
    """Return the error for a line of more than `limit` bytes."""
    return DataError(
        f"{url} has a line of more than {limit} bytes, the limit of an item [LIMITS-1]",
        is_final=True,
    )


def line_blocks(
    file: io.BufferedReader, url: str, n_bytes: int, max_line: int
) -> Iterator[memoryview]:
    """Yield blocks of whole lines, each valid until the next; the last line may lack its newline.

    Memory holds n_bytes or the longest line. Raises DataError for one over `max_line` bytes.
    """
    room = bytearray(n_bytes)
    n_begun = 0
    while n_read := file.readinto(memoryview(room)[n_begun:]):
        n_filled = n_begun + n_read
        end = room.rfind(b"\n", n_begun, n_filled) + 1
        n_begun = n_filled - end
        if end:
            yield memoryview(room).toreadonly()[:end]
            room[:n_begun] = room[end:n_filled]
        if n_begun > max_line:
            raise line_too_long(url, max_line)
        if n_begun == len(room):
            room = room + bytes(min(n_begun, max_line + 1 - n_begun))
    if n_begun:
        yield memoryview(room).toreadonly()[:n_begun]


def lines_of(fd: Any, url: str, *, as_text: bool = False) -> Iterator[Any]:
    """Yield the lines of the file that a reader got, from its start, with their newline.

    They are str, or bytes if `fd` is binary, unless as_text is true. DataError for one of more than
    1 GiB.
    """
    file = getattr(fd, "buffer", fd)
    if not hasattr(file, "peek"):  # whatever else a job's own stream may be
        yield from fd
        return
    skip_mark(file)
    is_text = as_text or file is not fd
    for block in line_blocks(file, url, _LINES, MAX_ITEM):
        yield from split_lines(block, is_text)


_LINES = 1 << 16
"""Bytes of lines that become Python objects at a time."""


def skip_mark(file: Any) -> None:
    """Skip the byte order mark at the start of a binary file; text files have skipped it."""
    if hasattr(file, "peek") and file.peek(len(BOM)).startswith(BOM):
        file.read(len(BOM))


def text_file(file: io.BufferedReader, is_start: bool = True) -> io.TextIOWrapper:
    """Wrap a binary file as UTF-8 text without its byte order mark; bad bytes become surrogates."""
    has_mark = is_start and hasattr(file, "peek") and file.peek(len(BOM)).startswith(BOM)
    encoding = "utf-8-sig" if has_mark else "utf-8"  # Python decodes utf-8-sig more slowly
    return io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline="\n")


def re_reader(
    item_re_str: Any,
    fd: Any,
    size: int | None,
    fname: str,
    output_tail: bool = False,
    read_buffer_size: int = 8192,
) -> Iterator[tuple[Any, ...]]:
    """Split an input into items that match a regular expression, each where the last one ended.

        def html_reader(fd, size, url, params):
            for item in re_reader("(?s)<HTML>(.*?)</HTML>\\n?", fd, size, url):
                yield item[0]

    Parameters
    ----------
    item_re_str : str or bytes, or a compiled pattern
        The expression of an item. The groups are of its type. It must match the end of an item: a
        match is tried again with more data only if it reaches the end of the data read so far.
    fd
        The file.
    size : int or None
        How many bytes to read; None or 0: to the end.
    fname : str
        The URL of the input, for errors.
    output_tail : bool
        Whether to yield (tail,) if the end of the input does not match. Otherwise, it is left out,
        and a message says so.
    read_buffer_size : int
        How many bytes to read at a time; more when an item is longer. Memory holds the longest
        item, at most 1 GiB.

    Yields
    ------
    tuple
        The groups of a match.

    Raises
    ------
    ValueError
        The expression matches the empty string.
    DataError
        The input has fewer than `size` bytes, or 1 GiB of it does not match.
    """
    pattern = re.compile(item_re_str)
    source = _Pieces(fd, size, fname, isinstance(pattern.pattern, str))
    rest = pattern.pattern[:0]
    while True:
        # Read more at a time during a long item, so that it is not matched too often.
        piece = source.read(max(read_buffer_size, len(rest)))
        rest += piece
        while rest and (match := pattern.match(rest)):
            if not match.end():
                raise ValueError(
                    f"re_reader: {pattern.pattern!r} matches the empty string, "
                    "but an item must not be empty"
                )
            if match.end() == len(rest) and piece:
                break  # more data may extend the match
            yield match.groups()
            rest = rest[match.end() :]
            if len(rest) > 2 * read_buffer_size:
                # After a long item, do not copy all of the rest for each short one.
                rest, piece = source.shorten(rest, read_buffer_size), rest
        if not piece:
            break
        if len(rest) > MAX_ITEM:
            what = f"{pattern.pattern!r} does not match {MAX_ITEM} bytes, {rest[:100]!r}..."
            raise DataError(f"input {fname}: {what}", is_final=True)
    if rest and output_tail:
        yield (rest,)
    elif rest:
        print(
            f"re_reader: the end of {fname} does not match and is left out "
            f"(length {len(rest)}): {rest[:100]!r}"
        )


class _Pieces:
    """Pieces of a stream, str or bytes, up to a size in bytes; fewer bytes are a DataError."""

    def __init__(self, fd: Any, size: int | None, name: str, is_text: bool) -> None:
        self._file = getattr(fd, "buffer", fd)
        self._size = size
        self._name = name
        self._n_read = 0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._is_text = is_text
        self._pushed: Any = self._decode(b"", False)
        self._at = 0

    def _decode(self, data: bytes, is_end: bool) -> Any:
        return self._decoder.decode(data, is_end) if self._is_text else data

    def read(self, n_wanted: int) -> Any:
        """Read about n_wanted bytes or characters; none at the end."""
        if piece := self._pushed[self._at : self._at + n_wanted]:
            self._at += len(piece)
            return piece
        while data := self._file.read(
            min(n_wanted, self._size - self._n_read) if self._size else n_wanted
        ):
            if isinstance(data, str):
                data = data.encode("utf-8", "surrogateescape")
            self._n_read += len(data)
            if piece := self._decode(data, False):
                return piece
        if self._size and self._n_read < self._size:
            raise DataError(
                f"input {self._name} is cut short: it has {self._n_read} of the expected "
                f"{self._size} bytes"
            )
        return self._decode(b"", True)

    def shorten(self, rest: Any, n_kept: int) -> Any:
        """Return n_kept of the rest, and push back the others, which `read` then returns."""
        self._pushed, self._at = rest[n_kept:] + self._pushed[self._at :], 0
        return rest[:n_kept]
