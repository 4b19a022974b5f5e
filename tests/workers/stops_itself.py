#!/usr/bin/env python3
# WorkerHung: stops itself.
import os
import signal

import raw

raw.echo(n_pairs=1)
os.kill(os.getpid(), signal.SIGSTOP)
