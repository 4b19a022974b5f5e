"""What an attempt uses of its machine, as its task process measures it."""

from __future__ import annotations

import os
import socket
import time
from typing import NamedTuple

from kvproto.driver import proc

__all__ = ["Usage", "Watch"]


class Usage(NamedTuple):
    """Fields of the event `TaskEnded`, in its order."""

    start: float
    end: float
    host: str
    pid: int
    user: float
    system: float
    memory: int


class Watch:
    """Measures from now on, in a process that may have run other attempts before."""

    def __init__(self) -> None:
        self._start, self._times = time.time(), os.times()
        self._is_peak_known = proc.reset_peak()

    def usage(self) -> Usage:
        """Return what was used until now. Programs count when they have ended."""
        before, now = self._times, os.times()
        return Usage(
            start=self._start,
            end=max(self._start, time.time()),
            host=socket.gethostname(),
            pid=os.getpid(),
            user=now.user - before.user + (now.children_user - before.children_user),
            system=now.system - before.system + (now.children_system - before.children_system),
            memory=proc.peak_memory() if self._is_peak_known else 0,
        )
