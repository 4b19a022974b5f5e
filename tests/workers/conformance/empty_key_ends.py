#!/usr/bin/env python3
# It takes an empty key for the end of its input.
import raw

for key, value in raw.read_pairs():
    if not key:
        break
    raw.write(raw.result_list((key, value)))
