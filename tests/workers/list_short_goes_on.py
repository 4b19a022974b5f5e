#!/usr/bin/env python3
# WorkerOutputError: each list announces 2 pairs and has 1.
import raw

for pair in raw.read_pairs():
    raw.write(raw.result_list(pair, count=2))
