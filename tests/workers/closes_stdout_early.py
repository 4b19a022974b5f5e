#!/usr/bin/env python3
# WorkerClosedStdout: answers the first pair, closes stdout, lives on.
import os

import raw

raw.echo(n_pairs=1)
os.close(1)
raw.hang()
