"""Plays a case to an adapter: starts it, gives it the request, and writes down what it and the worker did.

Promises: facts, no verdict; a wait is over when what is waited for has come, and else when the
watchdog's time is up. The adapter runs under a supervisor, so that nothing is left here of a
driver that leaves things behind.
"""

from __future__ import annotations

import ast
import os
import select
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kvproto.conformance.drivers.case import DriverCase, Play
from kvproto.conformance.drivers.hostile import Hostile, program
from kvproto.driver.process import SupervisedProcess
from kvproto.errors import KVProtoError, WorkerCrashed, WorkerNotStarted

__all__ = ["MOST_MEMORY", "check_program", "ended_at_start", "play"]

MOST_MEMORY = 512 << 20
"""Bytes of memory that the adapter may have in use where a worker announces what it never sends."""

LONG = 10
"""Limits that no case is about are so many times the watchdog's time: a driver that waits for them trips it."""

ANSWER_BYTES = 256 << 20
"""What is kept of the adapter's stdout; no answer is longer."""

STDERR_BYTES = 1 << 16
"""What is kept of the adapter's stderr, its end."""

_START = b'#!/bin/sh\ncd "$1" && shift && exec "$@"\n'
_PIECE = 1 << 20
_LOOK_MS = 20
_STEP_SECONDS = 0.01


def play(
    case: DriverCase,
    mode: str,
    adapter: list[str],
    timeout: float,
    is_stopped: Callable[[], bool] = bool,
) -> Play:
    """Play a case.

    timeout     seconds, the watchdog's: for the adapter to come to its end, and then once more for what is left behind
    is_stopped  asked again and again; once it is true, nobody wants the result any more

    Raises WorkerNotStarted when the adapter cannot be started, OSError where the kit's folder cannot be written.
    """
    check_program(adapter)
    folder = Path(tempfile.mkdtemp(prefix="kvproto-check-"))
    try:
        with _Run(case, mode, folder, timeout, is_stopped) as run:
            return run.play(adapter)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_program(adapter: list[str]) -> None:
    """Raise WorkerNotStarted for an adapter that is no program."""
    if shutil.which(adapter[0]) is None:
        advice = "give the path of an executable program, or the name of one that is in PATH"
        raise WorkerNotStarted("there is no such program", argv=adapter, advice=advice)


class _Run:
    """One play. A context manager: nothing runs afterwards, and no descriptor is open."""

    def __init__(
        self,
        case: DriverCase,
        mode: str,
        folder: Path,
        timeout: float,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._case, self._folder, self._timeout, self._is_stopped = (
            case,
            folder,
            timeout,
            is_stopped,
        )
        self._facts = Play(case.request(mode), folder=str(folder), limit=timeout)
        self._process: SupervisedProcess | None = None
        self._notes_text = b""
        os.mkfifo(folder / "notes")
        self._notes = os.open(folder / "notes", os.O_RDONLY | os.O_NONBLOCK)
        self._files = self._lay_out()

    def __enter__(self) -> _Run:
        return self

    def __exit__(self, *exception) -> None:
        if self._process is not None:
            self._process.close()
        os.close(self._notes)

    def play(self, adapter: list[str]) -> Play:
        facts = self._facts
        facts.document = facts.request.to_json(
            self._folder / "program", self._files, LONG * self._timeout
        )
        (self._folder / "tmp").mkdir()
        environment = {**os.environ, "TMPDIR": str(self._folder / "tmp")}
        self._process = SupervisedProcess(
            {"op": _START}, [os.getcwd(), *adapter], environment=environment
        )
        self._converse()
        facts.exit_status = self._process.exit_status
        if facts.ending == "exited" and facts.notes and self._case.leaves_nothing:
            facts.is_family_gone = self._wait_until(self._has_hung_up)
            if not self._case.kill:  # nobody may be left to remove it
                facts.is_directory_gone = self._wait_until(
                    lambda: not os.path.exists(facts.noted("directory"))
                )
        facts.stdin = (self._folder / "stdin").read_bytes()
        return facts

    def _lay_out(self) -> list[tuple[str, Path]]:
        """Write the worker and its supporting files; their names and paths."""
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

    def _converse(self) -> None:
        """Give the adapter its request and take what it says, until it has exited or is given up."""
        facts, process = self._facts, self._process
        queue = memoryview(facts.document.encode())
        is_killed = False
        end = time.monotonic() + self._timeout
        open_fds = {process.stdout, process.stderr, self._notes}
        while process.exit_status is None:
            ready = self._poll({*open_fds, process.status_fd}, {process.stdin} if queue else set())
            if process.stdin in ready:
                queue = queue[_written(process.stdin, queue) :]
                if not queue:
                    process.close_stdin()
            open_fds -= {fd for fd in open_fds & ready if not self._read(fd)}
            if process.status_fd in ready:
                try:
                    process.read_status()
                except WorkerCrashed:  # with its supervisor
                    return
            self._look_at_adapter()
            if self._case.kill and not is_killed and facts.noted("is_done"):
                os.kill(process.pid, self._case.kill)
                is_killed = True
            if (
                self._is_stopped()
                or time.monotonic() > end
                or (self._case.is_frugal and facts.peak > MOST_MEMORY)
            ):
                facts.ending = (
                    "stopped"
                    if self._is_stopped()
                    else "memory"
                    if facts.peak > MOST_MEMORY
                    else "watchdog"
                )
                return
        for fd in open_fds:
            while self._read(fd):
                pass

    def _poll(self, readable: set[int], writable: set[int]) -> set[int]:
        poll = select.poll()
        for fd in readable:
            poll.register(fd, select.POLLIN)
        for fd in writable:
            poll.register(fd, select.POLLOUT)
        return {fd for fd, _ in poll.poll(_LOOK_MS)}

    def _read(self, fd: int) -> bool:
        """Take what is there; False at end of file, and where nothing is there now."""
        try:
            data = os.read(fd, _PIECE)
        except BlockingIOError:
            return False
        facts = self._facts
        if fd == self._notes:
            *lines, self._notes_text = (self._notes_text + data).split(b"\n")
            facts.notes += [ast.literal_eval(line.decode()) for line in lines]
        elif fd == self._process.stderr:
            facts.stderr = (facts.stderr + data)[-STDERR_BYTES:]
        else:
            facts.answer += data[: ANSWER_BYTES - len(facts.answer)]
        return bool(data)

    def _look_at_adapter(self) -> None:
        """Its process group, and how much memory it has had in use."""
        pid = self._process.pid
        with suppress(OSError, ProcessLookupError):
            self._facts.group = os.getpgid(pid) if pid else 0
            with open(
                f"/proc/{pid}/status", encoding="ascii", errors="replace", newline="\n"
            ) as file:
                high = next((line.split()[1] for line in file if line.startswith("VmHWM:")), "0")
            self._facts.peak = max(self._facts.peak, 1024 * int(high))

    def _has_hung_up(self) -> bool:
        poll = select.poll()
        poll.register(self._notes, 0)
        return any(event & select.POLLHUP for _, event in poll.poll(0))

    def _wait_until(self, is_so: Callable[[], bool]) -> bool:
        end = time.monotonic() + self._timeout
        while not is_so():
            if time.monotonic() > end or self._is_stopped():
                return False
            time.sleep(_STEP_SECONDS)
        return True


def _written(fd: int, data: memoryview) -> int:
    """How much of it could be written; all, where nobody reads."""
    try:
        return os.write(fd, data[:_PIECE])
    except BrokenPipeError:
        return len(data)


def ended_at_start(facts: Play) -> KVProtoError | None:
    """The error for an adapter that could not be executed, which the shell says with 126 or 127."""
    if facts.exit_status not in (126, 127) or facts.answer:
        return None
    return WorkerNotStarted(
        facts.stderr.decode("utf-8", "replace").strip() or "it cannot be executed"
    )
