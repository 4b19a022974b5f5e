"""The sort of a reduce's input.

Promises: ascending order of keys, equal keys in the order in which they came; memory of about the
buffer, the rest on disk below the directory. The files are gone when the generator ends or is
closed. The type of the first key decides: pairs with keys of bytes (bytearray too) or str are
sorted as frames, in the order of bytes and of code points; keys of other types are compared with
`<`. Keys that cannot be ordered are a TypeError.

Frames that fit into the buffer are sorted in memory (`sort_memory`). Of more, each buffer becomes a
sorted run in a file, and the program `sort` merges the runs. Keys of text are UTF-8 in a frame; the
value of a Python object begins with a letter for its type.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from functools import cached_property
from io import BufferedReader, BufferedWriter
from itertools import chain
from typing import Any, NoReturn

from kvproto._stdio import ready_fds
from kvproto._text import signal_name
from kvproto.driver.supervisor import Supervisor, remove_tree
from kvproto.engine.sort_memory import new_sorter, to_frames, to_records
from kvproto.engine.sort_runs import no_order, sort_in_runs
from kvproto.errors import DataError, JobError, WorkerCrashed
from kvproto.protocol.reference import Bytes
from kvproto.storage.atomic import naming
from kvproto.storage.typed_records import Batch, TypedBatch, WrongKey, pairs_in, typed_batch

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


def sort_frames(chunks: Iterable[Bytes], buffer_size: str, directory: str) -> Iterator[bytes]:
    """Sort frames, cut anywhere, by the bytes of their keys; yields whole frames.

    Parameters and errors are as for `sort_pairs`. DataError also for frames that are damaged.
    """
    sorter = new_sorter(_n_buffer_bytes(buffer_size))
    with ExitStack() as stack:
        runs = None
        for chunk in chunks:
            left = chunk
            while (n_taken := sorter.add(left)) < len(left):
                runs = runs or stack.enter_context(_Runs(buffer_size, directory))
                runs.add(sorter.sorted())
                left = left[n_taken:]
        if sorter.n_left:
            raise DataError(
                f"the input of a sort is damaged: it ends {sorter.n_left} bytes into a pair"
            )
        if runs is None:
            yield from sorter.sorted()
        else:
            runs.add(sorter.sorted())
            del sorter
            yield from runs.merged()


def sort_pairs(batches: Iterable[Batch], buffer_size: str, directory: str) -> Iterator[Batch]:
    """Sort pairs of Python objects by their keys.

    Parameters
    ----------
    batches : iterable of list of pairs or TypedBatch
        The pairs.
    buffer_size : str
        Memory, as for `check_buffer_size`; at most 64 MiB for keys other than bytes and text.
    directory : str
        For what does not fit into memory.

    Yields
    ------
    list of pairs or TypedBatch
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
    key = pairs_in(first)[0][0]
    if isinstance(key, (str, bytes, bytearray)):
        yield from _sort_by_bytes(batches, key, buffer_size, directory)
    else:
        n_bytes = min(max(_n_buffer_bytes(buffer_size), _MIN_BYTES), _MAX_BYTES)
        yield from sort_in_runs(map(pairs_in, batches), n_bytes, directory)


def _sort_by_bytes(
    batches: Iterable[Batch], key: object, buffer_size: str, directory: str
) -> Iterator[TypedBatch]:
    """The same for keys of text or of bytes, as the first key is."""
    is_text = isinstance(key, str)

    def frames_of(batch: Batch) -> bytes | bytearray:
        if not isinstance(batch, TypedBatch) or batch.is_text is not is_text:
            batch = typed_batch(pairs_in(batch), is_text)
        return batch.frames

    try:
        for block in sort_frames(map(frames_of, batches), buffer_size, directory):
            yield TypedBatch(block, is_text)
    except WrongKey as e:
        raise no_order(key, e.key) from None


# --- the program -------------------------------------------------------------------------------

_BLOCK = 1 << 17  # bytes of the program's output that are read at a time
_FULL = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT)}


class _Runs:
    """Sorted runs in files of a directory of their own, which the program `sort` merges.

    The program starts with the first run and waits for names, so that its supervisor removes the
    directory even if this process is killed.
    """

    def __init__(self, buffer_size: str, directory: str) -> None:
        with naming(directory, "sorting in"):
            self._directory = tempfile.mkdtemp(prefix="sort-", dir=directory)
            os.chmod(self._directory, 0o700)  # whatever the umask
        self._program: _Program | None = None
        self._buffer_size = buffer_size
        self._n_runs = self._n_records = 0

    def __enter__(self) -> _Runs:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._program is not None:
            self._program.close()
        with suppress(OSError):
            remove_tree(self._directory)  # usually the supervisor has removed it

    def add(self, blocks: Iterable[bytes]) -> None:
        """Write a run of sorted frames."""
        self._program = self._program or _Program(self._buffer_size, self._directory)
        path = os.path.join(self._directory, f"run-{self._n_runs}")
        self._n_runs += 1
        with naming(self._directory, "sorting in"), open(path, "xb") as file:
            for block in blocks:
                records = to_records(block)
                self._n_records += records.count(b"\0")
                file.write(records)
        self._program.write(os.fsencode(path) + b"\0")

    def merged(self) -> Iterator[bytes]:
        """Yield the frames of all runs in order. Errors: see `sort_pairs`."""
        assert self._program is not None
        n_out = 0
        for records in self._program.sorted():
            n_out += records.count(b"\0")
            try:
                frames = to_frames(records)
            except ValueError:
                raise DataError(
                    "the program `sort` returned something other than records"
                ) from None
            yield frames
        if n_out != self._n_records:
            raise DataError(
                f"the program `sort` got {self._n_records} records and returned {n_out}"
            )


class _Program:
    """A supervised `sort` that merges files, whose names are written to it, each with a 00."""

    def __init__(self, buffer_size: str, directory: str) -> None:
        import subprocess  # noqa: PLC0415  slow, not for all jobs

        program = shutil.which("sort")
        if program is None:
            what = "there is no program `sort` on the PATH"
            raise JobError(f"{what}: install it (GNU coreutils), or do not use sort=True")
        self._directory = directory
        # One core: the pool has a task for each.
        options = ["-m", "-z", "-s", "-t\2", "-k1,1", "--files0-from=-"]
        options += ["--parallel=1", "-S", buffer_size, "-T", directory]
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

    def close(self) -> None:
        self._supervisor.close()
        with suppress(BrokenPipeError):  # what it did not take is of no use
            self._stdin.close()
        self._stdout.close()
        self._stderr.close()

    def write(self, data: bytes) -> None:
        """Write to the program's stdin."""
        try:
            self._stdin.write(data)
        except BrokenPipeError:
            self._fail()

    def sorted(self) -> Iterator[bytes]:
        """Close the input; yield blocks of whole records, in order."""
        try:
            self._stdin.close()
        except BrokenPipeError:
            self._fail()
        begun: list[bytes] = []  # of a record that is longer than a block
        while data := self._stdout.read1(_BLOCK):
            n_whole = data.rfind(b"\0") + 1
            begun.append(data[:n_whole] if n_whole else data)
            if n_whole:
                yield b"".join(begun)
                begun = [data[n_whole:]]
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
