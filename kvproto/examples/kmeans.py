"""K-means: centres of groups of points, one job for each round, until no centre moves any more.

When to use it: to compute in rounds, where the results of one job become the params of the next.

    python -m kvproto.examples.kmeans POINTS.csv NUMBER_OF_GROUPS
"""

import itertools
import math
import sys
from collections.abc import Iterator

from kvproto.classic import Job, result_iterator
from kvproto.classic.func import sum_combiner, sum_reduce

Point = tuple[float, ...]


class Sums(Job):
    """((number of a centre, axis), sum) of the points nearest to this centre; axis 0 counts."""

    combiner = staticmethod(sum_combiner)
    reduce = staticmethod(sum_reduce)

    @staticmethod
    def map(line: str, centres: list[Point]) -> Iterator[tuple[tuple[int, int], float]]:
        point = tuple(map(float, line.split(",")))
        nearest = min(range(len(centres)), key=lambda number: math.dist(point, centres[number]))
        for axis, x in enumerate((1, *point)):
            yield (nearest, axis), x


def kmeans(points: list[str], centres: list[Point]) -> list[Point]:
    """Move the centres until they stay where they are; points is a list of inputs."""
    while True:
        job = Sums().run(input=points, params=centres)
        sums = dict(result_iterator(job.wait()))
        job.purge()
        moved = list(centres)
        for number in {number for number, axis in sums}:  # a centre without points stays
            axes = range(1, len(centres[number]) + 1)
            moved[number] = tuple(sums[number, axis] / sums[number, 0] for axis in axes)
        if moved == centres:
            return centres
        centres = moved


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1]) as lines:
        first = [
            tuple(map(float, line.split(","))) for line in itertools.islice(lines, int(sys.argv[2]))
        ]
    for centre in kmeans([sys.argv[1]], first):
        print(*centre, sep=",")
