#!/bin/sh
# Good: sets up an environment and becomes a supporting file.
LC_ALL=C exec ./echo.py "$@"
