#!/usr/bin/env python3
# It takes what nobody reads for written.
import contextlib
import os

import raw

for pair in raw.read_pairs():
    answer = raw.result_list(pair)
    with contextlib.suppress(BrokenPipeError):
        os.write(1, answer)
