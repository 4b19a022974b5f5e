#!/usr/bin/env python3
# Good: answers each pair with itself, by the standard library alone.
import struct
import sys

stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
params = stdin.read(int(stdin.readline()))
while size := stdin.read(4):
    key = stdin.read(*struct.unpack("<I", size))
    value = stdin.read(*struct.unpack("<I", stdin.read(4)))
    stdout.write(struct.pack("<II", 1, len(key)) + key + struct.pack("<I", len(value)) + value)
    stdout.flush()
