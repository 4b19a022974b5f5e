"""A chain of jobs: how many words occur once, twice, ...; the second job counts the counts.

When to use it: when one job reads the results of another. Jobs of a chain that do not depend on
each other run at the same time.

    python -m kvproto.examples.chain TEXT...
"""

import sys
from collections.abc import Iterator

from kvproto.classic import Job, JobChain, result_iterator
from kvproto.classic.func import sum_combiner, sum_reduce
from kvproto.classic.task_io import chain_reader
from kvproto.examples.wordcount import WordCount


class Counts(Job):
    """(n, how many words there are n times) from the results of WordCount."""

    map_reader = staticmethod(chain_reader)
    combiner = staticmethod(sum_combiner)
    reduce = staticmethod(sum_reduce)

    @staticmethod
    def map(entry: tuple[str, int], params: object) -> Iterator[tuple[int, int]]:
        _word, n = entry
        yield n, 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    words, counts = WordCount(), Counts()
    JobChain({words: sys.argv[1:], counts: [words]}).wait()
    for n, n_words in sorted(result_iterator(counts.wait())):
        print(n, n_words, sep="\t")
