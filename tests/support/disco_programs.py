"""The C test programs: how they are built, run and talked to. Real compilers, real processes, real
pipes.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.shared import one_at_a_time, shared_directory

HERE = Path(__file__).parents[1] / "libdisco"
ROOT = HERE.parent.parent
LIBRARY = [
    ROOT / "csrc/libdisco" / f"{name}.c"
    for name in (
        "messages",
        "params",
        "wire",
        "classic",
        "entry",
        "report",
        "stream",
        "stream_params",
    )
]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-pedantic"]
C11 = ["-std=c11", *WARNINGS, "-fvisibility=hidden", "-g", "-O1", f"-I{ROOT / 'include'}"]
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
WRAPPED = [
    "-Wl,"
    + ",".join(f"--wrap={name}" for name in ("malloc", "realloc", "calloc", "write", "_exit"))
]
GLIBC = ("-DDISCO_STDIO_GLIBC",)
KINDS = {
    "plain": {"flags": GLIBC},
    "sanitized": {"flags": (*GLIBC, *SANITIZE)},
    "musl": {"compiler": "musl-gcc", "flags": ("-static", "-DDISCO_STDIO_MUSL")},
    "portable": {"flags": SANITIZE},
    "threads": {"flags": (*GLIBC, "-fsanitize=thread")},
    "powerpc": {
        "compiler": "powerpc-linux-gnu-gcc",
        "flags": ("-static", *GLIBC),
        "runner": ("qemu-ppc",),
    },
}
"""Ways to build. powerpc is big-endian with 32-bit addresses; portable knows nothing of stdio's
buffers.
"""

PATIENCE = 60  # seconds until a process that hangs fails its test; no test measures time


def compile_or_fail(command: list) -> str:
    """Run a compiler; returns what it printed, or fails with that."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@dataclass
class Build:
    """One way of building: a compiler, its flags, what runs the result, and where it lies."""

    directory: Path
    compiler: str = "gcc"
    flags: tuple = ()
    runner: tuple = ()

    @classmethod
    def plain(cls, tmp_path_factory) -> Build:
        """The build that most tests run; the one that tests/libdisco/line_coverage.py measures."""
        measured = os.environ.get("DISCO_COVERAGE")
        if measured:
            return cls(Path(measured), flags=(*GLIBC, "--coverage", "-O0", "-Wl,-u,__gcov_dump"))
        return cls.named(tmp_path_factory, "plain", **KINDS["plain"])

    @classmethod
    def of_kind(cls, kind: str, tmp_path_factory) -> Build:
        """A build of one of KINDS; skips the test where its compiler is missing."""
        how = KINDS[kind]
        if not have(how.get("compiler", "gcc"), *how.get("runner", ())):
            pytest.skip(f"not installed: {how['compiler']}")
        return (
            cls.plain(tmp_path_factory)
            if kind == "plain"
            else cls.named(tmp_path_factory, kind, **how)
        )

    @classmethod
    def named(cls, tmp_path_factory, name: str, **how) -> Build:
        """A build in a directory that all tests of the run share."""
        return cls(shared_directory(tmp_path_factory, f"libdisco-{name}"), **how)

    def library(self) -> Path:
        """libdisco.a, compiled without a warning."""
        with one_at_a_time(self.directory):
            return self._library()

    def _library(self) -> Path:
        archive = self.directory / "libdisco.a"
        if not archive.exists():
            objects = []
            for source in LIBRARY:
                objects.append(self.directory / f"{source.stem}.o")
                printed = compile_or_fail(
                    [self.compiler, *C11, *self.flags, "-c", source, "-o", objects[-1]]
                )
                assert printed == "", printed
            compile_or_fail(["ar", "rcs", archive, *objects])
        return archive

    def program(self, name: str, *more: str) -> list[str]:
        """The command that runs tests/libdisco/<name>.c, with the faults of faults.c linked in."""
        with one_at_a_time(self.directory):
            return [*self.runner, str(self._program(name, *more))]

    def _program(self, name: str, *more: str) -> Path:
        binary = self.directory / name
        if not binary.exists():
            sources = [HERE / f"{name}.c", HERE / "faults.c"]
            printed = compile_or_fail(
                [
                    self.compiler,
                    *C11,
                    *self.flags,
                    *sources,
                    self._library(),
                    *WRAPPED,
                    *more,
                    "-o",
                    binary,
                ]
            )
            assert printed == "", printed
        return binary


@dataclass
class Result:
    """How a process ended: status (-N: by signal N), stdout and stderr, bytes."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def errors(self) -> list[str]:
        """The text of its ERR lines."""
        return [
            line[8:] for line in self.stderr.decode().splitlines() if line.startswith("**<ERR> ")
        ]

    @property
    def messages(self) -> list[str]:
        """The text of its MSG lines."""
        return [
            line[8:] for line in self.stderr.decode().splitlines() if line.startswith("**<MSG> ")
        ]


def run(
    command: list[str], *arguments: str, stdin=b"", faults: dict | None = None, **options
) -> Result:
    """Run a program to its end on the bytes, or the open file, of stdin; faults are faults.c's
    environment.
    """
    environment = dict(os.environ, **{name: str(value) for name, value in (faults or {}).items()})
    options.setdefault("stdout", subprocess.PIPE)
    options["input" if isinstance(stdin, bytes) else "stdin"] = stdin
    done = subprocess.run(
        [*command, *arguments],
        stderr=subprocess.PIPE,
        env=environment,
        timeout=PATIENCE,
        check=False,
        **options,
    )
    return Result(done.returncode, done.stdout or b"", done.stderr)


class Talk:
    """A running program that is fed by hand. `receive` fails, instead of hanging, when nothing
    comes.
    """

    def __init__(self, command: list[str], *arguments: str, **streams: int) -> None:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen([*command, *arguments], bufsize=0, **(pipes | streams))

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *exception) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()

    def send(self, data: bytes) -> None:
        """Write all of data to its stdin."""
        while data:
            data = data[os.write(self.process.stdin.fileno(), data) :]

    def receive(self, n_bytes: int, source: int | None = None) -> bytes:
        """Read exactly so many bytes of its stdout, or what is there before the end of it."""
        descriptor = self.process.stdout.fileno() if source is None else source
        data = b""
        while len(data) < n_bytes:
            ready, _, _ = select.select([descriptor], [], [], PATIENCE)
            assert ready, (
                f"it waits for more input and has not answered; {len(data)} of {n_bytes} bytes came"
            )
            piece = os.read(descriptor, n_bytes - len(data))
            if not piece:
                break
            data += piece
        return data

    def wait_until_it_sleeps(self) -> None:
        """Return when the process is blocked in a system call; fail when it has ended."""
        state = ""
        while state != "S":
            state = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
            assert state != "Z", f"it has ended: {self.end()}"
            os.sched_yield()

    def end(self) -> Result:
        """Close its stdin and let it finish."""
        stdout, stderr = self.process.communicate(timeout=PATIENCE)
        return Result(self.process.returncode, stdout or b"", stderr or b"")


def have(*programs: str) -> bool:
    """Are these programs installed?"""
    return all(shutil.which(program) for program in programs)
