"""A program under `supervise` (csrc/launch/supervise.c): nothing of it outlives this process.

`supervise` kills the program with all its descendants, and removes a directory, as soon as this
process ends it or dies. Promises: `end()` returns in bounded time, even when the program has
stopped or killed its supervisor. `remove_tree` is here too, since every process that kvproto starts
needs it. Implements LIFECYCLE-5.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from kvproto._stdio import ready_fds
from kvproto.driver import proc
from kvproto.errors import KVProtoError, WorkerCrashed
from kvproto.protocol import native as _native

if TYPE_CHECKING:
    import subprocess

__all__ = ["SUPERVISE", "Supervisor", "remove_tree"]

SUPERVISE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "bin", "supervise")
"""The path of the supervisor; csrc/launch/supervise.c describes its arguments."""

Stdio = int | IO[bytes] | None
"""What subprocess.Popen takes as stdin, stdout and stderr."""

_MARK = "KVPROTO_SUPERVISED"  # a variable in the environment of all that runs under one supervisor
_LOOK_EACH = 0.05  # seconds between two looks at a supervisor that does not end
_STOPPED_FOR = 2.0  # seconds that a supervisor may be stopped before it is killed


class Supervisor:
    """A command that runs under supervision.

    Parameters
    ----------
    directory : str
        Removed at the end.
    command : sequence of str
        A path and arguments.
    stdin, stdout, stderr
        What subprocess.Popen takes.
    environment : mapping of str to str, optional
        This process's unless given.
    cwd : str, optional
        Where the program starts.
    pass_fds : sequence of int
        More descriptors for the program.

    Attributes
    ----------
    popen : subprocess.Popen
        The supervisor, with the files that subprocess.PIPE makes.
    status_fd : int
        Readable when `read_status` has news.
    pid : int or None
        Of the program, once it has started.
    start_errno : int or None
        Why the program could not be started.
    exit_status : int or None
        None while it runs; then as subprocess has it, -N for signal N.

    Raises
    ------
    KVProtoError
        The supervisor was not built.
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
        import subprocess  # noqa: PLC0415  # slow, and `import kvproto` for the codec does without

        if not os.path.exists(SUPERVISE):
            raise KVProtoError(
                f"{SUPERVISE} is not there: kvproto runs from sources that were not built; install "
                "it with `pip install .` or `make build`, and start Python in another folder"
            )
        self.pid: int | None = None
        self.start_errno: int | None = None
        self.exit_status: int | None = None
        self._directory = directory
        self._status_text = b""
        self._waiting = threading.Lock()
        mark = os.urandom(16).hex()  # all that the program starts inherits this, and is found by it
        self._mark = f"{_MARK}={mark}".encode()
        self._control, control = socket.socketpair()
        self._status, status = socket.socketpair()
        try:
            self.popen: subprocess.Popen[bytes] = subprocess.Popen(
                [SUPERVISE, str(control.fileno()), str(status.fileno()), directory, *command],
                env={**(os.environ if environment is None else environment), _MARK: mark},
                cwd=cwd,
                pass_fds=(control.fileno(), status.fileno(), *pass_fds),
                process_group=0,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
            )
        except BaseException:
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
        """The parent of the program. It adopts what the program starts and leaves."""
        return self.popen.pid

    def read_status(self) -> None:
        """Read the news of the supervisor: sets pid, start_errno and exit_status.

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
                "if it does not, look for a kill for want of memory",
            )
        self._status_text += data
        *lines, self._status_text = self._status_text.split(b"\n")
        for line in lines:
            word, number = line.split()
            if word == b"start":
                self.pid = int(number)
            elif word == b"error":
                self.start_errno = int(number)
            else:
                self.exit_status = os.waitstatus_to_exitcode(int(number))

    def end(self) -> None:
        """Kill what still runs, and wait until it is gone with its directory.

        May be called again, and by another thread.
        """
        # A byte, since a process that was forked meanwhile may hold this end too, and then the
        # supervisor sees no end of file.
        with suppress(OSError):  # the supervisor has ended, or this is the second call
            self._control.send(b"!")
        self._control.close()
        self._wait()

    def close(self) -> None:
        """End it, and close the connection to it."""
        self.end()
        self._status.close()

    def forget(self) -> None:
        """Close this fork's copies of the connection. The program stays the original process's."""
        self.popen.returncode = 0  # not a child of this fork: there is nothing to wait for
        self._control.close()
        self._status.close()

    def _wait(self) -> None:
        with self._waiting:  # another thread that waits could reap it under this one
            if self.popen.poll() is None:
                self._wait_for_end()
            if self.popen.wait() != 0:  # it was killed before it had cleared up
                self._clear_up()

    def _wait_for_end(self) -> None:
        stopped = 0.0
        watch = os.pidfd_open(self.popen.pid)
        try:
            while not ready_fds([watch], seconds=_LOOK_EACH):
                if stopped >= _STOPPED_FOR:
                    self.popen.kill()
                elif proc.is_stopped(self.popen.pid):
                    stopped += _LOOK_EACH
                    self.popen.send_signal(signal.SIGCONT)
        finally:
            os.close(watch)

    def _clear_up(self) -> None:
        """Do what a killed supervisor left undone. The kernel has killed the program with it."""
        deadline = time.monotonic() + _STOPPED_FOR
        while time.monotonic() < deadline and (left := _marked(self._mark)):
            for pidfd in left:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            for pidfd in left:
                ready_fds([pidfd], seconds=deadline - time.monotonic())
                os.close(pidfd)
        with suppress(OSError):  # whoever needs to know what is left looks for it
            remove_tree(self._directory)


def remove_tree(path: str) -> None:
    """Remove a directory tree of ours, whatever a worker or a job function has made of it.

    Follows no link, enters no mount, takes any depth, and makes directories writable where their
    owner may do that. Nothing happens when there is no such path.

    Raises
    ------
    OSError
        With the path, when something is left; all that can be removed is removed then.
    """
    ffi, lib = _native.ffi, _native.lib  # with KVPROTO_PURE too: there is no other implementation
    error = lib.kvproto_remove_tree(ffi.new("char[]", os.fsencode(path)))
    if error:
        raise OSError(error, os.strerror(error), path)


def _marked(mark: bytes) -> list[int]:
    """A pidfd for each process that has inherited a mark in its environment and still runs."""
    marked = []
    for pid in proc.pids():
        with suppress(OSError):
            pidfd = os.pidfd_open(pid)  # first, so that the pid cannot be used again
            try:
                is_ours = mark in proc.environment(pid)
            except OSError:
                is_ours = False
            if is_ours:
                marked.append(pidfd)
            else:
                os.close(pidfd)
    return marked
