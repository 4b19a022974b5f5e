# ruff: noqa: RUF012, UP031 (as programs for the original are written)
from datetime import datetime

from disco.core import Params
from disco.test import TestCase, TestJob


def scale(x, factor):
    return x * factor


class ScaleJob(TestJob):
    params = Params(factor=3, scale=scale, since=datetime(2010, 4, 1), label=lambda n: "n%d" % n)

    @staticmethod
    def map(e, params):
        yield params.label(int(e)), params.scale(int(e), params.factor)

    @staticmethod
    def reduce(iter, params):
        assert params.since.year == 2010
        for k, v in iter:
            yield k, params.scale(v, 10)


class HeaderJob(TestJob):
    params = {"offset": 10}

    @staticmethod
    def map_init(iter, params):
        next(iter)
        params["offset"] += 90

    @staticmethod
    def map(e, params):
        yield e.strip(), int(e) + params["offset"]

    @staticmethod
    def reduce_init(iter, params):
        params["more"] = 1000

    @staticmethod
    def reduce(iter, params):
        for k, v in iter:
            yield k, v + params["more"]


class ParamsTestCase(TestCase):
    def serve(self, path):
        return "%s\n" % path

    def runTest(self):
        self.job = ScaleJob().run(input=self.test_server.urls(range(5)))
        self.assertEqual(sorted(self.results(self.job)), [("n%d" % n, 30 * n) for n in range(5)])


class InitTestCase(TestCase):
    def serve(self, path):
        return "a header\n" + ("%s\n" % path) * 4

    def runTest(self):
        self.job = HeaderJob().run(input=self.test_server.urls(range(6)))
        results = list(self.results(self.job))
        self.assertEqual(len(results), 24)
        for k, v in results:
            self.assertEqual(int(k) + 1100, v)
