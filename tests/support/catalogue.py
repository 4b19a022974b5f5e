"""The workers of `tests/workers`, as data: what each one does wrong, and what a driver must say
about it.

A worker is one small program; its first comment line says its fault.
`tests/driver/test_failures.py` walks this table for map and for reduce; a new way of failing is a
new program and a new row.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parents[1] / "workers"
IDENTITY = "identity.c"
SAME = "as for map"


class Worker(NamedTuple):
    """One worker and the verdict on it.

    source      str, its file in this directory (identity.c: in kvproto/examples)
    map         str or None, name of the error class that a map must end with; None: success
    map_says    tuple of str, what that error's report must contain
    reduce      str or None, the same for a reduce
    reduce_says tuple of str
    files       tuple of str, supporting files of this directory
    messages    tuple of (kind, text), messages that must have come, whatever the verdict
    """

    source: str
    map: str | None = None
    map_says: tuple[str, ...] = ()
    reduce: str | None = SAME
    reduce_says: tuple[str, ...] | str = SAME
    files: tuple[str, ...] = ("raw.py",)
    messages: tuple[tuple[str, bytes], ...] = ()

    def verdict(self, mode: str) -> tuple[str | None, tuple[str, ...]]:
        """The error class and what its report must contain, for "map" or "reduce"."""
        if mode == "map":
            return self.map, self.map_says
        error = self.map if self.reduce == SAME else self.reduce
        return error, self.map_says if self.reduce_says == SAME else self.reduce_says


GOOD = (
    Worker(IDENTITY, files=()),
    Worker("echo.py", files=()),
    Worker("echo.pl", files=()),
    Worker("starts_another.sh", files=("echo.py",)),
    Worker("flush_each_write.c", files=()),
    Worker("fails_at.c", files=()),
    Worker("answers_late.py"),
    Worker("floods_tagged.py", messages=(("MSG", b"x" * 991),)),
    Worker("floods_untagged.py", messages=(("", b"y" * 65536),)),
    Worker("stderr_not_utf8.py", messages=(("MSG", b"caf\xe9 \xff"),)),
    Worker("stderr_unended.py", messages=(("", b"no newline here"),)),
    Worker("leaves_daemon.py"),
)

DOES_NOT_START = (
    Worker("no_interpreter.sh", "WorkerNotStarted", ("/no/such/interpreter",), files=()),
    Worker("not_a_program.txt", "WorkerNotStarted", ("#!",), files=()),
    Worker("empty", "WorkerNotStarted", ("empty",), files=()),
)

EXITS = (
    Worker("exits_at_once.sh", "WorkerExitedEarly", ("exit status 0",), files=()),
    Worker(
        "exits_after_first.py",
        "WorkerExitedEarly",
        ("exit status 0", "number 1"),
        reduce_says=("exit status 0",),
    ),
    Worker(
        "exits_at_one_percent.py",
        "WorkerExitedEarly",
        ("exit status 0", "number 10"),
        reduce_says=("exit status 0",),
    ),
    Worker(
        "exits_1_early.py",
        "WorkerExitedEarly",
        ("exit status 1", "number 1"),
        reduce_says=("exit status 1",),
    ),
    Worker("exits_3_at_the_end.py", "WorkerFailed", ("exit status 3",)),
    Worker("swallows_input.py", "WorkerExitedEarly", ("exit status 0", "number 0"), reduce=None),
    Worker(
        "misses_last_list.py", "WorkerExitedEarly", ("exit status 0", "number 999"), reduce=None
    ),
    Worker("segfaults.c", "WorkerCrashed", ("SIGSEGV",), files=()),
    Worker("aborts.py", "WorkerCrashed", ("SIGABRT",)),
    Worker(
        "reports_error.py",
        "WorkerReported",
        ("the lexicon is from 1913",),
        messages=(("ERR", b"the lexicon is from 1913"),),
    ),
)

BAD_OUTPUT = (
    Worker("prints_first.sh", "WorkerWroteText", ("starting",), files=("echo.py",)),
    Worker("prints_between.py", "WorkerWroteText", ("done with pair 0",)),
    Worker("prints_last.py", "WorkerWroteText", ("all done",)),
    Worker("list_short_goes_on.py", "WorkerOutputError"),
    Worker("list_short_ends.py", "WorkerOutputError", ("1 of its 2 pairs",)),
    Worker("list_long.py", "WorkerOutputError"),
    Worker("count_huge.py", "WorkerOutputError", ("1 of its 4294967295 pairs",)),
    Worker("item_huge.py", "WorkerOutputError", ("key size at byte 4 ", "4294967295 bytes")),
    Worker("item_cut.py", "WorkerOutputError", ("inside the value",)),
    Worker("extra_list.py", "WorkerOutputError", ("1000",), reduce=None),
)

TAKES_FOR_EVER = (
    Worker("never_reads.sh", "WorkerHung", ("number 0",), reduce_says=(), files=()),
    Worker("hangs_midway.py", "WorkerHung", ("number 1",), reduce_says=()),
    Worker("hangs_at_the_end.py", "WorkerHung", ("grace",), reduce_says=("idle",)),
    Worker("ignores_sigterm.py", "WorkerHung", ("number 1",), reduce_says=()),
    Worker("stops_itself.py", "WorkerHung", ("number 1",), reduce_says=()),
    Worker("closes_stdin.py", "WorkerHung", ("number 1",), reduce_says=()),
    Worker("closes_stdout.py", "WorkerClosedStdout"),
    Worker("closes_stdout_early.py", "WorkerClosedStdout"),
    Worker("leaves_child.py", "WorkerLeftChild"),
)

WORKERS = GOOD + DOES_NOT_START + EXITS + BAD_OUTPUT + TAKES_FOR_EVER


def find(source: str) -> Worker:
    """The row of a worker."""
    return next(worker for worker in WORKERS if worker.source == source)


def program(source: str, directory: Path) -> Path:
    """The path of a worker that can be executed: the script itself, or the C program built into
    `directory`.
    """
    path = HERE / source
    if source == IDENTITY:
        path = HERE.parent.parent / "kvproto" / "examples" / source
    if path.suffix != ".c":
        return path
    return compile_worker(path, Path(directory) / path.stem)


def compile_worker(source: Path, target: Path) -> Path:
    """Build a C worker as a user does, with the flags that `kvproto config` prints; built already,
    it stays.
    """
    if not target.exists():
        flags = subprocess.run(
            [sys.executable, "-m", "kvproto", "config", "--cflags", "--libs"],
            check=True,
            capture_output=True,
            text=True,
            cwd="/",
        ).stdout.split()
        building = target.with_name(f"{target.name}.{os.getpid()}")
        subprocess.run(
            [os.environ.get("CC", "cc"), "-O2", str(source), *flags, "-o", str(building)],
            check=True,
        )
        building.rename(target)
    return target


def with_interpreter(script: bytes) -> bytes:
    """A Python script that is started by the Python of these tests, at once: most of what a short
    run takes is its start.
    """
    first, _, rest = script.partition(b"\n")
    return (
        b"#!%b -SE\n%b" % (os.path.realpath(sys.executable).encode(), rest)
        if first.endswith(b"python3")
        else script
    )


def files(worker: Worker, directory: Path) -> list[Path]:
    """What `ExternalProgram` wants for a worker: the program, then its supporting files."""
    return [program(worker.source, directory), *(HERE / name for name in worker.files)]
