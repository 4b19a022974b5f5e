"""The protocol by hand, for the small Python workers here: it travels with each of them as a
supporting file.
"""

import _signal  # what `signal` itself imports takes half as long as the start of Python
import os
import struct
import sys

stdin, stdout = sys.stdin.buffer, sys.stdout.buffer


def report(kind, error, traceback):
    """Say what went wrong as the protocol has it."""
    os.write(2, f"**<ERR> {kind.__name__}: {error}\n".encode())


sys.excepthook = report


def take(n_bytes):
    """Read exactly so many bytes of stdin."""
    data = stdin.read(n_bytes)
    assert len(data) == n_bytes, "the input is cut short"
    return data


def read_params():
    """Read the parameters, and give their bytes, without the head."""
    head = stdin.readline()
    assert head[:-1].isdigit() and head[-1:] == b"\n", "the parameters are cut short"
    return take(int(head))


def read_pairs():
    """Yield each (key, value) of stdin; the parameters before them are read and left alone."""
    read_params()
    while size := stdin.read(4):
        key = take(*struct.unpack("<I", size))
        yield key, take(*struct.unpack("<I", take(4)))


def pair(key, value):
    """Encode a pair."""
    return struct.pack("<I", len(key)) + key + struct.pack("<I", len(value)) + value


def result_list(*pairs, count=None):
    """Encode a result list that announces `count` pairs, by default as many as it has."""
    return struct.pack("<I", len(pairs) if count is None else count) + b"".join(
        pair(*p) for p in pairs
    )


def write(data):
    """Write bytes to stdout now."""
    stdout.write(data)
    stdout.flush()


def echo(n_pairs=None):
    """Answer each pair with itself; with n_pairs only so many of them."""
    for index, (key, value) in enumerate(read_pairs(), 1):
        write(result_list((key, value)))
        if index == n_pairs:
            return


def hang():
    """Do nothing, for ever."""
    while True:
        _signal.pause()
