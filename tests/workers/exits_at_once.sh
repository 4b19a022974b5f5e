#!/bin/sh
# WorkerExitedEarly: exits 0 and has read nothing.
exit 0
