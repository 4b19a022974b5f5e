"""The classic interface: describe a job in Python, and run it.

class Words(Job):
    @staticmethod
    def map(line, params):
        for word in line.split():
            yield word, 1
    combiner = sum_combiner
    reduce = sum_reduce

for word, count in result_iterator(Words().run(input=["text"]).wait()): ...
"""

from typing import Any

from kvproto.classic.chain import JobChain
from kvproto.classic.core import result_iterator
from kvproto.classic.job import Job
from kvproto.classic.params import Params
from kvproto.classic.util import kvgroup

__all__ = ["Job", "JobChain", "Params", "external", "kvgroup", "result_iterator"]


def __getattr__(name: str) -> Any:
    if name == "external":
        from kvproto.driver.program import external  # noqa: PLC0415 (it loads subprocess)

        return external
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
