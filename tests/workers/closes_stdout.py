#!/usr/bin/env python3
# WorkerClosedStdout: answers everything, closes stdout, lives on.
import os

import raw

raw.echo()
os.close(1)
raw.hang()
