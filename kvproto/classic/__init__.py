"""The classic interface: describe a job in Python, and run it.

A job is a class, or an instance of `Job` that gets its functions in `run`:

    class Words(Job):
        @staticmethod
        def map(line, params):
            for word in line.split():
                yield word, 1
        combiner = sum_combiner
        reduce = sum_reduce

    for word, count in result_iterator(Words().run(input=["text"]).wait()): ...
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from kvproto.classic import disco_names as disco_names  # finds the modules that have moved

if TYPE_CHECKING:
    from kvproto.classic.chain import JobChain
    from kvproto.classic.core import result_iterator
    from kvproto.classic.job import Job
    from kvproto.classic.params import Params
    from kvproto.classic.util import kvgroup
    from kvproto.driver.files import external

__all__ = ["Job", "JobChain", "Params", "external", "kvgroup", "result_iterator"]

_MODULES = {
    "Job": "kvproto.classic.job",
    "JobChain": "kvproto.classic.chain",
    "Params": "kvproto.classic.params",
    "external": "kvproto.driver.program",
    "kvgroup": "kvproto.classic.util",
    "result_iterator": "kvproto.classic.core",
}


def __getattr__(name: str) -> object:
    """Import a name or a module on first use, because tasks import this package but need few."""
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    module = f"{__name__}.{name}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as e:
        if e.name != module:
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return [*globals(), *__all__]
