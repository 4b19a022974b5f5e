"""Inputs and outputs of tasks: ready-made functions for the stream chains of a job, and readers for its map and reduce.

The first function of an input, `task_input_stream`, opens the url and gives a text file, whose lines are str: UTF-8,
without a byte order mark, any other bytes kept as lone surrogates (`surrogateescape`). Its bytes are at `buffer`:
readers of binary formats read there, so that nothing of it may have been read as text before. A reader is the last
function of an input; it is given the file, its size in bytes or None, the url and the job's params, and yields entries.
What is not what a reader expects is a DataError that names the url.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from functools import partial

from kvproto.errors import DataError
from kvproto.inputs.lines import check_text, text_file
from kvproto.inputs.schemes import open_input
from kvproto.inputs.streams import OutputStream
from kvproto.inputs.tagged import is_chunk
from kvproto.protocol.frames import MAX_ITEM
from kvproto.storage.atomic import naming
from kvproto.storage.hunks import Bytes, HunkWriter, encode_netstrings, read_hunks, read_netstrings
from kvproto.storage.manifest import written
from kvproto.storage.records import RESULT_HEAD
from kvproto.storage.results import read_result_stream
from kvproto.storage.trust import check_trusted, trusts

__all__ = [
    "chain_reader",
    "chain_stream",
    "default_stream",
    "disco_input_stream",
    "disco_output_stream",
    "gzip_line_reader",
    "gzip_line_stream",
    "gzip_reader",
    "gzip_stream",
    "input_stream",
    "map_input_stream",
    "map_line_reader",
    "map_output_stream",
    "old_netstr_reader",
    "output_stream",
    "plain_output_stream",
    "re_reader",
    "reduce_input_stream",
    "reduce_output_stream",
    "string_input_stream",
    "task_input_stream",
    "task_output_stream",
]


def input_stream(stream, size: int | None, url: str, params):
    """The interface of the functions in map_input_stream and reduce_input_stream, and of readers; not to be called.

    stream  what the function before it gave; None for the first
    size    int, bytes of the input, or None: unknown
    url     str, of the input
    params  the job's

    Gives a stream, or (stream, size, url). The last stream is iterated over for the entries. It may be a generator.
    """
    raise NotImplementedError("input_stream is an interface: task_input_stream opens an input")


def output_stream(stream, partition: int, url: str, params):
    """The interface of the functions in map_output_stream and reduce_output_stream; not to be called.

    stream     what the function before it gave
    partition  int, the number of the partition whose pairs it will get
    url        str, where the output is written
    params     the job's

    Gives a stream, or (stream, url). The last one must have add(key, value); `OutputStream` is a start.
    """
    raise NotImplementedError(
        "output_stream is an interface: disco_output_stream is one that can be used"
    )


# --- the first functions of a chain ------------------------------------------------------------


def task_input_stream(stream, size: int | None, url: str, params) -> tuple:
    """Open url, by its scheme: (text file, its size in bytes or None, url). What was opened before does not count."""
    file, size = open_input(url)
    return text_file(file), size, url


map_input_stream = reduce_input_stream = task_input_stream


def string_input_stream(string: str | bytes, size: int | None, url: str, params) -> tuple:
    """A string as an input."""
    data = string.encode("utf-8", "surrogateescape") if isinstance(string, str) else string
    return text_file(io.BufferedReader(io.BytesIO(data))), len(data), url


def task_output_stream(stream, partition: int, url: str, params):
    """The file that the task's output goes to: write(data) takes bytes. It is there when the task has succeeded."""
    return stream


map_output_stream = reduce_output_stream = task_output_stream


def _binary(stream, reader: str):
    """The bytes of a stream; TypeError when it has none."""
    file = getattr(stream, "buffer", stream)
    if isinstance(file.read(0), str):
        raise TypeError(
            f"{reader} reads bytes, and {stream!r:.200} has text alone: give it a binary file"
        )
    return file


# --- results of earlier jobs -------------------------------------------------------------------


def disco_output_stream(stream, partition: int, url: str, params=None) -> OutputStream:
    """Write pairs of any objects in the original's format, hunks of pickles; `chain_reader` reads it too."""
    return _Hunks(stream)


class _Hunks(HunkWriter, OutputStream):
    """Hunks as an output stream."""


def plain_output_stream(stream, partition: int, url: str, params=None) -> OutputStream:
    """Write `<bytes> <key> <bytes> <value>` and a newline for each pair; what is no string as str() gives it.

    `chain_reader` reads it, every key and value as str.
    """
    return _Netstrings(stream)


class _Netstrings(OutputStream):
    def add(self, key, value) -> None:
        self.write(encode_netstrings(key, value))


def chain_reader(
    fd,
    size: int | None,
    url: str,
    params=None,
    *,
    ignore_corrupt: bool = False,
    trust: bool | None = None,
) -> Iterator:
    """Yield the (key, value) pairs of a result of an earlier job, whichever of these formats it has.

    Our own result files; hunks and netstrings of the original, see `kvproto.storage.hunks`. Of a blob of lines, as
    `DDFS.chunk` makes it, it yields the lines: str, of a binary file bytes. Objects are unpickled, which runs what the
    pickle says: those of other users and from the network take trust=True, or a job with trust=True (see
    `kvproto.storage.trust`). What is cut or damaged is a DataError, as is a file of 0 bytes: a result without pairs has a
    head in all formats that also mark their end, so that such a file is one that was lost; unless it is among the results of a job that says so. `functools.partial(chain_reader, ignore_corrupt=True)` tells of a damaged
    hunk in a message and goes on with the next.
    """
    return _chained(
        fd, size, url, ignore_corrupt, trusts() if trust is None else trust
    )  # as it is now, not when it is read


def _chained(fd, size: int | None, url: str, ignore_corrupt: bool, trust: bool) -> Iterator:
    if is_chunk(url):
        yield from fd
        return
    with naming(url, "reading"):
        file = _binary(fd, "chain_reader")
        source = Bytes(file, url)
        start = file.tell() if _seekable(file) else None
        head = source.peek(len(RESULT_HEAD))
        if head == RESULT_HEAD:
            if start is not None:
                file.seek(start)
            check = None if trust else partial(check_trusted, file, url)
            yield from read_result_stream(source if start is None else file, url, check)
        elif head[:1] == b"\x81":
            if not trust:
                check_trusted(file, url)
            yield from read_hunks(source, ignore_corrupt=ignore_corrupt)
        elif re.match(rb"\d{1,10} ", head):
            yield from _netstrings(source, size)
        elif head or not _is_written_empty(url):
            raise _no_result(url, head)


def _is_written_empty(url: str) -> bool:
    result = written(url)
    return result is not None and result.n_bytes == 0


def _no_result(url: str, head: bytes) -> DataError:
    empty = "it is empty, which a result without pairs is not; leave it out if that is meant"
    what = f"it begins with {head!r}" if head else empty
    return DataError(
        f"{url} is not a result of a job: {what}; chain_reader reads results. For lines of text no reader is needed, "
        "for others there are gzip_line_reader and re_reader",
        is_final=True,
    )


disco_input_stream = chain_reader


def _seekable(file) -> bool:
    return hasattr(file, "seekable") and file.seekable()


def old_netstr_reader(
    fd, size: int | None, fname: str, head: bytes = b""
) -> Iterator[tuple[str, str]]:
    """Yield the pairs of the original's older format, as str; `head` is what has been read of it already."""
    yield from _netstrings(Bytes(_binary(fd, "old_netstr_reader"), fname, head), size)


def _netstrings(source: Bytes, size: int | None) -> Iterator[tuple[str, str]]:
    yield from read_netstrings(source)
    if size and source.offset < size:
        raise source.error(source.offset, f"is cut short: {size} bytes expected")


# --- text and gzip -----------------------------------------------------------------------------


def gzip_reader(fd, size: int | None, url: str, params=None) -> tuple:
    """Decompress: (text file, None, url), with lines as str and the bytes at `buffer`, for the next of a chain.

    Of a binary file, as a job with text=False has them, it gives a binary file. Members one behind the other are one
    file. DataError when it is cut or is no gzip.
    """
    file = io.BufferedReader(_Gunzipped(_binary(fd, "gzip_reader"), url), 1 << 18)
    return text_file(file) if hasattr(fd, "buffer") else file, None, url


def gzip_line_reader(fd, size: int | None, url: str, params=None) -> Iterator[str | bytes]:
    """Yield the lines of a gzip file with their newline: str, of a binary file bytes. DataError when it is cut or is no gzip."""
    yield from gzip_reader(fd, size, url)[0]


class _Gunzipped(io.RawIOBase):
    def __init__(self, file, url: str) -> None:
        import gzip  # only where it is used

        self._gzip = gzip.GzipFile(fileobj=file, mode="rb")
        self._url = url

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        import zlib

        try:
            n_read = self._gzip.readinto(buffer)
        except (EOFError, OSError, zlib.error) as e:
            raise DataError(f"input {self._url}: gzip data is cut short or damaged: {e}") from e
        if not n_read and self._gzip.mtime is None:  # no header has been seen
            raise DataError(f"input {self._url}: is empty, which gzip data without content is not")
        return n_read


def map_line_reader(fd, size: int | None, fname: str, params=None) -> Iterator[str | bytes]:
    """Yield the lines without their newline, as the oldest jobs expect; without a reader they have it."""
    check_text(fd, f"input {fname}")
    for line in fd:
        yield line.removesuffix("\n" if isinstance(line, str) else b"\n")


def re_reader(
    item_re_str,
    fd,
    size: int | None,
    fname: str,
    output_tail: bool = False,
    read_buffer_size: int = 8192,
) -> Iterator[tuple]:
    """Yield the groups of each match of a regular expression; the matches lie one behind the other.

        def html_reader(fd, size, url, params):
            for item in re_reader("(?s)<HTML>(.*?)</HTML>\\n?", fd, size, url):
                yield item[0]

    item_re_str       str or bytes (a pattern, or a compiled one): the groups are of its type. ValueError when it
                      matches the empty string
    size              int, bytes to read: fewer are a DataError. None or 0: to the end
    output_tail       yield (tail,) when the end does not match; otherwise that is told in a message
    read_buffer_size  int, bytes read at a time, more when an item is longer

    An item must show its own end: a match that reaches the end of what has been read waits for more, but what stands
    before that end counts as matched. Memory is for the longest item, at most 1 GiB.
    """
    pattern = re.compile(item_re_str)
    source = _Pieces(fd, size, fname, isinstance(pattern.pattern, str))
    held = pattern.pattern[:0]
    while True:
        piece = source.read(
            max(read_buffer_size, len(held))
        )  # a long item is not looked through again for each piece
        held += piece
        while held and (match := pattern.match(held)):
            if not match.end():
                raise ValueError(
                    f"re_reader: {pattern.pattern!r} matches the empty string: an item must be longer"
                )
            if match.end() == len(held) and piece:
                break  # it may go on
            yield match.groups()
            held = held[match.end() :]
            if (
                len(held) > 2 * read_buffer_size
            ):  # behind a long item: short ones are not to be cut off all of it
                held, piece = source.shorten(held, read_buffer_size), held
        if not piece:
            break
        if len(held) > MAX_ITEM:
            what = f"{pattern.pattern!r} does not match {MAX_ITEM} bytes, {held[:100]!r}..."
            raise DataError(f"input {fname}: {what}", is_final=True)
    if held and output_tail:
        yield (held,)
    elif held:
        print(
            f"re_reader: the end of {fname} does not match and is left out, {len(held)} long: {held[:100]!r}"
        )


class _Pieces:
    """A stream in pieces of str or bytes, up to a size in bytes; fewer are a DataError."""

    def __init__(self, fd, size: int | None, name: str, is_text: bool) -> None:
        self._file = getattr(fd, "buffer", fd)
        self._size = size
        self._name = name
        self._n_read = 0
        utf8 = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._decode = utf8.decode if is_text else lambda data, final: data
        self._pushed = self._decode(b"", False)
        self._at = 0

    def read(self, n_wanted: int) -> str | bytes:
        """About n_wanted bytes or characters; nothing at the end."""
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
                f"input {self._name} is cut short: {self._size} bytes expected, {self._n_read} there"
            )
        return self._decode(b"", True)

    def shorten(self, held: str | bytes, n_kept: int) -> str | bytes:
        """Give back the end of what has been read last: `read` gives it again."""
        self._pushed, self._at = held[n_kept:] + self._pushed[self._at :], 0
        return held[:n_kept]


# --- whole chains ------------------------------------------------------------------------------

default_stream = (task_input_stream,)
chain_stream = (task_input_stream, chain_reader)
gzip_stream = (task_input_stream, gzip_reader)
gzip_line_stream = (task_input_stream, gzip_line_reader)
