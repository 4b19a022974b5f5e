#!/usr/bin/env python3
# Good, but untidy: leaves a process in a session of its own that holds none of its descriptors. It
# must not outlive the driver.
import os

import raw

raw.echo()
is_apart, tell = os.pipe()
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    os.close(tell)
    raw.hang()
os.close(tell)
os.read(is_apart, 1)  # its end: the other process has closed its descriptors
