#!/usr/bin/env python3
# WorkerHung: hangs, and no polite signal ends it.
import signal

import raw

for polite in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(polite, signal.SIG_IGN)
raw.echo(n_pairs=1)
raw.hang()
