"""Pi, estimated: the share of random points of a square that fall into the circle in it.

When to use it: to compute without input, when each task needs a different number: a seed, a day, a
range.

    kvproto run kvproto.examples.pi.Pi
"""

import random
from collections.abc import Iterable, Iterator

from kvproto.classic import Job


class Pi(Job):
    """("pi", the estimate) from params points for each seed; equal seeds give equal estimates."""

    input = tuple(f"raw://{seed}" for seed in range(8))
    params = 250_000

    @staticmethod
    def map(seed: str, params: int) -> Iterator[tuple[str, int]]:
        draw = random.Random(int(seed)).random
        yield "hits", sum(draw() ** 2 + draw() ** 2 < 1 for _ in range(params))

    @staticmethod
    def reduce(pairs: Iterable[tuple[str, int]], params: int) -> Iterator[tuple[str, float]]:
        hits = [n for _key, n in pairs]
        yield "pi", 4 * sum(hits) / (len(hits) * params)
