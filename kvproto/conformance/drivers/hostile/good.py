"""Good workers, each unusual in a way that a driver may not expect."""

import fcntl
import os
import select
import stat
import struct
import sys
import termios
import time

from kvproto.conformance.drivers.hostile.base import (
    answer_all,
    note,
    packed,
    pairs,
    put,
    take_params,
)


def echo() -> None:
    """Returns each pair."""
    answer_all()


def looks_around() -> None:
    """Reports its arguments and the files of its directory."""
    files = {}
    for name in filter(os.path.isfile, os.listdir(".")):
        with open(name, "rb") as file:
            files[name] = (
                file.read(1000) if name != "op" else b"",
                stat.S_IMODE(os.fstat(file.fileno()).st_mode),
            )
    note(arguments=sys.argv, files=files)
    answer_all()


def starts_another(name: str) -> None:
    """Only starts a supporting file, which does the work."""
    os.set_inheritable(0, True)
    os.execv("./" + name, [name, sys.argv[-1]])


def bytewise() -> None:
    """Writes each byte after the reader has taken the previous one, where that can be known."""
    take_params()
    for pair in pairs():
        for byte in packed(pair):
            put(bytes([byte]))
            for _ in range(1000):
                if not struct.unpack("i", fcntl.ioctl(1, termios.FIONREAD, b"\0" * 4))[0]:
                    break
                time.sleep(0.0001)


def in_batches() -> None:
    """Answers only when the next read would wait."""
    take_params()
    answers = b""
    for pair in pairs():
        answers += packed(pair)
        if not select.select([0], [], [], 0)[0]:
            put(answers)
            answers = b""
    put(answers)


def expands(n: int) -> None:
    """Answers with n pairs for one."""
    take_params()
    for pair in pairs():
        put(packed(*[pair] * n))


def empties() -> None:
    """Answers each pair with an empty list."""
    take_params()
    for _ in pairs():
        put(packed())


def pauses(seconds: float) -> None:
    """Pauses in the middle of a list, and again before it exits."""
    take_params()
    for n, pair in enumerate(pairs()):
        answer = packed(pair)
        if n == 1:
            put(answer[:7])
            time.sleep(seconds)
            put(answer[7:])
        else:
            put(answer)
    time.sleep(seconds)


def ahead(n: int, size: int) -> None:
    """Reduce: writes n lists of one pair before it reads a byte; then reads everything."""
    for _ in range(n):
        put(packed((b"k", bytes(size))))
    take_params()
    for _ in pairs():
        pass


def at_the_end(sizes: tuple[int, ...], seconds: float) -> None:
    """Reduce: reads everything; writes a list for each size, each after a pause; exits at once."""
    take_params()
    for _ in pairs():
        pass
    for size in sizes:
        time.sleep(seconds)
        put(packed((b"k", bytes(size))))
    os._exit(0)
