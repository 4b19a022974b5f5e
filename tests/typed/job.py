"""A job as the documentation writes one, as a type checker sees it: nothing that it gets is Any."""

from collections.abc import Iterable, Iterator
from typing import assert_type

from kvproto.classic import Job, external, kvgroup, result_iterator


class Count(Job):
    partitions = 4
    sort = True

    @staticmethod
    def map(line: str, params: object) -> Iterator[tuple[str, int]]:
        for word in line.split():
            yield word, 1

    @staticmethod
    def reduce(pairs: Iterable[tuple[str, int]], params: object) -> Iterator[tuple[str, int]]:
        for word, ones in kvgroup(sorted(pairs)):
            yield word, sum(ones)


def program(pairs: Iterable[tuple[bytes, bytes]], params: object) -> list[tuple[bytes, int]]:
    return [(word, sum(map(int, ones))) for word, ones in kvgroup(sorted(pairs))]


def main() -> None:
    job = Count().run(input=["poem.txt"])
    assert_type(job, Count)
    assert_type(job.name, str)
    assert_type(job.wait(), list[str])
    print(*result_iterator(job.wait()), sep="\n")
    other = Job().run(input=["poem.txt"], map=external(["words"]), reduce=program)
    assert_type(other, Job)
    assert_type(other.wait(), list[str])


main()
