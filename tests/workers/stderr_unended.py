#!/usr/bin/env python3
# Good: the last line on stderr has no newline.
import os

import raw

raw.echo()
os.write(2, b"no newline here")
