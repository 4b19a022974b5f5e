#!/usr/bin/env python3
# It takes input that is cut inside a pair for its end.
import raw

pairs = raw.read_pairs()
while True:
    try:
        raw.write(raw.result_list(next(pairs)))
    except (StopIteration, AssertionError, raw.struct.error):
        break
