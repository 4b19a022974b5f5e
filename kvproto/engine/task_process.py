"""A task process, as the driver sees it: start it, send it calls, read its messages, end it.

It is forked by the prepared process (`kvproto.engine.prepared`), or executed if that is not
possible. Its supervisor kills it and all its descendants when this side closes the connection, and
also when the driver is killed. The other side of the connection is `kvproto.engine.task_main`.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import IO, Any, TypeAlias

from kvproto._stdio import ready_fds
from kvproto._text import signal_name
from kvproto.driver.supervisor import Supervision, Supervisor
from kvproto.engine import prepared
from kvproto.engine.connection import Connection
from kvproto.errors import WorkerCrashed
from kvproto.storage.atomic import private
from kvproto.storage.home import home, in_home

__all__ = ["TaskProcess"]

_BOOT = (
    "import sys; sys.path[:] = {path!r}; from kvproto.engine.task_main import main; "
    "sys.path[:0] = {first!r}; main({fd})"
)
_LOG_TAIL = 4000  # bytes at the end of the log of a dead process, for its report
_REPORT_SECONDS = 1.0  # for which a supervisor may take to report how its process ended

_Start: TypeAlias = Callable[[str, int, dict[str, str]], Supervision | None]


class TaskProcess:
    """A process that runs tasks.

    Parameters
    ----------
    log : str
        The file for its stdout and stderr.
    tmp_directory : str
        The directory in which it has its TMPDIR, which is removed with it.
    files_directory : str or None
        Its working directory, where it looks first for modules and shared libraries. None: that of
        this process.
    environment : mapping of str to str
        Variables that it gets besides those of this process.
    path : sequence of str
        Where it looks for modules before the `sys.path` of this process.

    Attributes
    ----------
    connection : Connection
        `receive` reads it.
    status_fd : int
        Readable when the process may have ended.
    n_calls : int
        How many calls were sent to it.
    """

    def __init__(
        self,
        log: str,
        tmp_directory: str,
        files_directory: str | None,
        *,
        environment: Mapping[str, str] = MappingProxyType({}),
        path: Sequence[str] = (),
    ) -> None:
        self.n_calls = 0
        self._stage: object = None
        self._log = log
        self._is_lost = False
        self._pidfd: int | None = None
        own_path = [*path, *sys.path]
        with in_home(log):
            output = open(log, "ab", opener=private)  # noqa: SIM115

        def fork(own: str, fd: int, variables: dict[str, str]) -> Supervision | None:
            return prepared.fork(own, output.fileno(), fd, own_path, variables)

        def execute(own: str, fd: int, variables: dict[str, str]) -> Supervision:
            return _execute(own, output, fd, own_path, variables, files_directory)

        with output:
            # The C library reads LD_LIBRARY_PATH when a program is executed.
            if files_directory is not None or not self._start(fork, tmp_directory, environment):
                self._start(execute, tmp_directory, environment)

    def _start(self, start: _Start, tmp_directory: str, environment: Mapping[str, str]) -> bool:
        """Start the process by `start`; return whether there is one."""
        with in_home(self._log):
            own = tempfile.mkdtemp(prefix="task-", dir=tmp_directory)
            os.chmod(own, 0o700)  # whatever the umask
        variables = {**os.environ, "KVPROTO_HOME": home(), **environment, "TMPDIR": own}
        ours, theirs = Connection.pair()
        with theirs:
            supervisor = start(own, theirs.fileno(), {**variables, **prepared.ENVIRONMENT})
        if supervisor is None:
            ours.close()
            with suppress(OSError):  # the supervisor of a fork that was lost has removed it
                os.rmdir(own)
            return False
        self.connection, self._supervisor = ours, supervisor
        self.status_fd = supervisor.status_fd
        return True

    def send(self, stage_data: bytes, stage: object, index: int, attempt: int, call: bytes) -> None:
        """Send an attempt of a call, after the data of a new stage. OSError if it has ended."""
        if self._has_ended(self._ready()):
            raise BrokenPipeError
        if self._stage is not stage:
            self.connection.send(stage_data)
            self._stage = stage
        self.connection.send(pickle.dumps(("call", index, attempt, call)))
        self.n_calls += 1

    def receive(self) -> tuple[Any, ...] | None:
        """Return the next message, or None if there is none yet.

        After the last message it raises EOFError or OSError.

        A process that a task forked may keep the socket open forever. So when the task process has
        ended, this side shuts the socket down: it can then be read up to the end of file.
        """
        ready = self._ready()
        if self._has_ended(ready):
            with socket.socket(fileno=os.dup(self.connection.fileno())) as ours:
                ours.shutdown(socket.SHUT_RD)
        elif self.connection.fileno() not in ready:
            return None
        message: tuple[Any, ...] = pickle.loads(self.connection.receive())
        return message

    @property
    def pid(self) -> int:
        """Its pid; 0 if it was not started."""
        return self._supervisor.pid or 0

    def _ready(self) -> set[int]:
        """Which of its descriptors are ready now."""
        pidfd = [] if self._pidfd is None else [self._pidfd]
        return ready_fds([self.connection.fileno(), self.status_fd, *pidfd], seconds=0)

    def _has_ended(self, ready: set[int]) -> bool:
        """Whether the process has ended, even if its supervisor has not reported it yet."""
        if self.status_fd in ready and self._is_reported():
            return True
        if self._pidfd is None and self._supervisor.pid is not None:
            # It stays a zombie until this side ends its supervisor: no other process has its pid.
            try:
                self._pidfd = os.pidfd_open(self._supervisor.pid)
            except ProcessLookupError:  # the supervisor was killed, and it with it
                return True
            ready = self._ready()
        return self._pidfd in ready

    def _is_reported(self) -> bool:
        """Whether its supervisor has reported how it ended, or is gone."""
        try:
            self._supervisor.read_status()
        except WorkerCrashed:
            self._is_lost = True
        return (
            self._is_lost
            or self._supervisor.exit_status is not None
            or self._supervisor.start_errno is not None
        )

    def kill(self) -> None:
        """End the process and all that its tasks have started, and wait for their end."""
        self._supervisor.close()
        self._close()

    def leave(self) -> None:
        """In a fork of the driver: close this fork's copy of the connection."""
        self._supervisor.forget()
        self._close()

    def _close(self) -> None:
        self.connection.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def reap(self) -> str:
        """End what is left of an ended process; return how it ended, with the end of its log."""
        deadline = time.monotonic() + _REPORT_SECONDS
        while not self._is_reported() and (left := deadline - time.monotonic()) > 0:
            ready_fds([self.status_fd], seconds=left)
        how = "closed its connection to the driver and was killed"
        if self._is_reported():
            how = self._how()
        how = f"the task process ({self._supervisor.pid or sys.executable}) {how}"
        self.kill()
        try:
            with open(self._log, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_TAIL))
                tail = file.read().decode("utf-8", "backslashreplace").strip()
        except OSError as e:
            tail = f"(log {self._log}: {e.strerror})"
        return f"{how}; the end of its log ({self._log}):\n{tail}" if tail else how

    def _how(self) -> str:
        supervisor = self._supervisor
        if supervisor.start_errno is not None:
            return f"could not be started: {os.strerror(supervisor.start_errno)}"
        if supervisor.exit_status is None:
            return "was killed together with its supervisor"
        if supervisor.exit_status >= 0:
            return f"ended with exit status {supervisor.exit_status}"
        is_kill = supervisor.exit_status == -signal.SIGKILL
        out_of_memory = ", as the kernel does when memory runs out" if is_kill else ""
        return f"was killed by {signal_name(supervisor.exit_status)}{out_of_memory}"


def _execute(
    own: str,
    output: IO[bytes],
    fd: int,
    path: list[str],
    variables: dict[str, str],
    files_directory: str | None,
) -> Supervision:
    first = []
    if files_directory is not None:
        path, first = _absolute(path), [files_directory]
        libraries = filter(None, (files_directory, os.environ.get("LD_LIBRARY_PATH")))
        variables = {**variables, "LD_LIBRARY_PATH": ":".join(libraries)}
    return Supervisor(
        own,
        # -P: Python's own first imports do not come from the working directory.
        [sys.executable, "-P", "-c", _BOOT.format(path=path, first=first, fd=fd)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=[fd],
        cwd=files_directory,
        environment=variables,
    )


def _absolute(path: list[str]) -> list[str]:
    """Make sys.path valid in any directory; entries for import hooks stay as they are."""
    return [
        os.path.abspath(entry) if not entry or os.path.exists(entry) else entry for entry in path
    ]
