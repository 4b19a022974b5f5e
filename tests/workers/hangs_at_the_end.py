#!/usr/bin/env python3
# WorkerHung: answers everything, then does not exit.
import raw

raw.echo()
raw.hang()
