#!/usr/bin/env python3
# Its numbers are big-endian.
import struct

import raw

for key, value in raw.read_pairs():
    raw.write(struct.pack(">II", 1, len(key)) + key + struct.pack(">I", len(value)) + value)
