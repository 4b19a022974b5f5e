#!/usr/bin/env python3
# WorkerExitedEarly: exits 0 after it has answered the first pair.
import raw

raw.echo(n_pairs=1)
