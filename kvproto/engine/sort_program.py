"""The program `sort`: records KEY 02 VALUE 00 in, the same out, in the order of the keys' bytes.

It takes all of its input from a pipe, keeps its buffer in memory and the rest on disk, and its output is read as it is made.
Promises: equal keys in the order in which they came; all records, or an error; the program and its files are gone with
the generator or, at once, with this process, however that ends.
Refuses to know: what keys and values are, but that no 00 is in them, nor 02 in a key (see `sortform`).
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property

from kvproto._text import signal_name
from kvproto.driver.removal import remove_tree
from kvproto.driver.supervisor import Supervisor, is_readable
from kvproto.errors import DataError, JobError, WorkerCrashed
from kvproto.storage.atomic import naming

__all__ = ["sort_records"]

_BLOCK = 1 << 17  # bytes of the program's output that are read at a time
_FULL = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT)}


def sort_records(blocks: Iterable[bytes], buffer_size: str, directory: str) -> Iterator[bytes]:
    """Take blocks of whole records and yield such blocks, sorted, without their last 00.

    buffer_size  str, as for `sort -S`: the memory that the program uses
    directory    where the program has its files, in a directory of its own
    Raises JobError when there is no such program or its disk is full, DataError when it fails in another way.
    """
    with naming(directory, "sorting in"):
        own = tempfile.mkdtemp(prefix="sort-", dir=directory)
        os.chmod(own, 0o700)  # whatever the umask
    n_given = n_sorted = 0
    try:
        with _Program(buffer_size, own) as program:
            for block in blocks:
                program.write(block)
                n_given += block.count(b"\0")
            for block in program.sorted():
                n_sorted += block.count(b"\0") + 1
                yield block
        if n_sorted != n_given:
            raise DataError(
                f"the program `sort` was given {n_given} records and gave back {n_sorted}"
            )
    finally:
        with suppress(OSError):
            remove_tree(own)  # mostly the supervisor has done it


class _Program:
    """A `sort` that runs under supervision: all `write()`s, then `sorted()`. Context manager: leaving it ends the program."""

    def __init__(self, buffer_size: str, directory: str) -> None:
        import subprocess  # not for those who only describe a job

        program = shutil.which("sort")
        if program is None:
            raise JobError(
                "there is no program `sort` on the PATH: install it (GNU coreutils), or have no sort=True"
            )
        self._directory = directory
        # One core: the pool has a task for each.
        options = [
            "-z",
            "-s",
            "-t",
            "\2",
            "-k1,1",
            "--parallel=1",
            "-S",
            buffer_size,
            "-T",
            directory,
        ]
        self._supervisor = Supervisor(
            directory,
            [program, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # read at its end: it has a line to say, or none
            environment={**os.environ, "LC_ALL": "C"},
        )
        self._popen = self._supervisor.popen

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, *exc_info) -> None:
        self._supervisor.close()
        try:
            self._popen.stdin.close()
        except BrokenPipeError:
            pass  # what it did not take is of no use
        self._popen.stdout.close()
        self._popen.stderr.close()

    def write(self, data: bytes) -> None:
        """Give records to the program."""
        try:
            self._popen.stdin.write(data)
        except BrokenPipeError:
            self._fail()

    def sorted(self) -> Iterator[bytes]:
        """Say that there are no more records; yield those sorted, whole ones, without the last 00."""
        try:
            self._popen.stdin.close()
        except BrokenPipeError:
            self._fail()
        begun = []  # of a record that is longer than a block
        while data := self._popen.stdout.read1(_BLOCK):
            whole, end, rest = data.rpartition(b"\0")
            begun.append(whole if end else rest)
            if end:
                yield b"".join(begun)
                begun = [rest]
        if self._exit_status != 0:
            self._fail()
        if any(begun):
            raise DataError("the program `sort` failed: its output ends inside a record")

    def _fail(self) -> None:
        status = self._exit_status
        text = self._popen.stderr.read(2000).decode("utf-8", "replace").strip()
        for words, number in _FULL.items():
            if words in text:
                with naming(self._directory, "sorting in"):
                    raise OSError(number, text)
        how = (
            f"killed by {signal_name(status)}" if status and status < 0 else f"exit status {status}"
        )
        raise DataError(f"the program `sort` failed: {how}; it said: {text or 'nothing'}")

    @cached_property
    def _exit_status(self) -> int | None:
        """Wait until the program has ended; None when its supervisor is gone with it."""
        supervisor = self._supervisor
        try:
            while supervisor.exit_status is None and supervisor.start_errno is None:
                is_readable(supervisor.status_fd)
                supervisor.read_status()
        except WorkerCrashed:
            return None
        if supervisor.start_errno is not None:
            raise JobError(
                f"the program `sort` cannot be started: {os.strerror(supervisor.start_errno)}"
            )
        return supervisor.exit_status
