#!/usr/bin/env python3
# WorkerWroteText: a line of text on stdout after each list.
import raw

for index, pair in enumerate(raw.read_pairs()):
    raw.write(raw.result_list(pair))
    raw.write(b"done with pair %d\n" % index)
