"""Inverted index: for each word the files that it is in.

When to use it: to look up words in text that does not change, and when an entry needs to know which
input it comes from.

    kvproto run kvproto.examples.inverted_index.InvertedIndex --partitions 4 --out jsonl TEXT...
"""

import re
from collections.abc import Iterable, Iterator
from typing import TextIO

from kvproto.classic import Job, kvgroup
from kvproto.classic.func import nop_map


class InvertedIndex(Job):
    """(word in lower case, sorted list of the urls that have it), sorted in each partition."""

    map = staticmethod(nop_map)
    sort = True

    @staticmethod
    def map_reader(
        fd: TextIO, size: int | None, url: str, params: object
    ) -> Iterator[tuple[str, str]]:
        words: set[str] = set()
        for line in fd:
            words.update(re.findall(r"\w+", line.lower()))
        for word in words:
            yield word, url

    @staticmethod
    def reduce(pairs: Iterable[tuple[str, str]], params: object) -> Iterator[tuple[str, list[str]]]:
        for word, urls in kvgroup(pairs):
            yield word, sorted(urls)
