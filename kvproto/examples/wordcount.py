"""Count words in Python: the smallest job with a map, a combiner and a reduce.

When to use it: when the map is a few lines of Python and the input is not huge.
`kvproto.examples.demo` does the same with a program in C.

    kvproto run kvproto.examples.wordcount.WordCount TEXT...
"""

from collections.abc import Iterator

from kvproto.classic import Job
from kvproto.classic.func import sum_combiner, sum_reduce


class WordCount(Job):
    """(word, how often) of text, split at white space."""

    combiner = staticmethod(sum_combiner)
    reduce = staticmethod(sum_reduce)

    @staticmethod
    def map(line: str, params: object) -> Iterator[tuple[str, int]]:
        for word in line.split():
            yield word, 1
