#!/usr/bin/env python3
# Good: its message is not UTF-8.
import os

import raw

os.write(2, b"**<MSG> caf\xe9 \xff\n")
raw.echo()
