#!/usr/bin/env python3
# WorkerOutputError: the last value ends 3 bytes short.
import raw

late = b""
for pair in raw.read_pairs():
    raw.write(late)
    late = raw.result_list(pair)
raw.write(late[:-3])
