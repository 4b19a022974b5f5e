"""Plays a case to an adapter, and records what the adapter and the worker do.

Each wait ends with the event that it waits for, with a proof that it never comes, or with the
watchdog. The adapter runs under a supervisor, so that no process of a bad driver is left.
"""

from __future__ import annotations

import ast
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kvproto._stdio import ready_fds
from kvproto.conformance import quiet
from kvproto.conformance.drivers.case import DriverCase, Play
from kvproto.conformance.drivers.hostile import Hostile, program
from kvproto.conformance.pipes import Pipes
from kvproto.driver.process import SupervisedProcess
from kvproto.errors import KVProtoError, WorkerNotStarted

__all__ = ["MOST_MEMORY", "check_program", "ended_at_start", "play"]

MOST_MEMORY = 512 << 20
"""Bytes of memory that the adapter may use when a worker announces what it never sends."""

LONG = 10
"""Limits that a case is not about are LONG times the watchdog's, so that it comes first."""

ANSWER_BYTES = 256 << 20
"""Bytes kept of the adapter's stdout; no answer is longer."""

STDERR_BYTES = 1 << 16
"""Bytes kept of the end of the adapter's stderr."""

_START = b'#!/bin/sh\ncd "$1" && shift && exec "$@"\n'
_LOOK_MS = 20


def play(
    case: DriverCase,
    mode: str,
    adapter: list[str],
    timeout: float,
    is_stopped: Callable[[], bool] = bool,
) -> Play:
    """Play a case in one mode.

    timeout     seconds for the adapter to end, and again for its processes to end
    is_stopped  called repeatedly; once it returns True the play ends as "stopped"

    Raises WorkerNotStarted when the adapter cannot be started, and OSError.
    """
    check_program(adapter)
    folder = Path(tempfile.mkdtemp(prefix="kvproto-check-"))
    try:
        with _Run(case, mode, folder, timeout, is_stopped) as run:
            return run.play(adapter)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_program(adapter: list[str]) -> None:
    """Raise WorkerNotStarted for an adapter that is not a program."""
    if shutil.which(adapter[0]) is None:
        advice = "give the path of an executable program, or the name of one that is in PATH"
        raise WorkerNotStarted("there is no such program", argv=adapter, advice=advice)


class _Run:
    """One play; a context manager that leaves no process and no descriptor."""

    def __init__(
        self,
        case: DriverCase,
        mode: str,
        folder: Path,
        timeout: float,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._case, self._folder = case, folder
        self._timeout, self._is_stopped = timeout, is_stopped
        self._facts = Play(case.request(mode), folder=str(folder), limit=timeout)
        self._process: SupervisedProcess | None = None
        self._notes_text = b""
        os.mkfifo(folder / "notes")
        self._notes = os.open(folder / "notes", os.O_RDONLY | os.O_NONBLOCK)

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process is not None:
            self._process.close()
        os.close(self._notes)

    def play(self, adapter: list[str]) -> Play:
        facts = self._facts
        facts.document = facts.request.to_json(
            self._folder / "program", self._lay_out(), LONG * self._timeout
        )
        (self._folder / "tmp").mkdir()
        environment = {**os.environ, "TMPDIR": str(self._folder / "tmp")}
        with quiet.STARTING:
            self._process = process = SupervisedProcess(
                {"op": _START}, [os.getcwd(), *adapter], environment=environment
            )
        self._converse(process)
        facts.exit_status = process.exit_status
        if facts.ending == "exited" and facts.notes and self._case.leaves_nothing:
            facts.is_family_gone = self._wait_until(self._is_family_gone)
            if not self._case.kill:  # nobody may be left to remove it
                facts.is_directory_gone = self._wait_until(self._is_directory_gone)
        facts.stdin = (self._folder / "stdin").read_bytes()
        return facts

    def _lay_out(self) -> list[tuple[str, Path]]:
        """Write the worker and its supporting files; return the names and paths of these."""
        (self._folder / "stdin").touch()
        self._write(self._folder / "program", self._case.worker)
        written = []
        for n, (name, content) in enumerate(self._case.files):
            is_plain = name not in ("", ".", "..") and not set(name) & set("/\0")
            path = self._folder / "files" / str(n) / (name if is_plain else "file")
            path.parent.mkdir(parents=True)
            self._write(path, content)
            written.append((name, path))
        return written

    def _write(self, path: Path, content: bytes | Hostile) -> None:
        request = self._facts.request
        if isinstance(content, Hostile):
            n_params = None if request.has_set else len(request.param_bytes)
            content = program(
                content,
                self._folder / "notes",
                self._folder / "stdin",
                n_params,
                len(request.entries),
            )
        path.write_bytes(content)
        path.chmod(0o755)
        self._facts.files[str(path.relative_to(self._folder))] = content

    def _converse(self, process: SupervisedProcess) -> None:
        """Give the adapter its request and read its output until it has exited or is given up."""
        facts = self._facts

        def take(fd: int, data: bytes) -> None:
            if fd == self._notes:
                *lines, self._notes_text = (self._notes_text + data).split(b"\n")
                facts.notes += [ast.literal_eval(line.decode()) for line in lines]
            elif fd == process.stderr:
                facts.stderr = (facts.stderr + data)[-STDERR_BYTES:]
            else:
                facts.answer += data[: ANSWER_BYTES - len(facts.answer)]

        pipes = Pipes(process, take, self._notes)
        pipes.queue = memoryview(facts.document.encode())
        is_killed = False
        end = time.monotonic() + self._timeout
        while process.exit_status is None:
            has_moved = pipes.move(_LOOK_MS)
            if not pipes.is_supervised:
                return
            if not pipes.queue:
                process.close_stdin()
            self._look_at_adapter(process.pid)
            if self._case.kill and not is_killed and facts.noted("is_done") and process.pid:
                os.kill(process.pid, self._case.kill)
                is_killed = True
            is_proved = not has_moved and pipes.is_quiet(quiet.proof)
            if ending := "stuck" if is_proved else self._ending(end):
                facts.ending = ending
                return
        pipes.drain()

    def _ending(self, end: float) -> str:
        """Say why the adapter is given up; "" if it is not."""
        if self._is_stopped():
            return "stopped"
        if self._case.is_frugal and self._facts.peak > MOST_MEMORY:
            return "memory"
        return "watchdog" if time.monotonic() > end else ""

    def _look_at_adapter(self, pid: int | None) -> None:
        """Record its process group, and the memory that it has used."""
        if pid is None:
            return
        with suppress(ProcessLookupError):
            self._facts.group = os.getpgid(pid)
        self._facts.peak = max(self._facts.peak, quiet.peak(pid))

    def _wait_until(self, is_so: Callable[[], bool]) -> bool:
        """Call `is_so`, which waits for a moment, until it returns True or time is up."""
        end = time.monotonic() + self._timeout
        while not is_so():
            if time.monotonic() > end or self._is_stopped():
                return False
        return True

    def _is_family_gone(self) -> bool:
        return bool(ready_fds(left=[self._notes], seconds=_LOOK_MS / 1000))

    def _is_directory_gone(self) -> bool:
        if not os.path.exists(self._facts.noted("directory")):
            return True
        time.sleep(_LOOK_MS / 1000)  # nothing that can be waited for becomes ready when it goes
        return False


def ended_at_start(facts: Play) -> KVProtoError | None:
    """Return the error for an adapter that the shell could not execute (126 or 127)."""
    if facts.exit_status not in (126, 127) or facts.answer:
        return None
    return WorkerNotStarted(
        facts.stderr.decode("utf-8", "replace").strip() or "it cannot be executed"
    )
