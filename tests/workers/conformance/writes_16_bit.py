#!/usr/bin/env python3
# Its numbers are of 2 bytes.
import struct

import raw

for key, value in raw.read_pairs():
    raw.write(
        struct.pack("<HH", 1, len(key) % 65536)
        + key
        + struct.pack("<H", len(value) % 65536)
        + value
    )
