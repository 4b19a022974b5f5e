"""The command `kvproto`: as a process of its own, or, faster, in a fork of a process that has
imported kvproto.
"""

import atexit
import functools
import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import catalogue

ECHO = catalogue.HERE / "echo.py"
"""A worker that gives back what it gets."""

SERVER = Path(__file__).with_name("command_server.py")
AT_START = ("PYTHON", "KVPROTO_PURE", "LANG", "LC_", "LD_")
"""Beginnings of the names of variables that count when Python starts, or imports kvproto."""


def kvproto_command(*arguments, cwd="/", stdin=b""):
    """Run the command; returns the finished process, its stdout and stderr as bytes.

    What is about the start of the process runs `command_line` instead.
    """
    at_start = ((name, os.environ[name]) for name in os.environ if name.startswith(AT_START))
    server = _server(frozenset(at_start))
    ours, theirs = zip(*(os.pipe() for _ in range(3)), strict=True)
    (stdin_read, *outputs), (stdin_write, *inputs) = ours, theirs
    request = {
        "arguments": list(map(str, arguments)),
        "directory": str(cwd),
        "environment": dict(os.environ),
    }
    socket.send_fds(server, [json.dumps(request).encode()], [stdin_read, *inputs])
    for fd in (stdin_read, *inputs):
        os.close(fd)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(_write_all, stdin_write, stdin)
        stdout, stderr = pool.map(_read_all, outputs)
    status = int(server.recv(100))
    return subprocess.CompletedProcess(command_line(*arguments), status, stdout, stderr)


def through_echo(mode, stdin, *options):
    """What comes out of the worker ECHO, which must end well and say nothing."""
    done = kvproto_command(mode, *options, "--", ECHO, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def command_line(*arguments):
    return [sys.executable, "-m", "kvproto", *map(str, arguments)]


@functools.cache
def _server(at_start):
    """A running server, started with this environment; it ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-P", SERVER, str(theirs.fileno())],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **dict(at_start)},
        cwd="/",
    )
    theirs.close()

    def end():
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _write_all(fd, data):
    try:
        with open(fd, "wb") as file:
            file.write(data)
    except BrokenPipeError:
        pass  # it has not read all of it


def _read_all(fd):
    with open(fd, "rb") as file:
        return file.read()
