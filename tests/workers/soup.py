#!/usr/bin/env python3
# It does what the file `actions` beside it says, one action after the other, right or wrong.
import ast
import contextlib
import ctypes
import fcntl
import os
import signal
import struct
import time


def read_exactly(n_bytes):
    data = b""
    while len(data) < n_bytes and (piece := os.read(0, n_bytes - len(data))):
        data += piece
    return data


def write(fd, data, times=1):
    data *= times
    while data:
        data = data[os.write(fd, data) :]


def params():
    """Read a parameter set."""
    head = b""
    while not head.endswith(b"\n"):
        head += read_exactly(1) or b"0\n"
    read_exactly(int(head))


def echo(n_pairs):
    """Answer so many pairs, as it should be."""
    for _ in range(n_pairs):
        items = b""
        for _ in range(2):
            size = read_exactly(4)
            if not size:
                return
            items += size + read_exactly(*struct.unpack("<I", size))
        write(1, b"\1\0\0\0" + items)


def drain():
    """Read to the end of input."""
    while os.read(0, 1 << 16):
        pass


def flood(fd, data):
    while True:
        write(fd, data, 1 + 65536 // len(data))


def drip(fd, data):
    while True:
        write(fd, data)
        time.sleep(0.01)


def fork(lasts):
    """Go on in two processes, or leave one behind that does nothing."""
    if os.fork() == 0 and lasts:
        signal.pause()


def to_pipes_of(pid, data):
    """Write to all that another process has open, as far as that can be done."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            os.write(os.open(f"/proc/{pid}/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK), data)


def touch(name):
    with open(name, "wb"):
        pass


def directories(n):
    for _ in range(n):
        os.mkdir("d")
        os.chdir("d")


ACTIONS = {
    "read": lambda n: os.read(0, n),
    "params": params,
    "echo": echo,
    "drain": drain,
    "write": write,
    "flood": flood,
    "drip": drip,
    "close": os.close,
    "exit": os._exit,
    "sleep": time.sleep,
    "pause": signal.pause,
    "kill": lambda number: os.kill(os.getpid(), number),
    "ignore": lambda number: signal.signal(number, signal.SIG_IGN),
    "catch": lambda number: signal.signal(number, lambda *caught: None),
    "alarm": signal.alarm,
    "fork": fork,
    "leave": lambda: os.setsid() if os.getpgrp() != os.getpid() else os.setpgid(0, os.getppid()),
    "name": lambda name: ctypes.CDLL(None).prctl(15, name, 0, 0, 0),
    "to_pipes_of_parent": lambda data: to_pipes_of(os.getppid(), data),
    "to_own_pipes": lambda data: to_pipes_of(os.getpid(), data),
    "read_own_stdout": lambda: os.read(
        os.open("/proc/self/fd/1", os.O_RDONLY | os.O_NONBLOCK), 100
    ),
    "small_pipe": lambda fd: fcntl.fcntl(fd, 1031, 4096),
    "no_wait": lambda fd: os.set_blocking(fd, False),
    "remove": lambda: [os.unlink(name) for name in os.listdir()],
    "read_only": lambda: os.chmod(".", 0o500),
    "directories": directories,
    "touch": touch,
    "run": lambda *command: os.execvp(command[0], command),
    "stop_parent": lambda: os.kill(os.getppid(), signal.SIGSTOP),
    "kill_parent": lambda: os.kill(os.getppid(), signal.SIGKILL),
}

with open("actions") as file:
    for name, *arguments in ast.literal_eval(file.read()):
        ACTIONS[name](*arguments)
