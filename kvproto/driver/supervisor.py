"""A program under the small program `supervise` (csrc/launch/supervise.c), so that nothing of it outlives this process.

`supervise` kills the program with all its descendants, and removes a directory, as soon as this process lets go of it or
dies. Promises: `end()` comes back in bounded time, also when the program has stopped or killed its supervisor.
Implements LIFECYCLE-5.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from kvproto.driver.removal import remove_tree
from kvproto.errors import KVProtoError, WorkerCrashed

__all__ = ["SUPERVISE", "Supervisor", "is_readable"]

SUPERVISE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "bin", "supervise")
"""The path of the supervisor; its arguments are in csrc/launch/supervise.c."""

_MARK = "KVPROTO_SUPERVISED"  # a variable in the environment of all that runs under one supervisor
_LOOK_EACH = 0.05  # seconds between two looks at a supervisor that does not end
_STOPPED_FOR = 2.0  # seconds that a supervisor may be found stopped in, until it is killed


class Supervisor:
    """Starts `command` under supervision.

    directory        is removed at the end
    command          a path and arguments
    stdin, stdout, stderr   what subprocess.Popen takes
    environment      name -> value; None: ours
    cwd              where the program starts
    pass_fds         descriptors that the program gets too

    popen        of the supervisor, with the files that subprocess.PIPE makes
    status_fd    readable when `read_status()` has something to say
    pid          of the program, once it has started; None before
    start_errno  why it could not be started; None when it could
    exit_status  None while it runs; then as subprocess gives it, -N for signal N
    """

    def __init__(
        self,
        directory: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: str | None = None,
        pass_fds: Sequence[int] = (),
        **stdio: Any,
    ) -> None:
        import subprocess  # not for those who import kvproto for its codec alone

        if not os.path.exists(SUPERVISE):
            raise KVProtoError(
                f"{SUPERVISE} is not there: kvproto runs from sources that were not built; "
                "install it with `pip install .` or `make build`, and start Python in another folder"
            )
        self.pid: int | None = None
        self.start_errno: int | None = None
        self.exit_status: int | None = None
        self._directory = directory
        self._status_text = b""
        self._waiting = threading.Lock()
        environment = dict(os.environ if environment is None else environment)
        environment[_MARK] = (
            uuid.uuid4().hex
        )  # what it starts inherits this, and can be found by it
        self._mark = f"{_MARK}={environment[_MARK]}".encode()
        self._control, control = socket.socketpair()
        self._status, status = socket.socketpair()
        try:
            self.popen = subprocess.Popen(
                [SUPERVISE, str(control.fileno()), str(status.fileno()), directory, *command],
                env=environment,
                cwd=cwd,
                pass_fds=(control.fileno(), status.fileno(), *pass_fds),
                process_group=0,
                **stdio,
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
        """The process whose child the program is; what the program started and left becomes its child too."""
        return self.popen.pid

    def read_status(self) -> None:
        """Take in what the supervisor has said so far. Raises WorkerCrashed when it was killed, and the program with it."""
        try:
            said = self._status.recv(4096)
        except BlockingIOError:
            return
        except ConnectionResetError:
            said = b""
        if not said and self.exit_status is None and self.start_errno is None:
            raise WorkerCrashed(
                "its supervisor was killed, which killed the worker too",
                advice="a worker must not send signals to its parent; if it does not, look for a kill for want of memory",
            )
        self._status_text += said
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
        """Kill what still runs and wait until it is gone with its directory. May be called again, and by another thread."""
        # A byte, since a process that was forked meanwhile may hold this end too and keep it from its end of file.
        with suppress(OSError):  # the supervisor is gone already, or this is the second call
            self._control.send(b"!")
        self._control.close()
        self._wait()

    def close(self) -> None:
        """As `end`; and read no status any more."""
        self.end()
        self._status.close()

    def forget(self) -> None:
        """In a process that was forked: let go of it, as it is the parent's."""
        self.popen.returncode = 0  # not this process's child: nothing to wait for
        self._control.close()
        self._status.close()

    def _wait(self) -> None:
        with self._waiting:  # another thread that waits could reap it under this one
            if self.popen.poll() is None:
                self._wait_for_end()
            if self.popen.wait() != 0:  # it did not come to its work
                self._clear_up()

    def _wait_for_end(self) -> None:
        stopped = 0.0
        watch = os.pidfd_open(self.popen.pid)
        try:
            while not is_readable(watch, _LOOK_EACH):
                if stopped >= _STOPPED_FOR:
                    self.popen.kill()
                elif _is_stopped(self.popen.pid):
                    stopped += _LOOK_EACH
                    self.popen.send_signal(signal.SIGCONT)
        finally:
            os.close(watch)

    def _clear_up(self) -> None:
        """Do what a killed supervisor has left undone. The program itself was killed with it, by the kernel."""
        deadline = time.monotonic() + _STOPPED_FOR
        while time.monotonic() < deadline and (left := _marked(self._mark)):
            for pidfd in left:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            for pidfd in left:
                is_readable(pidfd, max(0.0, deadline - time.monotonic()))
                os.close(pidfd)
        with suppress(OSError):  # whoever needs to know what is left looks for it
            remove_tree(self._directory)


def is_readable(fd: int, seconds: float | None = None) -> bool:
    """Wait until a descriptor, of any number, is readable; False when the seconds are over. None: wait for ever."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def _is_stopped(pid: int) -> bool:
    """Whether a process is stopped, by a signal or under a debugger."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
    except OSError:
        return False


def _marked(mark: bytes) -> list[int]:
    """A pidfd for each process that has inherited a mark in its environment, and has not ended."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            with suppress(OSError):
                pidfd = os.pidfd_open(
                    int(name)
                )  # first, so that the pid cannot become another process's meanwhile
                try:
                    with open(f"/proc/{name}/environ", "rb") as file:
                        is_ours = mark in file.read().split(b"\0")
                except OSError:
                    is_ours = False
                if is_ours:
                    found.append(pidfd)
                else:
                    os.close(pidfd)
    return found
