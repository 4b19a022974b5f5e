#!/usr/bin/env python3
# It takes what one read gives for all that it asked for.
import os
import struct

import raw


def take(n_bytes):
    data = os.read(0, n_bytes) if n_bytes else b""
    if len(data) < n_bytes:
        raise EOFError("cut short")
    return data


assert take(2) == b"0\n"
while size := os.read(0, 4):
    key = take(*struct.unpack("<I", size))
    raw.write(raw.result_list((key, take(*struct.unpack("<I", take(4))))))
