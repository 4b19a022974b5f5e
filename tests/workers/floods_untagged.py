#!/usr/bin/env python3
# Good: 40 MB on stderr, one line without a tag and without an end, in the middle of the first list.
import sys

import raw

for index, (key, value) in enumerate(raw.read_pairs()):
    data = raw.result_list((key, value))
    raw.write(data[:6])
    if index == 0:
        for _ in range(40):
            sys.stderr.write("y" * 1_000_000)
    raw.write(data[6:])
