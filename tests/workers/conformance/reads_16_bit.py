#!/usr/bin/env python3
# It reads the first 2 bytes of a size alone: wrong from 65536 on.
import struct

import raw


def take_item(size):
    return raw.take(struct.unpack("<HH", size)[0])


raw.read_params()
while size := raw.stdin.read(4):
    raw.write(raw.result_list((take_item(size), take_item(raw.take(4)))))
