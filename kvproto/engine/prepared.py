"""The prepared process of this process, which forks task processes.

Python starts and imports what tasks need once, in the prepared process. A fork of it takes a few
milliseconds instead of a tenth of a second. Its supervisor is a child of this process, as if this
process had started it (csrc/launch/fork.c).

A fork inherits from the prepared process what another program would inherit from this one. So the
prepared process is replaced when any of that has changed since it started. It ends with this
process, and when it is idle; the next start makes a new one.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import socket
import struct
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from kvproto.driver import proc
from kvproto.driver.supervisor import MARK, Child, Supervision

if TYPE_CHECKING:
    import subprocess

__all__ = ["ENVIRONMENT", "FDS", "HEADER", "PID", "begin", "fork"]

ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""Makes `hash(key)` the same in all tasks, so that equal keys go to one partition."""

HEADER = struct.Struct("!I")
"""The size of a request, with which its descriptors come."""

FDS = struct.Struct("5i")
"""CONTROL and STATUS of the supervisor, the log, the connection, and the working directory."""

PID = struct.Struct("!i")
"""The answer to a request: the pid of the supervisor, or -errno."""

_BOOT = (
    "import gc, sys; gc.disable(); sys.path[:] = {path!r}; "
    "from kvproto.engine.prepared_main import serve; "
    "from kvproto.engine.task_main import main; main(serve({fd}, {driver}))"
)
_ANSWER_SECONDS = 20.0  # for which a prepared process may take to start, and to answer

_AT_START = ("PYTHON", "LC_", "LD_", "MALLOC_", "GLIBC_", "LANG", "TZ", "HOME", "KVPROTO_PURE")
"""The variables that Python, the C library or kvproto read when a process starts begin so."""

_INHERITED = {
    *("Umask", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Seccomp_filters"),
    *("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Cpus_allowed", "Mems_allowed"),
}
"""The lines of /proc/PID/status about what a process inherits."""

_LINKS = ["root", *(f"ns/{kind}" for kind in ("cgroup", "ipc", "mnt", "net", "user", "uts"))]


class _NotPrepared(Exception):
    """There is no fork: Python must be executed, which has an error of its own where that fails."""


class _Ended(_NotPrepared):
    """The prepared process has ended, or does not answer."""


def begin() -> None:
    """Start the prepared process, which takes a while, so that it is ready when a fork is wanted.

    This process does not wait for it.
    """
    environment = {**os.environ, **ENVIRONMENT}
    with _Process.lock, suppress(_NotPrepared, OSError):  # the next fork says what is wrong
        if _Process.prepared is None:
            _Process.prepared = _Prepared(_surroundings(environment), environment)


def fork(
    directory: str, output: int, connection: int, path: list[str], environment: dict[str, str]
) -> Supervision | None:
    """Fork a task process.

    Parameters
    ----------
    directory : str
        A directory that is removed when the process has ended.
    output : int
        The descriptor for its stdout and stderr.
    connection : int
        The socket for its calls.
    path : list of str
        Its sys.path.
    environment : dict of str to str
        Its environment.

    Returns
    -------
    Supervision or None
        None: it must be executed.
    """

    def start(control_fd: int, status_fd: int, mark: str) -> Child:
        request = pickle.dumps((mark, directory, path, {**environment, MARK: mark}))
        try:
            cwd = os.open(".", os.O_PATH | os.O_CLOEXEC)
        except OSError as e:
            raise _NotPrepared from e
        try:
            fds = FDS.pack(control_fd, status_fd, output, connection, cwd)
            return _Sibling(_ask(environment, request, fds))
        finally:
            os.close(cwd)

    try:
        return Supervision(directory, start)
    except _NotPrepared:
        return None


class _Sibling:
    """A child of this process that its prepared process has forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        returncode = self._reap(0)
        assert returncode is not None
        return returncode

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int, /) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, options)
            except ChildProcessError:  # the program waits for all its children, or ignores SIGCHLD
                self.returncode = 0
            else:
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class _Prepared:
    """A prepared process. When `returncode` is above 0, another one would fail too."""

    def __init__(self, surroundings: object, environment: dict[str, str]) -> None:
        import subprocess  # noqa: PLC0415  # slow

        self.surroundings = surroundings
        self._link, theirs = socket.socketpair()
        self._link.settimeout(_ANSWER_SECONDS)
        boot = _BOOT.format(path=sys.path, fd=theirs.fileno(), driver=os.getpid())
        kept = {name: value for name, value in environment.items() if name != "TMPDIR"}
        try:
            self._popen: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-P", "-c", boot],
                env={**kept, MARK: "0" * 32},  # TMPDIR is that of one task process
                pass_fds=[theirs.fileno()],
                process_group=0,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        except BaseException:  # Ctrl-C too
            self._link.close()
            raise
        finally:
            theirs.close()

    def ask(self, request: bytes, fds: bytes) -> int:
        """Return the pid of the supervisor of a fork. Raises _Ended or _NotPrepared."""
        try:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
            self._link.sendmsg([HEADER.pack(len(request))], ancillary, socket.MSG_NOSIGNAL)
            self._link.sendall(request, socket.MSG_NOSIGNAL)
            pid: int = PID.unpack(self._link.recv(PID.size))[0]
        except (OSError, struct.error) as e:
            self.end()
            raise _Ended from e
        except BaseException:  # Ctrl-C: the answer would be taken for that to the next request
            self.end()
            raise
        if pid < 0:
            raise _NotPrepared(os.strerror(-pid))
        return pid

    def has_failed(self) -> bool:
        """Whether it has ended with an error, as another one would."""
        return (self._popen.returncode or 0) > 0

    def end(self) -> None:
        """End it. Its forks live on."""
        self._link.close()
        self._popen.kill()
        self._popen.wait()

    def forget(self) -> None:
        """In a fork of this process: close its copy of the link."""
        self._link.close()
        self._popen.returncode = 0  # not a child of this fork


class _Process:
    """This process."""

    lock = threading.Lock()
    prepared: _Prepared | None = None


def _ask(environment: dict[str, str], request: bytes, fds: bytes) -> int:
    """Return the pid of the supervisor of a fork. Raises _NotPrepared."""
    with _Process.lock:
        surroundings = _surroundings(environment)
        prepared = _Process.prepared
        if prepared is not None and prepared.surroundings == surroundings:
            if prepared.has_failed():
                raise _NotPrepared
            with suppress(_Ended):
                return prepared.ask(request, fds)
        if prepared is not None:
            prepared.end()
        try:
            _Process.prepared = _Prepared(surroundings, environment)
        except OSError as e:
            raise _NotPrepared from e
        return _Process.prepared.ask(request, fds)


def _surroundings(environment: dict[str, str]) -> object:
    """What a task process inherits from this one, and a request does not say."""
    try:
        status = [
            line
            for line in proc.read("thread-self/status").split("\n")
            if line.partition(":")[0] in _INHERITED
        ]
        files = [proc.read(f"self/{name}") for name in ("limits", "cgroup", "oom_score_adj")]
        links = [os.readlink(f"/proc/thread-self/{link}") for link in _LINKS]
    except OSError as e:
        raise _NotPrepared from e
    variables = {name: value for name, value in environment.items() if name.startswith(_AT_START)}
    session, priority = os.getsid(0), os.getpriority(os.PRIO_PROCESS, 0)
    return [sys.executable, [*sys.path], variables, session, priority, status, files, links]


def _at_exit() -> None:
    if _Process.prepared is not None:
        _Process.prepared.end()


def _after_fork() -> None:
    """A fork of this process has none: the parent of its supervisors would be the other process."""
    if _Process.prepared is not None:
        _Process.prepared.forget()
    _Process.prepared, _Process.lock = None, threading.Lock()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_after_fork)
