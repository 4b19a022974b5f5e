#!/usr/bin/env python3
# WorkerCrashed: SIGABRT after all pairs are answered.
import os

import raw

raw.echo()
os.abort()
