#!/usr/bin/env python3
# WorkerLeftChild: exits 0, and a child of it holds stdout.
import os

import raw

raw.echo()
if os.fork() == 0:
    raw.hang()
