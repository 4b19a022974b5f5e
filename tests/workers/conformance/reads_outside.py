#!/usr/bin/env python3
# It reads a file that is not its own.
import raw

with open("/etc/group") as file:
    file.read()
raw.echo()
