"""Workers whose output is not what it should be, or not when."""

import os

from kvproto.conformance.drivers.hostile.base import hang, note, pairs, put, take_pair, take_params

__all__ = ["announces", "answers", "answers_unasked", "floods", "reads_nothing"]


def answers(outputs, first=b"", stderr=b"", status=0, signal=0):
    """Reads as many pairs as there are outputs, writes the next output after each, and exits."""
    put(first)
    take_params()
    for output in outputs:
        take_pair()
        put(output)
    put(stderr, fd=2)
    note(is_done=True)
    if signal:
        os.kill(os.getpid(), signal)
    os._exit(status)


def answers_unasked(data):
    """Writes all answers before it reads a byte; then reads everything."""
    put(data)
    take_params()
    for _ in pairs():
        pass


def reads_nothing(data):
    """Writes all answers, reads nothing, exits with status 0."""
    put(data)
    os._exit(0)


def announces(data):
    """Answers the first pair with this, and then does nothing for ever."""
    take_params()
    take_pair()
    put(data)
    note(is_done=True)
    hang()


def floods(data):
    """Writes without end, and reads nothing but the parameters."""
    take_params()
    while True:
        put(data)
