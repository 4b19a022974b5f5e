"""Workers that have something to say."""

import os
import time

from kvproto.conformance.drivers.hostile.base import packed, pairs, put, take_params

__all__ = ["says", "says_and_hangs", "says_in_pieces", "silent"]


def says(data, times=1, first=b"", last=b""):
    """Writes to stderr in the middle of the first list, where a driver that waits for the rest would block."""
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


def says_in_pieces(pieces, seconds):
    """Writes one line to stderr in several writes."""
    take_params()
    for piece in pieces:
        put(piece, fd=2)
        time.sleep(seconds)
    for pair in pairs():
        put(packed(pair))


def says_and_hangs(data):
    """Writes it to stderr, answers no more and does not exit."""
    take_params()
    put(data, fd=2)
    while True:
        time.sleep(1000)


def silent():
    """Closes its stderr, and does its work."""
    os.close(2)
    take_params()
    for pair in pairs():
        put(packed(pair))
