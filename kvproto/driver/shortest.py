"""Find the shortest beginning of a reduce's input on which it fails, by bisection.

The input is a file. Each step runs the program on the first pairs of it.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from kvproto.driver.pinpoint import failure_kind
from kvproto.driver.program import ExternalProgram
from kvproto.driver.source import FileRange
from kvproto.errors import WorkerError
from kvproto.protocol.frames import Pair, PairDecoder
from kvproto.protocol.stream import FrameStream

__all__ = ["Pairs", "Shortest", "shortest_failing"]

_BLOCK = 1 << 20


class Shortest(NamedTuple):
    """The shortest beginning that fails.

    Attributes
    ----------
    n_pairs, n_bytes : int
        Its pairs and their bytes.
    n_all : int
        The pairs of the whole input.
    last : (bytes, bytes) or None
        Its last pair; None if the program fails without any pair.
    """

    n_pairs: int
    n_bytes: int
    n_all: int
    last: Pair | None


def shortest_failing(
    program: ExternalProgram, path: str, start: int, tell: Callable[[int, int, bool], object]
) -> Shortest | None:
    """Find the shortest beginning of a reduce's input on which it fails as on the whole.

    Parameters
    ----------
    program : ExternalProgram
    path : str
        A file with the frames, which are well-formed.
    start : int
        The offset in bytes where they begin.
    tell : callable
        Called after each step: tell(pairs of this step, pairs of the whole, whether it failed).

    Returns
    -------
    Shortest or None
        None if the program does not fail on the whole. It fails on the beginning, and not on one
        that is a pair shorter; a program that fails on some input and not on a longer one may have
        a shorter one still.
    """
    with open(path, "rb") as file:
        pairs = Pairs(file.fileno(), start)

        def error_of(n_pairs: int) -> WorkerError | None:
            frames = FileRange(file.fileno(), start, pairs.offset(n_pairs))
            try:
                for _ in program.reduce_frames([frames]):
                    pass
            except WorkerError as error:
                return error
            return None

        whole = error_of(pairs.n_pairs)
        tell(pairs.n_pairs, pairs.n_pairs, whole is not None)
        if whole is None:
            return None

        def fails(n_pairs: int) -> bool:
            error = error_of(n_pairs)
            is_same = error is not None and failure_kind(error) == failure_kind(whole)
            tell(n_pairs, pairs.n_pairs, is_same)
            return is_same

        if not pairs.n_pairs or fails(0):
            return Shortest(0, 0, pairs.n_pairs, None)
        longest, shortest = 0, pairs.n_pairs  # on which it does not fail, and on which it does
        while shortest - longest > 1:
            middle = (longest + shortest) // 2
            if fails(middle):
                shortest = middle
            else:
                longest = middle
        last = pairs.at(shortest - 1)
        return Shortest(shortest, pairs.offset(shortest), pairs.n_pairs, last)


class Pairs:
    """The whole pairs of a file, by their numbers; only some of their offsets are in memory.

    Parameters
    ----------
    fileno : int
        The file, whose frames are well-formed.
    start : int
        The offset in bytes where they begin.

    Attributes
    ----------
    n_pairs, n_bytes : int
        How many there are.
    """

    def __init__(self, fileno: int, start: int) -> None:
        self._fileno, self._start = fileno, start
        stream = FrameStream(with_lists=False, max_item=0xFFFFFFFF)
        self._marks = [(0, 0)]  # pairs and bytes before a boundary
        for block in self._blocks(0):
            stream.check(memoryview(block))
            self._marks.append((stream.n_pairs, stream.pair_offset))
        self.n_pairs, self.n_bytes = stream.n_pairs, stream.pair_offset

    def offset(self, n_pairs: int) -> int:
        """How many bytes the first pairs have."""
        before, offset = self._mark(n_pairs)
        for key, value in islice(self._from(offset), n_pairs - before):
            offset += 8 + len(key) + len(value)
        return offset

    def at(self, number: int) -> Pair:
        """The pair with this number."""
        before, offset = self._mark(number)
        return next(islice(self._from(offset), number - before, None))

    def _mark(self, n_pairs: int) -> tuple[int, int]:
        return self._marks[bisect_right(self._marks, n_pairs, key=lambda mark: mark[0]) - 1]

    def _from(self, offset: int) -> Iterator[Pair]:
        decoder = PairDecoder(max_item=0xFFFFFFFF)
        for block in self._blocks(offset):
            yield from decoder.feed(block)

    def _blocks(self, offset: int) -> Iterator[bytes]:
        at = self._start + offset
        while block := os.pread(self._fileno, _BLOCK, at):
            yield block
            at += len(block)
