# ruff: noqa: RUF012 (as programs for the original are written)
from disco.job import JobChain
from disco.test import TestCase, TestJob
from disco.worker.classic import func
from disco.worker.classic.func import chain_reader


class MarkJob(TestJob):
    partitions = 3
    params = {"mark": "0"}

    @staticmethod
    def map(e, params):
        yield e.strip() + params["mark"], 0

    @staticmethod
    def reduce(iter, params):
        for k, v in iter:
            yield k + "-", v


class AgainJob(TestJob):
    map_reader = staticmethod(chain_reader)
    partitions = 3
    params = {"mark": "1"}
    reduce = staticmethod(MarkJob.reduce)

    @staticmethod
    def map(k_v, params):
        k, v = k_v
        yield k + params["mark"], v + 1


class TogetherJob(TestJob):
    reduce = staticmethod(func.nop_reduce)


class ChainTestCase(TestCase):
    trees = ["ash", "elm", "oak"]

    def serve(self, path):
        return "\n".join(self.trees)

    def test_two(self):
        a, b = MarkJob(), AgainJob()
        self.job = JobChain({a: self.test_server.urls([""] * 10), b: a}).wait()
        self.assertEqual(
            sorted(self.results(b)), sorted((tree + "0-1-", 1) for tree in self.trees * 10)
        )

    def test_two_into_one(self):
        a, b, c = MarkJob(), MarkJob(), TogetherJob()
        self.job = JobChain({a: ["raw://1", "raw://2"], b: ["raw://3"], c: [a, b]}).wait()
        self.assertAllEqual(sorted(self.results(c)), [("10-", 0), ("20-", 0), ("30-", 0)])
