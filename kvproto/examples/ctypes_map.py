"""A map that calls a C library through ctypes: the Bessel function J0 of each number, by the C
library's libm.

When to use it: when a library already does the work, so that you need not write a program. To send
a library with the job, use `required_files = ["mylib.so"]`: `ctypes.CDLL("mylib.so")` finds it.

    kvproto run kvproto.examples.ctypes_map.Bessel NUMBERS.txt
"""

import ctypes
import ctypes.util
from collections.abc import Iterator

from kvproto.classic import Job, Params


class Bessel(Job):
    """(number, J0 of it) for each line."""

    @staticmethod
    def map_init(entries: Iterator[str], params: Params) -> None:
        params.libm = ctypes.CDLL(ctypes.util.find_library("m"))
        params.libm.j0.restype = ctypes.c_double
        params.libm.j0.argtypes = [ctypes.c_double]

    @staticmethod
    def map(line: str, params: Params) -> Iterator[tuple[float, float]]:
        number = float(line)
        yield number, params.libm.j0(number)
