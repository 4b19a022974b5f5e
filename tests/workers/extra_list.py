#!/usr/bin/env python3
# WorkerOutputError: one list more than there were pairs.
import raw

raw.echo()
raw.write(raw.result_list((b"one", b"more")))
