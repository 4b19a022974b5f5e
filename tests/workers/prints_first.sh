#!/bin/sh
# WorkerWroteText: a greeting on stdout before the first list.
echo starting
exec ./echo.py
