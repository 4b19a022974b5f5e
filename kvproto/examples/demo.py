"""The demo: count the words of real text, with the C program `wordcount` as map and reduce.

Prints the twenty most frequent words, the time and the speed. Without inputs it reads the sources
of Python's standard library.

When to use it: to see how fast your machine does this, and how a job runs your own program.

    kvproto demo TEXT...
"""

from __future__ import annotations

import heapq
import os
import sys
import sysconfig
import time
from collections.abc import Sequence
from typing import Any

from kvproto._text import amount
from kvproto.classic import Job, external, result_iterator
from kvproto.classic.progress import Progress
from kvproto.errors import JobError

__all__ = ["WordCount", "library_sources", "main", "program"]

N_SHOWN = 20


class WordCount(Job):
    """(word, how often) of the inputs' lines, both bytes, by an external program alone."""

    partitions = 2


def program() -> str:
    """Return the path of the compiled `wordcount`. JobError if it was not built."""
    path = os.path.join(os.path.dirname(__file__), "bin", "wordcount")
    if not os.path.exists(path):
        raise JobError(
            f"{path} is missing: kvproto runs from its source tree; "
            "build it with `make build`, or install with `pip install .`"
        )
    return path


def library_sources() -> list[str]:
    """The .py files of Python's standard library."""
    paths = []
    for folder, folders, names in os.walk(sysconfig.get_paths()["stdlib"]):
        folders[:] = sorted(set(folders) - {"__pycache__", "dist-packages", "site-packages"})
        paths += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
    return paths


def main(inputs: Sequence[str] = ()) -> int:
    """Run the demo over inputs (files, directories, urls), print the results, and return 0."""
    wordcount = external([program()])
    n_bytes = 0
    progress = Progress()

    def on_event(event: dict[str, Any]) -> None:
        nonlocal n_bytes
        if event["event"] == "progress" and event["stage"] == "map":
            n_bytes = event["bytes"]
        progress(event)

    began = time.monotonic()
    job = WordCount().run(
        input=list(inputs) or library_sources(), map=wordcount, reduce=wordcount, on_event=on_event
    )
    results = job.wait()
    seconds = time.monotonic() - began
    _print_most_frequent(results)
    print(f"{amount(n_bytes)} in {seconds:.2f} s: {amount(n_bytes / seconds)}/s")
    print(f"results: {os.path.dirname(results[0])}")
    return 0


def _print_most_frequent(results: list[str]) -> None:
    counts = ((int(count), word) for word, count in result_iterator(results))
    for count, word in heapq.nlargest(N_SHOWN, counts):
        print(f"{count:10,}  {word.decode('utf-8', 'backslashreplace')}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
