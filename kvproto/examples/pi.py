"""Pi, estimated: the share of random points of a square that fall into the circle in it.

When to use it: for computing without input, where each task needs a number of its own: a seed, a day, a range.

    kvproto run kvproto.examples.pi.Pi
"""

import random

from kvproto.classic import Job


class Pi(Job):
    """("pi", the estimate) of params points for each seed; the same seeds give the same estimate."""

    input = [f"raw://{seed}" for seed in range(8)]
    params = 250_000

    def map(seed, params):
        draw = random.Random(int(seed)).random
        yield "hits", sum(draw() ** 2 + draw() ** 2 < 1 for _ in range(params))

    def reduce(pairs, params):
        hits = [n for _key, n in pairs]
        yield "pi", 4 * sum(hits) / (len(hits) * params)
