#!/usr/bin/env python3
# WorkerExitedEarly: exits 1 after it has answered the first pair.
import sys

import raw

raw.echo(n_pairs=1)
sys.exit(1)
