#!/usr/bin/env python3
# WorkerOutputError: each list announces 1 pair and has 2.
import raw

for pair in raw.read_pairs():
    raw.write(raw.result_list(pair, pair, count=1))
