import random

from disco.compat import bytes_of_int, str_to_bytes
from disco.test import TestCase, TestJob
from disco.util import kvgroup, shuffled


class BinaryJob(TestJob):
    sort = True
    sort_buffer_size = "1M"

    @staticmethod
    def map(e, params):
        n = int(e)
        key = bytes_of_int(n) + b"\0\n\xff" * (n % 3)
        return shuffled((key, b"%d\0" % i) for i in range(20))

    @staticmethod
    def reduce(iter, params):
        for k, vs in kvgroup(iter):
            yield k, len(list(vs))


class TextJob(BinaryJob):
    partitions = 2

    @staticmethod
    def map(e, params):
        return [(word, len(word)) for word in e.split()]


class SortTestCase(TestCase):
    def serve(self, path):
        return str_to_bytes("\n".join(path.split("-")))

    def test_binary(self):
        numbers = random.sample(range(256), 40)
        inputs = ["-".join(str(n) for n in numbers[i::4]) for i in range(4)]
        self.job = BinaryJob().run(input=self.test_server.urls(inputs * 2))
        self.assertResults(
            self.job, sorted((bytes([n]) + b"\0\n\xff" * (n % 3), 40) for n in numbers)
        )

    def test_text(self):
        self.job = TextJob().run(
            input=self.test_server.urls(["pear-fig-plum", "fig-date", "fig-pear"])
        )
        for result in self.job.wait():
            words = [word for word, n in self.disco.result_iterator([result])]
            self.assertEqual(words, sorted(words))
        self.assertEqual(dict(self.results(self.job)), {"pear": 2, "fig": 3, "plum": 1, "date": 1})
