#!/usr/bin/env python3
# WorkerHung: closes stdin after the first pair, answers no more, lives on.
import os

import raw

raw.echo(n_pairs=1)
os.close(0)
raw.hang()
