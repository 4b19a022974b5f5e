"""The classic interface: a job written down in Python, run by `kvproto.engine`.

class Words(Job):
    def map(line, params):
        for word in line.split():
            yield word, 1
    combiner = sum_combiner
    reduce = sum_reduce

for word, count in result_iterator(Words().run(input=["text"]).wait()): ...
"""

from kvproto.classic.chain import JobChain
from kvproto.classic.core import result_iterator
from kvproto.classic.job import Job
from kvproto.classic.params import Params
from kvproto.classic.util import kvgroup

__all__ = ["Job", "JobChain", "Params", "external", "kvgroup", "result_iterator"]


def __getattr__(name: str):
    if name == "external":  # imports what runs programs, which describing a job does not need
        from kvproto.driver.program import external

        return external
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
