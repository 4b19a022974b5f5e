"""Sorting a list of pairs, for the tests of the sort."""

import os
from itertools import chain

from kvproto.engine.sort import sort_pairs
from kvproto.storage.typed_records import pairs_in


def batches(pairs, size=7):
    """The pairs in lists of so many."""
    return [pairs[at : at + size] for at in range(0, len(pairs), size)]


def by_sort(pairs, directory, buffer_size="1M", size=7):
    """Sort the pairs. Nothing may be left in the directory."""
    sorted_ = sort_pairs(iter(batches(pairs, size)), buffer_size, str(directory))
    done = list(chain.from_iterable(map(pairs_in, sorted_)))
    assert os.listdir(directory) == []
    return done
