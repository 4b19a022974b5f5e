"""Inverted index: for each word the files that it is in.

When to use it: to look things up in text that stays as it is; wherever an entry needs to know which input it is from.

    kvproto run kvproto.examples.inverted_index.InvertedIndex --partitions 4 --out jsonl TEXT...
"""

import re

from kvproto.classic import Job, kvgroup
from kvproto.classic.func import nop_map


class InvertedIndex(Job):
    """(word in lower case, sorted list of the urls that have it), in the order of the words of each partition."""

    map = staticmethod(nop_map)
    sort = True

    def map_reader(fd, size, url, params):
        words = set()
        for line in fd:
            words.update(re.findall(r"\w+", line.lower()))
        for word in words:
            yield word, url

    def reduce(pairs, params):
        for word, urls in kvgroup(pairs):
            yield word, sorted(urls)
