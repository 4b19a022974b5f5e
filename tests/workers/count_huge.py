#!/usr/bin/env python3
# WorkerOutputError: a list announces 4294967295 pairs and has 1.
import raw

pairs = list(raw.read_pairs()) or [(b"", b"")]
raw.write(raw.result_list(pairs[0], count=0xFFFFFFFF))
