#!/usr/bin/env python3
# WorkerWroteText: a line of text on stdout behind the last list.
import raw

raw.echo()
raw.write(b"all done\n")
