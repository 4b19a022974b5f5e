"""Inner join of two CSV files on a column that both have.

When to use it: to join tables that are too large for memory. Memory holds only the rows of one key
at a time.

    kvproto run kvproto.examples.join.Join -Pparams=customer_id --out jsonl customers.csv orders.csv
"""

import csv
import itertools
from collections.abc import Iterable, Iterator
from typing import TextIO

from kvproto.classic import Job, kvgroup
from kvproto.classic.func import nop_map

Row = dict[str, str]
Side = tuple[str, tuple[str, Row]]
"""(key, (url of the table, row))."""


class Join(Job):
    """(key, row) for each two rows with the same key, joined; params is the name of the column."""

    map = staticmethod(nop_map)
    sort = True

    @staticmethod
    def map_reader(fd: TextIO, size: int | None, url: str, params: str) -> Iterator[Side]:
        for row in csv.DictReader(fd):
            yield row.pop(params), (url, row)

    @staticmethod
    def reduce(pairs: Iterable[Side], params: str) -> Iterator[tuple[str, Row]]:
        for key, sides in kvgroup(pairs):
            tables: dict[str, list[Row]] = {}
            for url, row in sides:
                tables.setdefault(url, []).append(row)
            if len(tables) == 2:
                for one, other in itertools.product(*(tables[url] for url in sorted(tables))):
                    yield key, one | other
