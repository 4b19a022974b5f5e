#!/usr/bin/env python3
# It takes a large answer that nobody reads for written.
import os

import raw

for pair in raw.read_pairs():
    answer = raw.result_list(pair)
    try:
        os.write(1, answer)
    except BrokenPipeError:
        if len(answer) < 4096:
            raise
