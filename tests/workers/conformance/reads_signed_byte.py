#!/usr/bin/env python3
# It reads the lowest byte of a size as a signed number: wrong from 128 on.
import struct

import raw


def take_item(size):
    return raw.take(struct.unpack("<bbh", size)[0] + struct.unpack("<I", size)[0] // 256 * 256)


raw.read_params()
while size := raw.stdin.read(4):
    raw.write(raw.result_list((take_item(size), take_item(raw.take(4)))))
