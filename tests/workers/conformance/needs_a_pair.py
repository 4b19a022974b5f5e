#!/usr/bin/env python3
# It fails when there is no input: the mean of nothing.
import raw

pairs = 0
for pairs, pair in enumerate(raw.read_pairs(), 1):  # noqa: B007
    raw.write(raw.result_list(pair))
1 / pairs
