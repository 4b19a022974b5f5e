# ruff: noqa: RUF012, UP031 (as programs for the original are written)
import collections

from disco.test import TestCase, TestJob
from disco.util import kvgroup


class CountJob(TestJob):
    partitions = 3

    @staticmethod
    def map(e, params):
        for word in e.split():
            yield word, 1

    @staticmethod
    def reduce(iter, params):
        for word, ones in kvgroup(sorted(iter)):
            yield word, sum(ones)


class OutCountJob(CountJob):
    partitions = 1

    @staticmethod
    def reduce(iter, out, params):
        for word, one in sorted(iter):
            out.add(word, one)


class FirstLetterJob(CountJob):
    partitions = 2

    @staticmethod
    def partition(key, nr_partitions, params):
        return 0 if key < "m" else 1


class WordsTestCase(TestCase):
    pages = ["river", "stone", "river-bed", "cloud"]

    def serve(self, path):
        return "%s and %s\nmud\n" % (path, path)

    def expected(self):
        return collections.Counter("".join(self.serve(page) for page in self.pages).split())

    def test_count(self):
        self.job = CountJob().run(input=self.test_server.urls(self.pages))
        self.assertEqual(sorted(self.results(self.job)), sorted(self.expected().items()))

    def test_out(self):
        self.job = OutCountJob().run(input=self.test_server.urls(self.pages))
        self.assertResults(self.job, ((word, 1) for word in sorted(self.expected().elements())))

    def test_partition(self):
        self.job = FirstLetterJob().run(input=self.test_server.urls(self.pages))
        results = self.job.wait()
        self.assertEqual(len(results), 2)
        self.assertAllEqual([word for word, n in self.results(self.job)], sorted(self.expected()))

    def test_no_reduce(self):
        self.job = CountJob().run(
            input=self.test_server.urls(["fog"]), reduce=None, partitions=None
        )
        self.assertEqual(
            list(self.results(self.job)), [("fog", 1), ("and", 1), ("fog", 1), ("mud", 1)]
        )
