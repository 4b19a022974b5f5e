#!/usr/bin/env python3
# It writes pairs without num-pairs.
import raw

for pair in raw.read_pairs():
    raw.write(raw.pair(*pair))
