"""Workers that do not answer, speak or end as they should, or that leave something behind."""

import os
import signal
import time

from kvproto.conformance.drivers.hostile.base import (
    answer_all,
    forget_kit,
    hang,
    note,
    packed,
    pairs,
    put,
    take_pair,
    take_params,
)


def exits(n_pairs: int | None, status: int = 0) -> None:
    """Exits after it has answered n_pairs pairs, or, for None, before it reads the parameters."""
    if n_pairs is not None:
        take_params()
        for _ in range(n_pairs):
            put(packed(next(pairs())))
    note(is_done=True)
    os._exit(status)


def hangs(where: str, is_deaf: bool = False) -> None:
    """Hangs at the "start", in the first "list" or at the "end"; is_deaf: ignores signals."""
    if is_deaf:
        for name in ("TERM", "INT", "HUP", "QUIT", "PIPE", "ALRM"):
            signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
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


def stops() -> None:
    """Stops itself, as SIGSTOP does."""
    take_params()
    take_pair()
    note(is_done=True)
    os.kill(os.getpid(), signal.SIGSTOP)


def closes_stdin() -> None:
    """Closes stdin after the first pair, still answers, and exits with status 0."""
    take_params()
    pair = next(pairs())
    os.close(0)
    put(packed(pair))
    time.sleep(0.05)


def closes_stdout() -> None:
    """Answers everything, closes stdout and keeps running."""
    answer_all()
    os.close(1)
    note(is_done=True)
    hang()


def leaves_child(
    holds: tuple[int, ...],
    is_daemon: bool = False,
    floods: bool = False,
    status: int = 0,
    stays: bool = False,
) -> None:
    """Starts a child that keeps running and holds these descriptors; answers everything; exits.

    is_daemon  the child has its own session, and nobody but the kit's supervisor finds it
    floods     the child fills stderr before the exit, and writes on without end after it
    stays      the worker keeps running, too
    """
    line = b"a child" * 140 + b"\n"
    is_ready, ready = os.pipe()
    is_answered, answered = os.pipe()
    is_full, full = os.pipe()
    is_gone, alive = os.pipe()
    if os.fork() == 0:
        os.close(answered)
        os.close(alive)
        for fd in {0, 1, 2} - set(holds):
            os.close(fd)
        if is_daemon:
            os.setsid()
            forget_kit()
        os.close(ready)
        os.read(is_answered, 1)  # end of file: a flood before that only slows the answers down
        if floods:
            os.set_blocking(2, False)
            try:
                for _ in range(100):
                    os.write(2, line)
            except BlockingIOError:
                pass
            os.set_blocking(2, True)
        os.close(full)
        os.read(is_gone, 1)  # end of file: the worker has exited
        while floods:
            put(line, fd=2)
        hang()
    os.close(ready)
    os.close(is_answered)
    os.close(full)
    os.read(is_ready, 1)  # end of file: the child is ready
    answer_all()
    os.close(answered)
    os.read(is_full, 1)  # end of file: the pipe is full if the child floods
    note(is_done=True)
    if stays:
        hang()
    os._exit(status)


def litters() -> None:
    """Leaves files, folders and a link to nowhere in its directory."""
    os.makedirs("a/b")
    for name in ("core", "a/tmp", "a/b/tmp"):
        with open(name, "wb") as file:
            file.write(b"x")
    os.symlink("/no/such/file", "a/link")
    answer_all()


def removes_all() -> None:
    """Removes its own directory with everything in it."""
    directory = os.getcwd()
    for name in os.listdir("."):
        os.unlink(name)
    os.rmdir(directory)
    answer_all()


def stays_busy() -> None:
    """Answers nothing, and writes lines to stderr without end."""
    take_params()
    note(is_done=True)
    while True:
        put(b"**<MSG> still here\n", fd=2)
        time.sleep(0.02)


def answers(
    outputs: list[bytes], first: bytes = b"", stderr: bytes = b"", status: int = 0, signal: int = 0
) -> None:
    """Reads a pair and writes the next output, until there are no more outputs; exits."""
    put(first)
    take_params()
    note(is_done=True)
    for output in outputs:
        take_pair()
        put(output)
    put(stderr, fd=2)
    if signal:
        os.kill(os.getpid(), signal)
    os._exit(status)


def answers_unasked(data: bytes) -> None:
    """Writes all answers before it reads a byte; then reads everything."""
    put(data)
    take_params()
    for _ in pairs():
        pass


def reads_nothing(data: bytes) -> None:
    """Writes all answers, reads nothing, exits with status 0."""
    put(data)
    os._exit(0)


def announces(data: bytes) -> None:
    """Answers the first pair with `data`, then does nothing forever."""
    take_params()
    take_pair()
    put(data)
    note(is_done=True)
    hang()


def floods(data: bytes) -> None:
    """Writes without end, and reads nothing but the parameters."""
    take_params()
    put(data)
    note(is_done=True)
    while True:
        put(data)


def says(data: bytes, times: int = 1, first: bytes = b"", last: bytes = b"") -> None:
    """Writes to stderr inside the first list, where a driver that waits for the rest blocks."""
    take_params()
    is_said = False
    for pair in pairs():
        answer = packed(pair)
        put(answer[:6])
        if not is_said:
            put(first + data, fd=2)
            for _ in range(times - 1):
                put(data, fd=2)
            put(last, fd=2)
            is_said = True
        put(answer[6:])


def says_in_pieces(pieces: tuple[bytes, ...], seconds: float) -> None:
    """Writes one line to stderr in several writes."""
    take_params()
    for piece in pieces:
        put(piece, fd=2)
        time.sleep(seconds)
    for pair in pairs():
        put(packed(pair))


def says_and_hangs(data: bytes) -> None:
    """Writes `data` to stderr, answers nothing more and does not exit."""
    take_params()
    put(data, fd=2)
    note(is_done=True)
    hang()


def silent() -> None:
    """Closes its stderr and does its work."""
    os.close(2)
    answer_all()
