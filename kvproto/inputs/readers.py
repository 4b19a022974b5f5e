"""Functions for the stream chains of a job: inputs, outputs, and readers of common formats.

The first function of an input, `task_input_stream`, opens the URL as a text file whose lines are
str: UTF-8, without a byte order mark; any other bytes become lone surrogates (`surrogateescape`).
Readers of binary formats read from its `buffer`, so nothing may have been read as text before. A
reader is the last function of an input. It gets the file, its size in bytes or
None, the URL and the params of the job, and yields entries. Data that is not what a reader expects
is a DataError that names the URL.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from functools import partial
from typing import IO, Any

from kvproto.errors import DataError
from kvproto.inputs.lines import check_text, lines_of, re_reader, text_file
from kvproto.inputs.rows import csv_reader, jsonl_reader
from kvproto.inputs.schemes import open_input
from kvproto.inputs.streams import OutputStream
from kvproto.inputs.tagged import is_chunk
from kvproto.inputs.unpacking import gunzip, is_unpacked, unpack
from kvproto.storage.atomic import naming
from kvproto.storage.hunks import HunkWriter, Reader, encode_netstrings, read_hunks, read_netstrings
from kvproto.storage.manifest import entry_of
from kvproto.storage.records import RESULT_HEAD
from kvproto.storage.results import read_result_stream
from kvproto.storage.trust import check_trusted, trusts

__all__ = [
    "chain_reader",
    "chain_stream",
    "csv_reader",
    "default_stream",
    "disco_input_stream",
    "disco_output_stream",
    "gzip_line_reader",
    "gzip_line_stream",
    "gzip_reader",
    "gzip_stream",
    "input_stream",
    "jsonl_reader",
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

File = IO[str] | IO[bytes]


def input_stream(stream: Any, size: int | None, url: str, params: Any) -> Any:
    """The interface of readers and of the functions in map_input_stream and reduce_input_stream.

    Parameters
    ----------
    stream
        What the function before it returned; None for the first.
    size : int or None
        The bytes of the input, if known.
    url : str
        The URL of the input.
    params
        The parameters of the job.

    Returns
    -------
    stream or tuple
        A stream, which may be a generator, or (stream, size, url). The last stream is iterated
        over for the entries.
    """
    raise NotImplementedError("input_stream is an interface: task_input_stream opens an input")


def output_stream(stream: Any, partition: int, url: str, params: Any) -> Any:
    """The interface of the functions in map_output_stream and reduce_output_stream.

    Parameters
    ----------
    stream
        What the function before it returned.
    partition : int
        The number of the partition whose pairs it gets.
    url : str
        Where the output is written.
    params
        The parameters of the job.

    Returns
    -------
    stream or tuple
        A stream, or (stream, url). The last stream needs add(key, value); `OutputStream` is a
        base class.
    """
    raise NotImplementedError(
        "output_stream is an interface: disco_output_stream is one that can be used"
    )


# --- the first functions of a chain ------------------------------------------------------------


def task_input_stream(
    stream: Any, size: int | None, url: str, params: Any
) -> tuple[io.TextIOWrapper, int | None, str]:
    """Open the URL by its scheme, whatever was opened before, and unpack compressed data.

    Returns
    -------
    tuple
        (text file, its size in bytes or None, url).
    """
    opened, size = open_input(url)
    try:
        file = unpack(opened, f"input {url}")
    except BaseException:
        opened.close()
        raise
    return text_file(file), size if file is opened else None, url


map_input_stream = reduce_input_stream = task_input_stream


def string_input_stream(
    string: str | bytes, size: int | None, url: str, params: Any
) -> tuple[io.TextIOWrapper, int, str]:
    """Use a string as an input.

    Returns
    -------
    tuple
        (text file, its size in bytes, url).
    """
    data = string.encode("utf-8", "surrogateescape") if isinstance(string, str) else string
    return text_file(io.BufferedReader(io.BytesIO(data))), len(data), url


def task_output_stream(stream: Any, partition: int, url: str, params: Any) -> Any:
    """Use the output file of the task.

    Returns
    -------
    file
        Its write(data) takes bytes. The file appears when the task has succeeded.
    """
    return stream


map_output_stream = reduce_output_stream = task_output_stream


def _binary(stream: Any, reader: str) -> Any:
    """Return the binary file of a stream; TypeError for one of text only."""
    file = getattr(stream, "buffer", stream)
    if isinstance(file.read(0), str):
        raise TypeError(
            f"{reader} reads bytes, but {stream!r:.200} has only text: give it a binary file"
        )
    return file


# --- results of earlier jobs -------------------------------------------------------------------


def disco_output_stream(stream: Any, partition: int, url: str, params: Any = None) -> OutputStream:
    """Write pairs of any objects as hunks of pickles, the format of the original.

    Returns
    -------
    OutputStream
        `chain_reader` reads what it writes.
    """
    return _Hunks(stream)


class _Hunks(HunkWriter, OutputStream):
    """Hunks as an output stream."""


def plain_output_stream(stream: Any, partition: int, url: str, params: Any = None) -> OutputStream:
    """Write `<bytes> <key> <bytes> <value>` and a newline for each pair, with str() of objects.

    Returns
    -------
    OutputStream
        `chain_reader` reads what it writes, with every key and value as str.
    """
    return _Netstrings(stream)


class _Netstrings(OutputStream):
    def add(self, key: object, value: object) -> None:
        self.write(encode_netstrings(key, value))


def chain_reader(
    fd: File,
    size: int | None,
    url: str,
    params: Any = None,
    *,
    ignore_corrupt: bool = False,
    trust: bool | None = None,
) -> Iterator[Any]:
    """Read the result of an earlier job, in any of its formats.

    These are the result files of this package, and the hunks and netstrings of the original (see
    `kvproto.storage.hunks`).

    Parameters
    ----------
    fd
        The file, at its beginning.
    size : int or None
        Its size in bytes, if known.
    url : str
        Its URL, for errors.
    params
        Not used.
    ignore_corrupt : bool
        Whether to report a damaged hunk in a message and continue with the next one.
        `functools.partial(chain_reader, ignore_corrupt=True)` is such a reader.
    trust : bool, optional
        Whether to unpickle objects from files of other users and from the network. Unpickling can
        run any code. By default the job decides (see `kvproto.storage.trust`).

    Yields
    ------
    tuple or str or bytes
        (key, value) pairs. For a blob of lines, as `DDFS.chunk` makes it, the lines: str, or bytes
        if the file is binary.

    Raises
    ------
    DataError
        The file is not a result, is cut short or damaged, or is not trusted. A file of 0 bytes is a
        result only if output streams of a job wrote it: then the manifest has its size.
    """
    trust = trusts() if trust is None else trust  # now, not when the generator starts
    return _chained(fd, size, url, ignore_corrupt, trust)


def _chained(
    fd: File, size: int | None, url: str, ignore_corrupt: bool, trust: bool
) -> Iterator[Any]:
    if is_chunk(url):
        yield from fd
        return
    with naming(url, "reading"):
        file = _binary(fd, "chain_reader")
        source = Reader(file, url)
        start = file.tell() if _is_seekable(file) else None
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
        elif head or (result := entry_of(url)) is None or result.n_bytes:
            raise _no_result(url, head)


def _no_result(url: str, head: bytes) -> DataError:
    empty = "it is empty, and even a result without pairs is not; leave it out of the inputs"
    what = f"it begins with {head!r}" if head else empty
    return DataError(
        f"{url} is not a result of a job: {what}; chain_reader reads only results. Lines of text "
        "need no reader; gzip_line_reader and re_reader read other files",
        is_final=True,
    )


disco_input_stream = chain_reader


def _is_seekable(file: Any) -> bool:
    return hasattr(file, "seekable") and bool(file.seekable())


def old_netstr_reader(
    fd: File, size: int | None, fname: str, head: bytes = b""
) -> Iterator[tuple[str, str]]:
    """Read netstrings, the older format of the original.

    Parameters
    ----------
    fd, size, fname
        The file, its size in bytes or None, and its URL.
    head : bytes
        The bytes that were already read from the file.

    Yields
    ------
    (str, str)

    Raises
    ------
    DataError
        The file is cut short or damaged.
    """
    yield from _netstrings(Reader(_binary(fd, "old_netstr_reader"), fname, head), size)


def _netstrings(source: Reader, size: int | None) -> Iterator[tuple[str, str]]:
    yield from read_netstrings(source)
    if size and source.offset < size:
        raise source.error(source.offset, f"is cut short: {size} bytes expected")


# --- text and gzip -----------------------------------------------------------------------------


def gzip_reader(
    fd: File, size: int | None, url: str, params: Any = None
) -> tuple[IO[str] | IO[bytes], None, str]:
    """Decompress a gzip file for the next function of a chain, if a job has not unpacked it.

    Returns
    -------
    tuple
        (text file, None, url). The file is binary if `fd` is, as in jobs with text=False.

    Raises
    ------
    DataError
        Raised during reading: the input is cut short, or is not gzip.
    """
    file = _binary(fd, "gzip_reader")
    if is_unpacked(file):
        return fd, None, url
    content = gunzip(file, f"input {url}")
    return text_file(content) if hasattr(fd, "buffer") else content, None, url


def gzip_line_reader(
    fd: File, size: int | None, url: str, params: Any = None
) -> Iterator[str | bytes]:
    """Read the lines of a gzip file, with their newline. Without a reader, a job does the same.

    Yields
    ------
    str, or bytes if `fd` is binary

    Raises
    ------
    DataError
        The input is cut short, or is not gzip.
    """
    yield from lines_of(gzip_reader(fd, size, url)[0], url)


def map_line_reader(
    fd: File, size: int | None, fname: str, params: Any = None
) -> Iterator[str | bytes]:
    """Read lines, and remove their newline, as the oldest jobs expect it.

    Yields
    ------
    str, or bytes if `fd` is binary

    Raises
    ------
    DataError
        The input has no lines.
    """
    check_text(fd, f"input {fname}")
    for line in lines_of(fd, fname):
        if isinstance(line, str):
            yield line.removesuffix("\n")
        else:
            yield line.removesuffix(b"\n")


# --- whole chains ------------------------------------------------------------------------------

default_stream = (task_input_stream,)
chain_stream = (task_input_stream, chain_reader)
gzip_stream = (task_input_stream, gzip_reader)
gzip_line_stream = (task_input_stream, gzip_line_reader)
