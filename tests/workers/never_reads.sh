#!/bin/sh
# WorkerHung: reads nothing, writes nothing.
exec sleep 1000
