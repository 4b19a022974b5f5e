"""The protocol by hand, for the small Python workers here: it travels with each of them as a supporting file."""

import signal
import struct
import sys

stdin, stdout = sys.stdin.buffer, sys.stdout.buffer


def take(n_bytes):
    """Read exactly so many bytes of stdin."""
    data = stdin.read(n_bytes)
    assert len(data) == n_bytes, "the input is cut short"
    return data


def read_pairs():
    """Yield each (key, value) of stdin, the empty parameter set before them read and checked."""
    assert stdin.read(2) == b"0\n"
    while size := stdin.read(4):
        key = take(*struct.unpack("<I", size))
        yield key, take(*struct.unpack("<I", take(4)))


def pair(key, value):
    """Encode a pair."""
    return struct.pack("<I", len(key)) + key + struct.pack("<I", len(value)) + value


def result_list(*pairs, count=None):
    """Encode a result list that announces `count` pairs, by default as many as it has."""
    return struct.pack("<I", len(pairs) if count is None else count) + b"".join(pair(*p) for p in pairs)


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
        signal.pause()
