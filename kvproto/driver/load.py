"""What the runs of a worker use, and whether they compute or wait for the driver."""

from __future__ import annotations

import time
from typing import NamedTuple

from kvproto.driver.exchange import Exchange

__all__ = ["Load", "measured"]


class Load(NamedTuple):
    """What one or several runs of a worker have used.

    Attributes
    ----------
    cpu : float
        Seconds of CPU. A run that was killed counts as 0.
    memory : int
        The most bytes of memory that one of the runs had; 0: unknown.
    computing, waiting_for_input, waiting_for_output : float
        Seconds, which add up to the time that the runs took. The driver estimates them from the
        outside: a run computes while it has CPU, and while it has input and room for output.
        Otherwise it waits, for input that the driver is reading, or until the driver has dealt with
        output.
    """

    cpu: float = 0.0
    memory: int = 0
    computing: float = 0.0
    waiting_for_input: float = 0.0
    waiting_for_output: float = 0.0

    def plus(self, other: Load) -> Load:
        """Return the load of both."""
        return Load(
            self.cpu + other.cpu,
            max(self.memory, other.memory),
            *(one + another for one, another in zip(self[2:], other[2:], strict=True)),
        )


def measured(exchange: Exchange[object]) -> Load:
    """Return the load of a run until now."""
    process, outside = exchange.process, exchange.paused_seconds
    seconds = time.monotonic() - exchange.began
    computing = min(seconds, max(process.cpu, seconds - outside))
    waiting = seconds - computing
    for_input = waiting * (exchange.source_seconds / outside) if outside else 0.0
    return Load(process.cpu, process.memory, computing, for_input, waiting - for_input)
