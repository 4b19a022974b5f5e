#!/usr/bin/env python3
"""The reference contract (kvproto/conformance/CONTRACT.md) in Python, standard library only."""

from __future__ import annotations

import io
import os
import struct
import sys

TYPE_CHECKING = False  # that of `typing`, which takes longer to load than Python to start
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

U32 = struct.Struct("<I")
PIECE = 1 << 20  # bytes asked for at a time, whatever size was announced
MAX_BYTES = 1 << 30


class Fault(Exception):
    """The text of an ERR line."""


class Tied(io.RawIOBase):
    """Unbuffered stdin, which flushes stdout before each read."""

    def __init__(self, stdout: io.BufferedWriter[Any]) -> None:
        self.stdout = stdout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.stdout.flush()
        return os.readv(0, [buffer])


def tell(tag: bytes, text: bytes) -> None:
    line = b"**<%s> %s\n" % (tag, text.replace(b"\n", b"\n**<%s> " % tag))
    os.write(2, line)


def read_exactly(stdin: io.BufferedIOBase, size: int, what: str) -> bytes:
    first = stdin.read(min(size, PIECE))
    if len(first) == size:
        return first
    data = bytearray(first)
    while len(data) < size:
        piece = stdin.read(min(size - len(data), PIECE))
        if not piece:
            raise Fault(f"truncated input: {what} has {len(data)} bytes of {size}")
        data += piece
    return bytes(data)


def read_item(stdin: io.BufferedReader, what: str) -> bytes:
    size = int.from_bytes(read_exactly(stdin, 4, "a size"), "little")
    if size > MAX_BYTES:
        raise Fault(f"a {what} of {size} bytes is over the limit of {MAX_BYTES}")
    return read_exactly(stdin, size, what)


def pairs(stdin: io.BufferedReader) -> Iterator[tuple[bytes, bytes]]:
    while stdin.peek(1):
        yield read_item(stdin, "key"), read_item(stdin, "value")


def read_number(stdin: io.BufferedIOBase, closing: bytes, what: str) -> int:
    digits = b""
    while (byte := stdin.read(1)) != closing:
        digits += byte
        if not digits.isdigit() or not byte or len(digits) > 10:
            raise Fault(f"parameters: {what} is not 1 to 10 digits and {closing!r}")
    if not digits:
        raise Fault(f"parameters: {what} is empty")
    return int(digits)


def read_params(stdin: io.BufferedReader) -> dict[bytes, bytes]:
    total = read_number(stdin, b"\n", "the total")
    if total > MAX_BYTES:
        raise Fault(f"parameters of {total} bytes are over the limit of {MAX_BYTES}")
    entries = io.BytesIO(read_exactly(stdin, total, "the parameter set"))
    params: dict[bytes, bytes] = {}
    while entries.tell() < total:
        halves: list[bytes] = []
        for what, closing in ("name", b" "), ("value", b"\n"):
            size = read_number(entries, b" ", f"the size of a {what}")
            halves.append(read_exactly(entries, size, f"parameters: a {what}"))
            if entries.read(1) != closing:
                raise Fault(f"parameters: a {what} is not followed by {closing!r}")
        params[halves[0]] = halves[1]
    return params


def needed(params: dict[bytes, bytes], name: bytes) -> bytes:
    if name not in params:
        raise Fault(f"the parameter {name.decode()} is missing")
    return params[name]


def number(params: dict[bytes, bytes], name: bytes) -> int:
    text = needed(params, name)
    if not (text.isdigit() and len(text) <= 10 and int(text) < 1 << 32):
        raise Fault(f"the parameter {name.decode()} is not a number up to 4294967295")
    return int(text)


def write_list(
    stdout: io.BufferedWriter[Any], count: int, some_pairs: Iterable[tuple[bytes, bytes]]
) -> None:
    stdout.write(U32.pack(count))
    for key, value in some_pairs:
        stdout.write(U32.pack(len(key)) + key)
        stdout.write(U32.pack(len(value)) + value)


def read_file(name: bytes) -> bytes:
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise Fault(f"not the plain name of a file: {name!r}")
    with open(name, "rb") as file:
        return file.read()


def run(mode: str, stdin: io.BufferedReader, stdout: io.BufferedWriter[Any]) -> None:
    params = read_params(stdin)
    do = params.get(b"do", b"echo")
    if do == b"echo" or (do == b"hold" and mode == "map"):
        for pair in pairs(stdin):
            write_list(stdout, 1, [pair])
    elif do == b"fan":
        n = number(params, b"n")
        for pair in pairs(stdin):
            write_list(stdout, n, (pair for _ in range(n)))
    elif do == b"sink":
        for _ in pairs(stdin):
            if mode == "map":
                write_list(stdout, 0, [])
    elif do == b"params":
        listed = sorted(params.items())
        for _ in pairs(stdin):
            if mode == "map":
                write_list(stdout, len(listed), listed)
        if mode == "reduce":
            write_list(stdout, len(listed), listed)
    elif do == b"say":
        text = needed(params, b"text")
        for index, pair in enumerate(pairs(stdin)):
            tell(b"MSG", b"%s %d" % (text, index))
            write_list(stdout, 1, [pair])
    elif do == b"err":
        text, at = needed(params, b"text"), number(params, b"at")
        for index, pair in enumerate(pairs(stdin)):
            if index == at:
                raise Fault(text.decode(errors="surrogateescape"))
            write_list(stdout, 1, [pair])
    elif do == b"file":
        name = needed(params, b"name")
        contents = read_file(name)
        for _ in pairs(stdin):
            write_list(stdout, 1, [(name, contents)])
    elif do == b"hold":
        every = list(pairs(stdin))
        write_list(stdout, len(every), every)
    else:
        raise Fault(f"do={do!r}: not a thing that the contract knows")


def main() -> None:
    mode = sys.argv[-1] if len(sys.argv) > 1 else ""
    try:
        if mode not in ("map", "reduce"):
            raise Fault(f"the last argument is map or reduce, not {mode!r}")
        stdout = io.BufferedWriter(io.FileIO(1, "w", closefd=False), PIECE)
        try:
            run(mode, io.BufferedReader(Tied(stdout), PIECE), stdout)
        finally:
            stdout.flush()
        os.close(1)
    except (Fault, OSError, MemoryError) as error:
        text = "out of memory" if isinstance(error, MemoryError) else str(error)
        tell(b"ERR", text.encode(errors="surrogateescape"))
        os._exit(1)  # what stdout still holds cannot be written: do not try again at exit


if __name__ == "__main__":
    main()
