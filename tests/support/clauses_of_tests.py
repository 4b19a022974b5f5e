"""Collects all tests, runs none, and prints as one line of JSON which clauses their marks name: {clause: [test, ...]}.

A program of its own, since pytest cannot be called from within pytest. A test that is always skipped does not count.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import pytest


class ClauseCollector:
    def __init__(self) -> None:
        self.tests = defaultdict(list)

    def pytest_collection_finish(self, session) -> None:
        for item in session.items:
            if item.get_closest_marker("skip") is None:
                for mark in item.iter_markers("clause"):
                    for clause in mark.args:
                        self.tests[clause].append(item.nodeid)


if __name__ == "__main__":
    collector = ClauseCollector()
    options = ["--collect-only", "-qq", "-p", "no:cacheprovider"]
    exit_code = pytest.main([*options, str(Path(__file__).parents[1])], plugins=[collector])
    print(json.dumps(collector.tests))
    sys.exit(exit_code)
