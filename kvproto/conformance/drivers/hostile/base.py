"""What each worker of the kit begins with: its input, its output, and a way to tell the kit what it sees.

This text goes into every program whole, before the function that makes it hostile, so that a program is one file
that needs nothing but Python. Its input is also written to a file of the kit as it comes. What `note` says goes
to a FIFO of the kit, and each process that it forks holds that open: so the kit knows when all of them are gone.
"""

import os
import struct
import time

_kit = {}


def begin(notes, record, n_params, n_pairs):
    """Called first. n_params: bytes of parameters where they are no set, else None; n_pairs: of the whole input."""
    _kit.update(n_params=n_params, n_pairs=n_pairs)
    _kit["notes"] = os.open(notes, os.O_WRONLY)
    _kit["record"] = os.open(record, os.O_WRONLY | os.O_APPEND)
    note(pid=os.getpid(), group=os.getpgrp(), directory=os.getcwd())


def note(**facts):
    """Tell the kit."""
    os.write(_kit["notes"], ascii(facts).encode() + b"\n")


def forget_kit():
    """Hold nothing of the kit open: for a process that may stay."""
    os.close(_kit["notes"])
    os.close(_kit["record"])


def take(n):
    """The next n bytes of input; less at its end."""
    data = b""
    while len(data) < n and (piece := os.read(0, n - len(data))):
        os.write(_kit["record"], piece)
        data += piece
    return data


def take_params():
    """All of the parameters."""
    if _kit["n_params"] is not None:
        return take(_kit["n_params"])
    head = b""
    while not head.endswith(b"\n"):
        head += take(1) or os._exit(3)
    return head + take(int(head))


def take_pair():
    """(key, value); None at end of file."""
    size = take(4)
    if not size:
        note(has_end=True)
        return None
    key = take(struct.unpack("<I", size)[0])
    return key, take(struct.unpack("<I", take(4))[0])


def pairs():
    """All pairs."""
    n = 0
    while True:
        if n == _kit["n_pairs"]:
            note(waits_for_end=True)
        pair = take_pair()
        if pair is None:
            return
        n += 1
        yield pair


def packed(*pairs):
    """A result list."""
    parts = [struct.pack("<I", len(data)) + data for pair in pairs for data in pair]
    return struct.pack("<I", len(pairs)) + b"".join(parts)


def put(data, fd=1):
    """Write all of it."""
    data = memoryview(data)
    while data:
        data = data[os.write(fd, data) :]


def hang():
    """Do nothing for ever."""
    while True:
        time.sleep(1000)
