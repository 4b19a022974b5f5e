"""A process under `supervise` (csrc/launch/supervise.c): nothing of it outlives this process.

`supervise` kills the program with all its descendants, and removes a directory, as soon as this
process ends it or dies. `end()` returns in bounded time, even if the program has stopped or killed
its supervisor. `remove_tree` is here too, since every process that kvproto starts
needs it. Implements LIFECYCLE-5.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Protocol

from kvproto._stdio import ready_fds
from kvproto.driver import proc
from kvproto.errors import KVProtoError, WorkerCrashed
from kvproto.protocol import native as _native

if TYPE_CHECKING:
    import subprocess

__all__ = ["MARK", "SUPERVISE", "Child", "Supervision", "Supervisor", "remove_tree"]

SUPERVISE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "bin", "supervise")
"""The path of the supervisor; csrc/launch/supervise.c describes its arguments."""

Stdio = int | IO[bytes] | None
"""What subprocess.Popen takes as stdin, stdout and stderr."""

MARK = "KVPROTO_SUPERVISED"
"""The environment variable of all processes under a supervisor: 32 characters."""

_CHECK_SECONDS = 0.05  # between checks of a supervisor that does not end
_STOPPED_SECONDS = 2.0  # for which a supervisor may be stopped before it is killed


class Child(Protocol):
    """A child of this process, as subprocess.Popen has it."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self) -> int: ...
    def kill(self) -> None: ...
    def send_signal(self, number: int, /) -> None: ...


class Supervision:
    """A process that runs under supervision.

    Parameters
    ----------
    directory : str
        A directory that is removed at the end.
    start : callable
        start(control_fd, status_fd, mark) -> Child, which will be the supervisor: it gets the two
        descriptors, and the process and all its descendants have `mark` as MARK.

    Attributes
    ----------
    status_fd : int
        A descriptor that is readable when there is something for `read_status`.
    pid : int or None
        The pid of the process, once it has started.
    start_errno : int or None
        Why the process could not be started.
    exit_status : int or None
        None while the process runs; then its exit status, or -N for signal N.
    cpu : float
        Once it has ended: its seconds of CPU, with the descendants that it waited for.
    memory : int
        Likewise the most bytes of memory that one of them had.

    Raises
    ------
    KVProtoError
        The supervisor was not built.
    """

    def __init__(self, directory: str, start: Callable[[int, int, str], Child]) -> None:
        if not os.path.exists(SUPERVISE):
            raise KVProtoError(
                f"{SUPERVISE} is missing: kvproto runs from a source tree that was not built; "
                "install it with `pip install .` or `make build`, "
                "and start Python in another directory"
            )
        self.pid: int | None = None
        self.start_errno: int | None = None
        self.exit_status: int | None = None
        self.cpu, self.memory = 0.0, 0
        self._directory = directory
        self._status_text = b""
        self._waiting = threading.Lock()
        mark = os.urandom(16).hex()
        self._mark = f"{MARK}={mark}".encode()
        self._control, control = socket.socketpair()
        self._status, status = socket.socketpair()
        try:
            self._child = start(control.fileno(), status.fileno(), mark)
        except BaseException:  # Ctrl-C too
            self._control.close()
            self._status.close()
            raise
        finally:
            control.close()
            status.close()
        self._status.setblocking(False)
        self.status_fd = self._status.fileno()

    @property
    def supervisor_pid(self) -> int:
        """The pid of the program's parent, which adopts the processes that the program leaves."""
        return self._child.pid

    def read_status(self) -> None:
        """Update pid, start_errno and exit_status.

        Raises WorkerCrashed when the supervisor was killed, and the program with it.
        """
        try:
            data = self._status.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data and self.exit_status is None and self.start_errno is None:
            raise WorkerCrashed(
                "its supervisor was killed, which killed the worker too",
                advice="a worker must not send signals to its parent; "
                "if this one did not, check whether the system ran out of memory",
            )
        self._status_text += data
        *lines, self._status_text = self._status_text.split(b"\n")
        for line in lines:
            word, number, *usage = line.split()
            if word == b"start":
                self.pid = int(number)
            elif word == b"error":
                self.start_errno = int(number)
            else:
                self.exit_status = os.waitstatus_to_exitcode(int(number))
                self.cpu, self.memory = int(usage[0]) / 1e6, int(usage[1]) << 10

    def end(self) -> None:
        """Kill the program and its descendants, and wait until they and the directory are gone.

        May be called again, and by another thread.
        """
        # A byte, since a fork of this process may hold this end too: then closing it is no end of
        # file for the supervisor.
        with suppress(OSError):  # the supervisor has ended, or this is the second call
            self._control.send(b"!")
        self._control.close()
        self._wait()

    def close(self) -> None:
        """End it, and close the connection to it."""
        self.end()
        self._status.close()

    def forget(self) -> None:
        """Close this fork's copies of the connection; the original process keeps the program."""
        self._child.returncode = 0  # not a child of this fork: do not wait for it
        self._control.close()
        self._status.close()

    def _wait(self) -> None:
        with self._waiting:  # two threads must not reap the same child
            if self._child.poll() is None:
                self._wait_for_end()
            if self._child.wait() != 0:  # it was killed before it had cleaned up
                self._clean_up()

    def _wait_for_end(self) -> None:
        stopped = 0.0
        try:
            watch = os.pidfd_open(self._child.pid)
        except ProcessLookupError:  # it has just ended, in a program that ignores SIGCHLD
            return
        try:
            while not ready_fds([watch], seconds=_CHECK_SECONDS):
                if stopped >= _STOPPED_SECONDS:
                    self._child.kill()
                elif proc.is_stopped(self._child.pid):
                    stopped += _CHECK_SECONDS
                    self._child.send_signal(signal.SIGCONT)
        finally:
            os.close(watch)

    def _clean_up(self) -> None:
        """Do the work of a killed supervisor. The kernel has killed the program with it."""
        deadline = time.monotonic() + _STOPPED_SECONDS
        while time.monotonic() < deadline and (left := _marked(self._mark)):
            for pidfd in left:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            for pidfd in left:
                ready_fds([pidfd], seconds=deadline - time.monotonic())
                os.close(pidfd)
        with suppress(OSError):  # callers check whether the directory is left
            remove_tree(self._directory)


class Supervisor(Supervision):
    """A command that runs under supervision.

    Parameters
    ----------
    directory : str
        A directory that is removed at the end.
    command : sequence of str
        The path of the program, and its arguments.
    stdin, stdout, stderr
        As for subprocess.Popen.
    environment : mapping of str to str, optional
        Defaults to that of this process.
    cwd : str, optional
        The directory in which the program starts.
    pass_fds : sequence of int
        Other descriptors that the program inherits.

    Attributes
    ----------
    popen : subprocess.Popen
        The supervisor, with the files that subprocess.PIPE makes.
    """

    def __init__(
        self,
        directory: str,
        command: Sequence[str],
        *,
        stdin: Stdio = None,
        stdout: Stdio = None,
        stderr: Stdio = None,
        environment: Mapping[str, str] | None = None,
        cwd: str | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        import subprocess  # noqa: PLC0415  # slow, and the codec does not need it

        self.popen: subprocess.Popen[bytes]

        def start(control_fd: int, status_fd: int, mark: str) -> Child:
            self.popen = subprocess.Popen(
                [SUPERVISE, str(control_fd), str(status_fd), directory, *command],
                env={**(os.environ if environment is None else environment), MARK: mark},
                cwd=cwd,
                pass_fds=(control_fd, status_fd, *pass_fds),
                process_group=0,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
            )
            return self.popen

        super().__init__(directory, start)


def remove_tree(path: str) -> None:
    """Remove a directory tree, whatever a worker or a job function has made of it.

    It may have any depth. Links are not followed and mounts are not entered. Directories of this
    user are made writable. A path that does not exist is no error.

    Raises
    ------
    OSError
        Something could not be removed; everything else was. The error has the path.
    """
    ffi, lib = _native.ffi, _native.lib  # with KVPROTO_PURE too: there is no other implementation
    error = lib.kvproto_remove_tree(ffi.new("char[]", os.fsencode(path)))
    if error:
        raise OSError(error, os.strerror(error), path)


def _marked(mark: bytes) -> list[int]:
    """Open a pidfd for each running process that has inherited the mark in its environment."""
    marked = []
    for pid in proc.pids():
        with suppress(OSError):
            pidfd = os.pidfd_open(pid)  # first, so that the pid cannot be reused
            try:
                is_ours = mark in proc.environment(pid)
            except OSError:
                is_ours = False
            if is_ours:
                marked.append(pidfd)
            else:
                os.close(pidfd)
    return marked
