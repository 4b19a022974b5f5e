#!/usr/bin/env python3
# Good: answers each pair with itself, by the standard library alone.
import struct
import sys

stdin, stdout = sys.stdin.buffer, sys.stdout.buffer


def take(n_bytes):
    data = stdin.read(n_bytes)
    if len(data) < n_bytes:
        sys.exit("**<ERR> the input is cut short")
    return data


head = stdin.readline()
if not head.endswith(b"\n"):
    sys.exit("**<ERR> the parameters are cut short")
params = take(int(head))
while size := stdin.read(4):
    key = take(*struct.unpack("<I", size))
    value = take(*struct.unpack("<I", take(4)))
    stdout.write(struct.pack("<II", 1, len(key)) + key + struct.pack("<I", len(value)) + value)
    stdout.flush()
