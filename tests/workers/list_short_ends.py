#!/usr/bin/env python3
# WorkerOutputError: the last list announces 2 pairs and has 1.
import raw

late, pair = b"", (b"", b"")
for pair in raw.read_pairs():
    raw.write(late)
    late = raw.result_list(pair)
raw.write(raw.result_list(pair, count=2))
