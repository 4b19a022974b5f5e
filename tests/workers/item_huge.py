#!/usr/bin/env python3
# WorkerOutputError: a key announces 4294967295 bytes.
import raw

for _pair in raw.read_pairs():
    raw.write(b"\x01\0\0\0\xff\xff\xff\xff")
