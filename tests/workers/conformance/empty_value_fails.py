#!/usr/bin/env python3
# It fails on an empty value.
import raw

for key, value in raw.read_pairs():
    assert value[0] < 256
    raw.write(raw.result_list((key, value)))
