"""Reading the results of jobs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from kvproto.engine.results import read_result

__all__ = ["result_iterator"]


def result_iterator(results: str | os.PathLike | Iterable) -> Iterator[tuple]:
    """Yield the (key, value) pairs of result files, one file after the other.

    results  what `Job.wait()` returned: a list of paths; or one path
    Keys and values are bytes where an external program wrote them, Python objects where a function did.
    Raises DataError that names the file when it is missing, was cut or damaged.
    """
    if isinstance(results, (str, os.PathLike)):
        results = [results]
    for path in results:
        yield from read_result(os.fspath(path))
