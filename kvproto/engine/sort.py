"""The sort of a reduce's input: by the program `sort` for bytes and text, in runs for other keys.

Promises: ascending order of keys, equal keys in the order in which they came; memory of about the
buffer, the rest on disk below the directory given. The program and its files are gone when the
generator ends or is closed, and also when its process dies. The type of the first key decides:
bytes (bytearray too) and str go through the program, in the order of bytes and of code points; keys
of other types are compared with `<`. Keys that cannot be ordered are a TypeError.

The program sorts records KEY 02 VALUE 00. The bytes 00, 01 and 02 of keys and values become 01 03,
01 04 and 01 05, which keeps the order of keys. Text is UTF-8. The value of a Python object begins
with a letter for its type.
"""

from __future__ import annotations

import errno
import os
import pickle
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from io import BufferedReader, BufferedWriter
from itertools import chain
from typing import Any, NoReturn

from kvproto._stdio import ready_fds
from kvproto._text import signal_name
from kvproto.driver.supervisor import Supervisor, remove_tree
from kvproto.engine.sort_runs import Pair, no_order, sort_in_runs
from kvproto.errors import DataError, JobError, WorkerCrashed
from kvproto.storage.atomic import naming
from kvproto.storage.records import FRAMES, pack_frames, read_batches

__all__ = ["check_buffer_size", "sort_frames", "sort_pairs"]

_UNITS = {"b": 1, "": 1 << 10} | {unit: 1 << 10 * power for power, unit in enumerate("KMGTPE", 1)}
_UNITS |= {unit: _UNITS[unit.upper()] for unit in "kmgt"}
_SIZE = re.compile(r"([0-9]+)([%bkKmMgGtTPE]?)")
# What pairs in runs of our own may take, however small or large the buffer is.
_MIN_BYTES, _MAX_BYTES = 1 << 20, 64 << 20


def check_buffer_size(text: object) -> None:
    """Raise ValueError unless `sort -S` takes it: "10%", "1G", "64M", "9b" (bytes), "9" (KiB)."""
    _n_buffer_bytes(text)


def _n_buffer_bytes(text: object) -> int:
    size = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if size:
        number, unit = int(size[1]), size[2]
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        n_bytes = number * memory // 100 if unit == "%" else number * _UNITS[unit]
        if n_bytes < 1 << 63:
            return n_bytes
    raise ValueError(
        "sort_buffer_size must be a str that `sort -S` accepts: a part of the memory, such as "
        f"'10%', or a size, such as '512K', '64M' or '1G'; not {text!r:.100}"
    )


def sort_frames(chunks: Iterable[bytes], buffer_size: str, directory: str) -> Iterator[bytes]:
    """Sort frames, cut anywhere, by the bytes of their keys; yields whole frames.

    Parameters and errors are as for `sort_pairs`. DataError also for frames that are damaged.
    """
    batches = filter(None, read_batches(FRAMES, chunks, "the input of a sort"))
    for block in _sort_records(map(_encode_bytes, batches), buffer_size, directory):
        yield pack_frames(_decode_bytes(block), 0)


def sort_pairs(
    batches: Iterable[list[Pair]], buffer_size: str, directory: str
) -> Iterator[list[Pair]]:
    """Sort pairs of Python objects by their keys.

    Parameters
    ----------
    batches : iterable of list of pairs
        The pairs.
    buffer_size : str
        Memory, as for `check_buffer_size`; at most 64 MiB for keys other than bytes and text.
    directory : str
        For what does not fit into memory.

    Yields
    ------
    list of pairs
        In the order of keys. None as every key has an order, and so have int, float and bool
        together; NaN has not.

    Raises
    ------
    TypeError, JobError, DataError
        For keys without an order; a full disk or no program `sort`; a program or disk that fails.
    """
    batches = filter(None, batches)
    first = next(batches, None)
    if first is None:
        return
    batches = chain([first], batches)
    key = first[0][0]
    if isinstance(key, (str, bytes, bytearray)):
        yield from _sort_with_program(batches, key, buffer_size, directory)
    else:
        n_bytes = min(max(_n_buffer_bytes(buffer_size), _MIN_BYTES), _MAX_BYTES)
        yield from sort_in_runs(batches, n_bytes, directory)


def _sort_with_program(
    batches: Iterable[list[Pair]], key: object, buffer_size: str, directory: str
) -> Iterator[list[Pair]]:
    """The same for keys of text or of bytes, as the first key is."""
    is_text = isinstance(key, str)
    records = (_encode_objects(batch, is_text) for batch in batches)
    try:
        for block in _sort_records(records, buffer_size, directory):
            yield _decode_objects(block, is_text)
    except _WrongKey as e:
        raise no_order(key, e.key) from None


# --- the program -------------------------------------------------------------------------------

_BLOCK = 1 << 17  # bytes of the program's output that are read at a time
_FULL = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT)}


def _sort_records(blocks: Iterable[bytes], buffer_size: str, directory: str) -> Iterator[bytes]:
    """Sort blocks of records; yields blocks without their last 00. Errors: see `sort_pairs`."""
    with naming(directory, "sorting in"):
        own = tempfile.mkdtemp(prefix="sort-", dir=directory)
        os.chmod(own, 0o700)  # whatever the umask
    n_in = n_out = 0
    try:
        with _Program(buffer_size, own) as program:
            for block in blocks:
                program.write(block)
                n_in += block.count(b"\0")
            for block in program.sorted():
                n_out += block.count(b"\0") + 1
                yield block
        if n_out != n_in:
            raise DataError(f"the program `sort` got {n_in} records and returned {n_out}")
    finally:
        with suppress(OSError):
            remove_tree(own)  # usually the supervisor has removed it


class _Program:
    """A supervised `sort`: all `write()`s, then `sorted()`. Leaving the context ends it."""

    def __init__(self, buffer_size: str, directory: str) -> None:
        import subprocess  # noqa: PLC0415  slow, not for all jobs

        program = shutil.which("sort")
        if program is None:
            what = "there is no program `sort` on the PATH"
            raise JobError(f"{what}: install it (GNU coreutils), or do not use sort=True")
        self._directory = directory
        # One core: the pool has a task for each.
        options = ["-z", "-s", "-t\2", "-k1,1", "--parallel=1", "-S", buffer_size, "-T", directory]
        self._supervisor = Supervisor(
            directory,
            [program, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # read at its end: there is a line in it, or none
            environment={**os.environ, "LC_ALL": "C"},
        )
        popen: Any = self._supervisor.popen  # its files are there, as they are pipes
        self._stdin: BufferedWriter = popen.stdin
        self._stdout: BufferedReader = popen.stdout
        self._stderr: BufferedReader = popen.stderr

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._supervisor.close()
        with suppress(BrokenPipeError):  # what it did not take is of no use
            self._stdin.close()
        self._stdout.close()
        self._stderr.close()

    def write(self, data: bytes) -> None:
        """Give records to the program."""
        try:
            self._stdin.write(data)
        except BrokenPipeError:
            self._fail()

    def sorted(self) -> Iterator[bytes]:
        """Close the input; yield the records in order, whole ones, without the last 00."""
        try:
            self._stdin.close()
        except BrokenPipeError:
            self._fail()
        begun: list[bytes] = []  # of a record that is longer than a block
        while data := self._stdout.read1(_BLOCK):
            whole, end, rest = data.rpartition(b"\0")
            begun.append(whole if end else rest)
            if end:
                yield b"".join(begun)
                begun = [rest]
        if self._exit_status != 0:
            self._fail()
        if any(begun):
            raise DataError("the program `sort` failed: its output ends inside a record")

    def _fail(self) -> NoReturn:
        status = self._exit_status
        text = self._stderr.read(2000).decode("utf-8", "replace").strip()
        for words, number in _FULL.items():
            if words in text:
                with naming(self._directory, "sorting in"):
                    raise OSError(number, text)
        is_killed = status is not None and status < 0
        how = f"killed by {signal_name(status)}" if is_killed else f"exit status {status}"
        raise DataError(f"the program `sort` failed: {how}; its stderr: {text or 'empty'}")

    @cached_property
    def _exit_status(self) -> int | None:
        """Wait until the program has ended; None when its supervisor is gone with it."""
        supervisor = self._supervisor
        try:
            while supervisor.exit_status is None and supervisor.start_errno is None:
                ready_fds([supervisor.status_fd])
                supervisor.read_status()
        except WorkerCrashed:
            return None
        if supervisor.start_errno is not None:
            reason = os.strerror(supervisor.start_errno)
            raise JobError(f"the program `sort` cannot be started: {reason}")
        return supervisor.exit_status


# --- records -----------------------------------------------------------------------------------


class _WrongKey(Exception):
    """A key that is not of the kind of the others; `key` is it."""

    def __init__(self, key: object) -> None:
        super().__init__(key)
        self.key = key


def _encode_bytes(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Encode pairs of bytes."""
    return _filled("%b\2%b\0", pairs)


def _decode_bytes(data: bytes) -> list[tuple[bytes, bytes]]:
    """Decode whole records, the last of them without its 00."""
    return list(zip(*_split(data, b"\2", False), strict=True))


def _encode_objects(pairs: list[Pair], is_text: bool) -> bytes:
    """Encode pairs with any values and keys of text, or of bytes; _WrongKey for another key."""
    types: set[tuple[type, type]] = {(type(key), type(value)) for key, value in pairs}
    template = _TEMPLATES.get(types.pop()) if len(types) == 1 else None
    if template is not None and ("%s" in template) == is_text:
        try:
            return _filled(template, pairs)
        except ValueError:
            pass  # an int with more digits than Python writes
    return _encode_bytes([_as_bytes(pair, is_text) for pair in pairs])


def _decode_objects(data: bytes, is_text: bool) -> list[Pair]:
    """Decode what `_encode_objects` made, the last record without its 00."""
    at = data.index(b"\2")
    between = data[at : at + 2]
    if data.count(between) != data.count(b"\2"):
        return [
            _from_bytes(key, value[:1], value[1:], is_text) for key, value in _decode_bytes(data)
        ]
    letter = between[1:]
    as_text = is_text and letter in _TEXT_READERS
    keys, values = _split(data, between, as_text)
    if letter == b"k":
        return list(map(pickle.loads, values))
    keys_as_they_were = map(_from_utf8, keys) if is_text and not as_text else keys
    read = (_TEXT_READERS if as_text else _READERS)[letter]
    return list(zip(keys_as_they_were, map(read, values), strict=True))


# --- records: whole batches ----------------------------------------------------------------------

_TEMPLATES: dict[tuple[type, type], str] = {
    (str, str): "%s\2s%s\0",
    (str, int): "%s\2i%d\0",
    (str, float): "%s\2f%r\0",
    (bytes, bytes): "%b\2b%b\0",
    (bytes, int): "%b\2i%d\0",
    (bytes, float): "%b\2f%r\0",
}


def _filled(template: str, pairs: list[Pair]) -> bytes:
    n_pairs = len(pairs)
    items = tuple(chain.from_iterable(pairs))
    data = _format(template, n_pairs, items)
    if data.count(b"\0") == n_pairs == data.count(b"\2") and b"\1" not in data:
        return data
    while True:
        marks = _mark(), _mark()
        data = _format(template.replace("\2", marks[0]).replace("\0", marks[1]), n_pairs, items)
        between, end = marks[0].encode(), marks[1].encode()
        if data.count(between) == n_pairs == data.count(end):
            data = data.replace(b"\1", b"\1\4").replace(b"\0", b"\1\3").replace(b"\2", b"\1\5")
            return data.replace(between, b"\2").replace(end, b"\0")


def _format(template: str, n_times: int, items: tuple[Any, ...]) -> bytes:
    if "%s" in template:
        return _to_utf8(template * n_times % items)
    return template.encode() * n_times % items


def _split(data: bytes, between: bytes, as_text: bool) -> tuple[list[Any], list[Any]]:
    """Cut records into keys and values."""
    mark = b"\0"
    data_has_escapes = b"\1" in data
    if data_has_escapes:
        while (mark := _mark().encode()) in data:
            pass
    data = data.replace(between, mark).replace(b"\0", mark)
    if data_has_escapes:
        data = data.replace(b"\1\3", b"\0").replace(b"\1\5", b"\2").replace(b"\1\4", b"\1")
    items: list[Any] = _from_utf8(data).split(mark.decode()) if as_text else data.split(mark)
    return items[0::2], items[1::2]


def _mark() -> str:
    """Text that is hardly in any data (callers check). No end of it is also its beginning."""
    return f"<{os.urandom(8).hex()}>"


# --- records: one pair at a time, for mixed types and those without a template --------------------


def _as_bytes(pair: tuple[Any, Any], is_text: bool) -> tuple[bytes, bytes]:
    key, value = pair
    exactly: Any = str if is_text else bytes
    kinds: Any = str if is_text else (bytes, bytearray)
    if type(key) is exactly:
        return (_to_utf8(key) if is_text else key), _value_as_bytes(value)
    if isinstance(key, kinds):  # k: the value is the whole pair
        return (_to_utf8(key) if is_text else bytes(key)), b"k" + _pickled(pair)
    raise _WrongKey(key)


def _value_as_bytes(value: Any) -> bytes:
    if type(value) is bytes:
        return b"b" + value
    if type(value) is str:
        return b"s" + _to_utf8(value)
    if type(value) is int and abs(value) < 1 << 64:
        return b"i%d" % value
    return b"p" + _pickled(value)


def _from_bytes(key: bytes, letter: bytes, value: bytes, is_text: bool) -> tuple[Any, Any]:
    if letter == b"k":
        pair: tuple[Any, Any] = pickle.loads(value)
        return pair
    return (_from_utf8(key) if is_text else key), _READERS[letter](value)


def _pickled(thing: Any) -> bytes:
    try:
        return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        import cloudpickle  # noqa: PLC0415 - slow; only for classes of __main__ or a function

        data: bytes = cloudpickle.dumps(thing)
        return data


def _to_utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _from_utf8(data: bytes) -> str:
    return str(data, "utf-8", "surrogatepass")


_READERS: dict[bytes, Callable[[Any], Any]] = {
    b"b": bytes,
    b"s": _from_utf8,
    b"i": int,
    b"f": float,
    b"p": pickle.loads,
}
_TEXT_READERS: dict[bytes, Callable[[Any], Any]] = {b"s": str, b"i": int, b"f": float}
