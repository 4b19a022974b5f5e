#!/usr/bin/env python3
# It needs HOME in its environment.
import os

import raw

assert os.environ["HOME"]
raw.echo()
