#!/usr/bin/env python3
# It keeps a log.
import raw

with open("log", "w") as file:
    file.write("started\n")
raw.echo()
