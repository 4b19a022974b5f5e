"""A job of functions that keep nothing, or let go of what they had: its memory must not grow with
its input.
"""

from kvproto.classic import Job
from kvproto.classic.func import nop_reduce, sum_combiner


class Different(Job):
    """(line, 1) of lines that differ: what a combiner sums comes to nothing."""

    combiner = staticmethod(sum_combiner)
    reduce = staticmethod(nop_reduce)
    partitions = 2

    def map(line, params):
        yield line, 1
