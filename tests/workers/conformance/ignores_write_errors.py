#!/usr/bin/env python3
# It does not look at what its writes give.
import contextlib
import os

import raw

for pair in raw.read_pairs():
    with contextlib.suppress(OSError):
        os.write(1, raw.result_list(pair))
