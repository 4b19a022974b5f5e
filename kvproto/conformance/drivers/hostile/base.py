"""The start of each hostile worker: its input, its output, and its reports to the kit.

A program is this text and then the function that makes it hostile: one file that needs only Python.
A program also writes its input, as it arrives, to a file of the kit. Its reports (`note`) go to a
FIFO of the kit, which all processes that it forks hold open, so that the kit knows when the last
one has ended.
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False  # that of `typing`, which loads slowly
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

_kit: dict[str, Any] = {}


def begin(notes: str, record: str, n_params: int | None, n_pairs: int) -> None:
    """Open the files of the kit; to be called first.

    n_params  bytes of parameters that are not a parameter set; None for a set
    n_pairs   pairs of the whole input
    """
    _kit.update(n_params=n_params, n_pairs=n_pairs)
    _kit["notes"] = os.open(notes, os.O_WRONLY)
    _kit["record"] = os.open(record, os.O_WRONLY | os.O_APPEND)
    note(pid=os.getpid(), group=os.getpgrp(), directory=os.getcwd())


def note(**facts: Any) -> None:
    """Report facts to the kit."""
    os.write(_kit["notes"], ascii(facts).encode() + b"\n")


def forget_kit() -> None:
    """Close the files of the kit, in a process that may outlive the check."""
    os.close(_kit["notes"])
    os.close(_kit["record"])


def take(n: int) -> bytes:
    """Read n bytes of input, fewer at its end."""
    data = b""
    while len(data) < n and (piece := os.read(0, n - len(data))):
        os.write(_kit["record"], piece)
        data += piece
    return data


def take_params() -> bytes:
    """Read all of the parameters."""
    if _kit["n_params"] is not None:
        return take(_kit["n_params"])
    head = b""
    while not head.endswith(b"\n"):
        byte = take(1)
        if not byte:
            os._exit(3)
        head += byte
    return head + take(int(head))


def take_pair() -> tuple[bytes, bytes] | None:
    """Read a key and a value; None at end of file."""
    size = take(4)
    if not size:
        note(has_end=True)
        return None
    key = take(struct.unpack("<I", size)[0])
    return key, take(struct.unpack("<I", take(4))[0])


def pairs() -> Iterator[tuple[bytes, bytes]]:
    """Read all pairs."""
    n = 0
    while True:
        if n == _kit["n_pairs"]:
            note(waits_for_end=True)
        pair = take_pair()
        if pair is None:
            return
        n += 1
        yield pair


def packed(*pairs: tuple[bytes, bytes]) -> bytes:
    """Encode a result list."""
    parts = [struct.pack("<I", len(data)) + data for pair in pairs for data in pair]
    return struct.pack("<I", len(pairs)) + b"".join(parts)


def put(data: bytes, fd: int = 1) -> None:
    """Write all of the data."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def answer_all() -> None:
    """Read the parameters, and return each pair."""
    take_params()
    for pair in pairs():
        put(packed(pair))


def hang() -> NoReturn:
    """Do nothing forever, without a limit of time: the kit can prove that."""
    never, _open = os.pipe()
    while True:
        os.read(never, 1)
