#!/usr/bin/env python3
# WorkerExitedEarly: reads all, answers nothing, exits 0.
import raw

list(raw.read_pairs())
