#!/usr/bin/env python3
# WorkerExitedEarly: exits 0 after it has answered 10 of 1000 pairs.
import raw

raw.echo(n_pairs=10)
