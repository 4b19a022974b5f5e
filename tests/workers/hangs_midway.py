#!/usr/bin/env python3
# WorkerHung: answers the first pair, reads no more.
import raw

raw.echo(n_pairs=1)
raw.hang()
