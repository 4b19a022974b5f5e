"""Grep: the lines that match a regular expression, each with the file that it is in.

When to use it: to search more text than one core can read quickly, and to see how your own reader
gets the parameter of a job, which comes from the command line here.

    kvproto run kvproto.examples.grep.Grep -P params='err|warn' /var/log
"""

import re
from collections.abc import Iterator
from typing import TextIO

from kvproto.classic import Job
from kvproto.classic.func import nop_map


class Grep(Job):
    """(url, line) for each line in which params, a regular expression, matches somewhere."""

    map = staticmethod(nop_map)
    params = ""

    @staticmethod
    def map_reader(
        fd: TextIO, size: int | None, url: str, params: str
    ) -> Iterator[tuple[str, str]]:
        matches = re.compile(params).search
        for line in fd:
            if matches(line):
                yield url, line.rstrip("\n")
