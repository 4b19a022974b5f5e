"""The main program of a prepared process: it forks a task process for each request.

It has one thread, and has imported what tasks need, but nothing of a job. It forks twice: the first
fork becomes the supervisor, a sibling of this process, and the second the task process. Nothing
that differs between two processes may be decided before the fork. `random` and `tempfile` begin
anew in a fork by themselves.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import subprocess  # noqa: F401
import sys
import urllib.parse  # for tasks, as the other unused modules  # noqa: F401
from contextlib import suppress
from typing import NamedTuple

import cloudpickle  # noqa: F401

import kvproto.driver.program
import kvproto.engine.map_task
import kvproto.engine.reduce_task
import kvproto.inputs.schemes.files  # noqa: F401
from kvproto._stdio import ready_fds
from kvproto.driver import proc
from kvproto.driver.supervisor import MARK, SUPERVISE
from kvproto.engine.prepared import FDS, HEADER, PID
from kvproto.protocol import native

__all__ = ["serve"]

_IDLE_SECONDS = 10.0  # without a request, until it ends
_OS_ERROR = 71


class _Request(NamedTuple):
    """The request for a fork; `kvproto.engine.prepared` describes it."""

    mark: str
    directory: str
    path: list[str]
    environment: dict[str, str]
    fds: tuple[int, ...]


def serve(fd: int, driver: int) -> int:
    """Serve the requests that come over the socket `fd` from the process `driver`.

    Returns in each task process, with the socket of its calls. The prepared process itself ends
    when the driver has ended, and when it has had no request for some time.
    """
    watch = os.pidfd_open(driver)
    with socket.socket(fileno=fd) as link:
        link.set_inheritable(False)
        _reset_signals()
        if len(proc.threads(os.getpid())) > 1:
            os._exit(1)  # started by a site or a .pth file: forks would lack it
        os.chdir("/")
        gc.freeze()  # so that a collection in a fork does not copy all its memory
        gc.enable()  # it was off during the imports, which leave nothing to collect
        while True:
            request = _next(link, watch)
            pid = native.lib.kvproto_fork_sibling()
            if pid == 0:
                break
            link.send(PID.pack(pid))
            for each in request.fds:
                os.close(each)
    os.close(watch)
    return _task_process(request)


def _reset_signals() -> None:
    """Handle all signals as Python does after a start by a supervisor."""
    for number in signal.valid_signals():
        is_python = number in (signal.SIGPIPE, signal.SIGXFSZ)
        if signal.getsignal(number) is signal.SIG_IGN and not is_python:
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _next(link: socket.socket, watch: int) -> _Request:
    """Wait for a request; end the process when none will come."""
    ready = ready_fds([link.fileno(), watch], seconds=_IDLE_SECONDS)
    if not ready or watch in ready:
        os._exit(0)
    flags = socket.MSG_WAITALL | socket.MSG_CMSG_CLOEXEC
    header, ancillary, _, _ = link.recvmsg(HEADER.size, socket.CMSG_SPACE(FDS.size), flags)
    if not header:
        os._exit(0)
    [(_, _, fds)] = ancillary
    data = link.recv(HEADER.unpack(header)[0], socket.MSG_WAITALL)
    mark, directory, path, environment = pickle.loads(data)
    return _Request(mark, directory, path, environment, FDS.unpack(fds))


def _task_process(request: _Request) -> int:
    """In the first fork: fork the task process, and become its supervisor."""
    control, status, output, connection, cwd = request.fds
    supervisor = os.getpid()
    try:
        os.setpgid(0, 0)
        pid = os.fork()
    except OSError as e:
        os.write(status, f"error {e.errno}\n".encode())
        os._exit(_OS_ERROR)
    if pid:
        _supervise(pid, request)
    ffi, lib = native.ffi, native.lib
    name, mark = (ffi.new("char[]", text.encode()) for text in (MARK, request.mark))
    if lib.kvproto_settle(supervisor, name, mark):
        os._exit(_OS_ERROR)
    os.fchdir(cwd)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for fd in (control, status, output, cwd):
        os.close(fd)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.path[:] = request.path
    sys.path_importer_cache.clear()
    return connection


def _supervise(pid: int, request: _Request) -> None:
    """Supervise a child; its parent's death kills it if that fails."""
    try:
        with suppress(OSError):  # it has ended
            os.setpgid(pid, pid)
        control, status = request.fds[:2]
        for fd in (control, status):
            os.set_inheritable(fd, True)
        command = [SUPERVISE, "--child", str(pid), str(control), str(status), request.directory]
        os.execve(SUPERVISE, command, request.environment)
    finally:
        os._exit(_OS_ERROR)
