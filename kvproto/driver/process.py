"""One worker process, for the driver and for the conformance kit.

It writes the files of the worker, starts the worker under a `Supervisor`, and owns the pipes.
Implements FILES-1.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import tempfile
import termios
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress

from kvproto.driver import proc
from kvproto.driver.supervisor import SUPERVISE, Supervisor, remove_tree

__all__ = ["SUPERVISE", "SupervisedProcess"]

_PIPE_BYTES = 1 << 20
_BUSY_WAIT_SECONDS = 5
_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)


class SupervisedProcess:
    """A supervised worker, started as `op` in its own directory.

    Parameters
    ----------
    files : mapping of str to bytes
        The names and contents of the files in the directory, including `op`.
    arguments : list of str
    output : str, optional
        A file to open as the worker's stdout. The attribute `stdout` is then at end of file.
    environment : mapping of str to str, optional
        Defaults to that of this process.
    through : sequence of str
        The path and the arguments of a program that starts `./op`. The command is
        `[*through, "./op", *arguments]`; pid and exit status are those of that program.

    Attributes
    ----------
    directory : str
        The worker's directory. `kill` and `close` remove it.
    stdin, stdout, stderr : int
        This side's ends of the pipes: non-blocking descriptors, until `close`.
    status_fd : int
        A descriptor that is readable when there is something for `read_status`.
    first_line : str
        The first line of the program, which may explain why it cannot be started.
    left : str or None
        The directory, if it could not be removed.
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        arguments: list[str],
        *,
        output: str | None = None,
        environment: Mapping[str, str] | None = None,
        through: Sequence[str] = (),
    ) -> None:
        self.left: str | None = None
        self.first_line = files["op"][:200].partition(b"\n")[0].decode("utf-8", "replace")
        self._open: set[int] = set()
        self._supervisor: Supervisor | None = None
        # The handler of a signal may raise. Blocked, it runs when `close` can clean up.
        before = signal.pthread_sigmask(
            signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        )
        try:
            self._start(files, [*through, "./op", *arguments], output, environment)
        except BaseException:  # Ctrl-C too: nothing of it is left
            self.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _start(
        self,
        files: Mapping[str, bytes],
        command: list[str],
        output: str | None,
        environment: Mapping[str, str] | None,
    ) -> None:
        _live.add(self)
        child_stdin, self.stdin = self._pipe()
        self.stdout, child_stdout = self._pipe()
        self.stderr, child_stderr = self._pipe()
        for fd in (self.stdin, self.stdout, self.stderr):
            os.set_blocking(fd, False)
        for fd in (self.stdin, self.stdout):
            _enlarge(fd)
        if output is not None:
            self._close_fd(child_stdout)
            child_stdout = os.open(output, os.O_WRONLY)
            self._open.add(child_stdout)
        self.directory = directory = tempfile.mkdtemp(prefix="kvproto-")
        try:
            os.chmod(directory, 0o700)  # whatever the umask
            _write_files(directory, files)
            if command[0] != "./op":
                _wait_for_writers(os.path.join(directory, "op"))
            self._supervisor = Supervisor(
                directory,
                command,
                cwd=directory,
                stdin=child_stdin,
                stdout=child_stdout,
                stderr=child_stderr,
                environment=environment,
            )
        except BaseException:  # Ctrl-C too
            with suppress(OSError):
                remove_tree(directory)
            raise
        self.status_fd = self._supervisor.status_fd
        # The read end of stdin stays open to count what a dead worker has not read.
        self._stdin_read_end = child_stdin
        for fd in (child_stdout, child_stderr):
            self._close_fd(fd)

    @property
    def pid(self) -> int | None:
        """The worker's pid, once it has started."""
        return self._supervisor.pid if self._supervisor is not None else None

    @property
    def start_errno(self) -> int | None:
        """Why the worker could not be started."""
        return self._supervisor.start_errno if self._supervisor is not None else None

    @property
    def exit_status(self) -> int | None:
        """None while the worker runs; then its exit status, or -N for signal N."""
        return self._supervisor.exit_status if self._supervisor is not None else None

    @property
    def cpu(self) -> float:
        """The seconds of CPU that the worker used, once it has ended by itself; before, 0."""
        return self._supervisor.cpu if self._supervisor is not None else 0.0

    @property
    def memory(self) -> int:
        """Likewise the most bytes of memory that it had."""
        return self._supervisor.memory if self._supervisor is not None else 0

    @property
    def supervisor_pid(self) -> int:
        """The pid of the worker's parent, which adopts the processes that the worker leaves."""
        return self._supervisor.supervisor_pid if self._supervisor is not None else 0

    def read_status(self) -> None:
        """Update `pid`, `start_errno` and `exit_status`.

        Raises WorkerCrashed when the supervisor was killed.
        """
        if self._supervisor is not None:
            self._supervisor.read_status()

    def close_stdin(self) -> None:
        """Close the pipe to stdin, so that the worker reads end of file."""
        self._close_fd(self.stdin)

    def n_unread(self) -> int:
        """Return the number of bytes in stdin that the worker has not read."""
        return _n_bytes_in(self._stdin_read_end)

    def close_stdout(self) -> None:
        """Close the pipe of stdout, so that the worker writes to a pipe without a reader."""
        self._close_fd(self.stdout)

    def descendants(self) -> list[str]:
        """List the processes that the worker has left, as `name (pid)`."""
        pids = proc.children(self.supervisor_pid)
        return [f"{proc.name(pid)} ({pid})" for pid in pids if pid != self.pid]

    def state(self) -> str:
        """Return the kernel's state of the worker, such as "sleeping"; "" when unknown."""
        try:
            state = proc.status(str(self.pid))["State"]
        except OSError:
            return ""
        return state.split("(")[-1].rstrip(")")

    def kill(self) -> None:
        """Kill the worker and its descendants, and wait until they and the directory are gone.

        May be called again, and by another thread.
        """
        if self._supervisor is not None:
            self._supervisor.end()
            self.left = self.directory if os.path.lexists(self.directory) else None

    def close(self) -> None:
        """Kill the worker and its descendants, and close the pipes."""
        self.kill()
        if self._supervisor is not None:
            self._supervisor.close()
        for fd in tuple(self._open):
            self._close_fd(fd)
        _live.discard(self)

    def __del__(self) -> None:
        if getattr(self, "_open", None):
            self.close()

    def n_unread_stderr(self) -> int:
        """Return the number of bytes in stderr that this process has not read."""
        return _n_bytes_in(self.stderr)

    def forget(self) -> None:
        """Close this fork's copies of the pipes. The worker stays the original process's."""
        if self._supervisor is not None:
            self._supervisor.forget()
        self._supervisor = None
        for fd in tuple(self._open):
            self._close_fd(fd)

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._open.update(ends)
        return ends

    def _close_fd(self, fd: int) -> None:
        if fd in self._open:
            self._open.remove(fd)
            os.close(fd)


_live: weakref.WeakSet[SupervisedProcess] = weakref.WeakSet()


def _forget_all() -> None:
    # A fork that held a worker's stdin open would keep the worker from reading end of file.
    for process in tuple(_live):
        process.forget()


os.register_at_fork(after_in_child=_forget_all)


def _n_bytes_in(pipe: int) -> int:
    (n_bytes,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(n_bytes)


def _write_files(directory: str, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        # All of them executable: `op` may be a script that starts one of the others (FILES-4).
        path = os.path.join(directory, name)
        try:
            with open(os.open(path, flags, 0o700), "wb") as file:
                os.fchmod(file.fileno(), 0o755)  # whatever the umask
                file.write(content)
        except OSError as e:
            raise OSError(
                e.errno,
                e.strerror,
                f"{path} (the worker's directory; TMPDIR chooses another place)",
            ) from None


def _wait_for_writers(path: str) -> None:
    """Wait until no process has the file open for writing: until then it cannot be executed.

    A process that another thread has just forked has a copy of the descriptor until its exec. The
    supervisor waits likewise for a program that it starts itself. The kernel grants a read lease
    only on a file without writers.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        ends = time.monotonic() + _BUSY_WAIT_SECONDS
        while time.monotonic() < ends:
            try:
                fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            except BlockingIOError:
                os.sched_yield()
            except OSError:
                return  # a file system without leases: executing the file may fail with ETXTBSY
            else:
                fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
                return
    finally:
        os.close(fd)


def _enlarge(pipe: int) -> None:
    """Ask for a pipe of 1 MiB, so that writer and reader wake each other less often."""
    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.EINVAL, errno.EBUSY):  # over the user's limit
            raise
