"""What `kvproto map` and `kvproto reduce` keep of a run that fails: `--keep-failed`."""

from __future__ import annotations

import argparse
import os
import shlex
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from kvproto.cli.shared import worker_params
from kvproto.driver.files import external
from kvproto.driver.repro import Repro, naming_file
from kvproto.driver.shortest import Pairs
from kvproto.driver.signals import deferred
from kvproto.errors import WorkerError
from kvproto.protocol.params import encode_params

__all__ = ["Keeper", "how_to_keep", "keeping"]


class Keeper:
    """Writes what a worker reads to stdin.bin, while it is read.

    Parameters
    ----------
    repro : Repro
        Has begun.
    params : bytes
        What the worker reads first.
    """

    def __init__(self, repro: Repro, params: bytes) -> None:
        self._repro, self._n_params = repro, len(params)
        self._file = open(repro.stdin, "xb", buffering=0)  # noqa: SIM115
        self._write(memoryview(params))
        self._lock = threading.Lock()  # another thread reads

    def tee(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield pieces of frames, which are written first. OSError that names the file."""
        for piece in pieces:
            with self._lock:
                if self._file.closed:
                    return
                self._write(memoryview(piece))
            yield piece

    def _write(self, left: memoryview) -> None:
        with naming_file(self._repro.stdin):
            while left:
                left = left[self._file.write(left) :]

    def close(self) -> None:
        """Close the file."""
        with deferred(), self._lock:
            self._file.close()

    def cut(self) -> None:
        """Let the file end after a whole pair."""
        with open(self._repro.stdin, "r+b") as file:
            pairs = Pairs(file.fileno(), self._n_params)
            file.truncate(self._n_params + pairs.n_bytes)


@contextmanager
def keeping(args: argparse.Namespace) -> Iterator[Keeper]:
    """Keep the files and the input of a run that fails in the body, and say how to run it again.

    If it does not fail, nothing is kept.
    """
    path, *arguments = args.worker
    files = external([path, *args.files])
    repro = Repro(args.keep_failed, files, [*arguments, args.mode])
    repro.begin()
    with repro.remove_on_error():
        keeper = Keeper(repro, encode_params(worker_params(args)))
    try:
        yield keeper
    except WorkerError as e:
        keeper.close()
        keeper.cut()
        repro.finish(f"{_command(args.words)}\n{e.what}")
        e.add_note(f"to run it again: sh {shlex.quote(repro.script)}")
        raise
    except BaseException:
        keeper.close()
        repro.remove()
        raise
    keeper.close()
    repro.remove()


def how_to_keep(words: Sequence[str]) -> str:
    """Return the note of an error that says which command keeps the run that failed.

    `words` are those of the command that failed, without "kvproto".
    """
    mode, *others = words
    command = _command([mode, "--keep-failed", _free_name(), *others])
    what = "to keep its input, and a script that runs it again"
    try:
        is_file = stat.S_ISREG(os.fstat(0).st_mode)
        source = os.readlink("/proc/self/fd/0") if is_file else ""
    except OSError:
        source = ""
    if os.path.exists(source):
        return f"{what}: {command} <{shlex.quote(source)}"
    return f"{what}, send the same input to: {command}"


def _command(words: Iterable[str]) -> str:
    return shlex.join(["kvproto", *words])


def _free_name() -> str:
    number = 1
    while os.path.lexists(name := f"failed-{number}"):
        number += 1
    return name
