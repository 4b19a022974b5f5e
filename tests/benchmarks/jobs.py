"""Jobs of functions that the benchmarks run."""

from kvproto.classic import Job
from kvproto.classic.func import nop_reduce, sum_combiner
from kvproto.examples.wordcount import WordCount


class Different(Job):
    """(line, 1) of lines that differ: what a combiner sums comes to nothing."""

    combiner = staticmethod(sum_combiner)
    reduce = staticmethod(nop_reduce)
    partitions = 2

    def map(line, params):
        yield line, 1


class SortedWords(WordCount):
    """A pair for each word goes through the sort: str keys, int values."""

    combiner = None
    partitions = 2
    sort = True
