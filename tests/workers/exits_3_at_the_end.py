#!/usr/bin/env python3
# WorkerFailed: all answers are good, then exit status 3.
import sys

import raw

raw.echo()
sys.exit(3)
