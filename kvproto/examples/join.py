"""Inner join of two CSV files on a column that both have.

When to use it: to bring together tables that are too large for memory: only the rows of one key are held at a time.

    kvproto run kvproto.examples.join.Join -P params customer_id --out jsonl customers.csv orders.csv
"""

import csv
import itertools

from kvproto.classic import Job, kvgroup
from kvproto.classic.func import nop_map


class Join(Job):
    """(key, row) for each two rows with the same key, as one dict; params is the name of the key's column."""

    map = staticmethod(nop_map)
    sort = True

    def map_reader(fd, size, url, params):
        for row in csv.DictReader(fd):
            yield row.pop(params), (url, row)

    def reduce(pairs, params):
        for key, sides in kvgroup(pairs):
            tables = {}
            for url, row in sides:
                tables.setdefault(url, []).append(row)
            if len(tables) == 2:
                for one, other in itertools.product(*(tables[url] for url in sorted(tables))):
                    yield key, one | other
