"""Workers that do not end as they should, or leave something behind."""

import os
import signal
import time

from kvproto.conformance.drivers.hostile.base import (
    forget_kit,
    hang,
    note,
    packed,
    pairs,
    put,
    take_pair,
    take_params,
)

__all__ = [
    "closes_stdin",
    "closes_stdout",
    "exits",
    "hangs",
    "leaves_child",
    "litters",
    "removes_all",
    "stays_busy",
    "stops",
]


def exits(n_pairs, status=0):
    """Exits after it has answered so many pairs, whatever is still to come; None: before the parameters."""
    if n_pairs is not None:
        take_params()
        for _ in range(n_pairs):
            put(packed(take_pair()))
    note(is_done=True)
    os._exit(status)


def hangs(where, is_deaf=False):
    """Hangs at the "start", in the first "list" or at the "end"; is_deaf: ignores the signals that can be ignored."""
    if is_deaf:
        for number in (
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGQUIT,
            signal.SIGPIPE,
            signal.SIGALRM,
        ):
            signal.signal(number, signal.SIG_IGN)
    note(is_done=where == "start")
    if where == "start":
        hang()
    take_params()
    for pair in pairs():
        answer = packed(pair)
        put(answer[:6])
        if where == "list":
            note(is_done=True)
            hang()
        put(answer[6:])
    note(is_done=True)
    hang()


def stops():
    """Stops itself, as SIGSTOP does."""
    take_params()
    take_pair()
    note(is_done=True)
    os.kill(os.getpid(), signal.SIGSTOP)


def closes_stdin():
    """Closes stdin after the first pair, still answers, and exits with status 0."""
    take_params()
    pair = take_pair()
    os.close(0)
    put(packed(pair))
    time.sleep(0.05)


def closes_stdout():
    """Answers everything, closes stdout and keeps running."""
    take_params()
    for pair in pairs():
        put(packed(pair))
    os.close(1)
    note(is_done=True)
    hang()


def leaves_child(holds, is_daemon=False, floods=False, status=0, stays=False):
    """Starts a child that keeps running and holds these descriptors; answers everything; exits, or `stays` too.

    is_daemon: the child has a session of its own, and nobody but the kit's supervisor finds it; floods: it writes to
    stderr without end.
    """
    is_ready, ready = os.pipe()
    if os.fork() == 0:
        for fd in {0, 1, 2} - set(holds):
            os.close(fd)
        if is_daemon:
            os.setsid()
            forget_kit()
        os.close(ready)
        while floods:
            put(b"a child\n", fd=2)
        hang()
    os.close(ready)
    os.read(is_ready, 1)  # its end of file: the child is what it is to be
    take_params()
    for pair in pairs():
        put(packed(pair))
    note(is_done=True)
    if stays:
        hang()
    os._exit(status)


def litters():
    """Leaves files, folders and a link to nowhere in its directory."""
    os.makedirs("a/b")
    for name in ("core", "a/tmp", "a/b/tmp"):
        with open(name, "wb") as file:
            file.write(b"x")
    os.symlink("/no/such/file", "a/link")
    take_params()
    for pair in pairs():
        put(packed(pair))


def removes_all():
    """Removes its own directory, with all that is in it."""
    directory = os.getcwd()
    for name in os.listdir("."):
        os.unlink(name)
    os.rmdir(directory)
    take_params()
    for pair in pairs():
        put(packed(pair))


def stays_busy():
    """Answers nothing, and writes lines to stderr without end."""
    take_params()
    while True:
        put(b"**<MSG> still here\n", fd=2)
        time.sleep(0.02)
