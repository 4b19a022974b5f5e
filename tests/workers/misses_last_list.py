#!/usr/bin/env python3
# WorkerExitedEarly: the last pair gets no answer.
import raw

last = None
for pair in raw.read_pairs():
    if last is not None:
        raw.write(raw.result_list(last))
    last = pair
