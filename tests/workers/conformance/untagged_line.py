#!/usr/bin/env python3
# It tells people something, without a tag.
import os

import raw

os.write(2, b"reading the lexicon\n")
raw.echo()
