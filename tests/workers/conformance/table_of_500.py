#!/usr/bin/env python3
# It has room for 500 pairs.
import raw

for index, pair in enumerate(raw.read_pairs()):
    assert index < 500
    raw.write(raw.result_list(pair))
