#!/usr/bin/env python3
# It does not look at what the write of a large answer gives.
import os

import raw

for pair in raw.read_pairs():
    answer = raw.result_list(pair)
    try:
        os.write(1, answer)
    except OSError:
        if len(answer) < 4096:
            raise
