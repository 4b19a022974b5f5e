# ruff: noqa: F821, PLC0415, RUF012, UP031 (as programs for the original are written)
import os

from disco.test import TestCase, TestJob
from disco.worker.classic.modutil import find_modules

support = os.path.join(os.path.dirname(os.path.abspath(__file__)), "support")


class ModulesJob(TestJob):
    required_modules = ["math", "base64", ("halves", os.path.join(support, "halves.py"))]

    @staticmethod
    def map(e, params):
        n = math.ceil(halves.half(float(e)))
        yield base64.b64encode(b"%d" % n), n


class FilesJob(TestJob):
    required_files = [os.path.join(support, "halves.py")]

    @staticmethod
    def map(e, params):
        import halves

        yield "", halves.half(int(e))


class GuessedJob(TestJob):
    @staticmethod
    def map_init(iter, params):
        random.seed(0)

    @staticmethod
    def map(e, params):
        yield os.path.join("a", string.capwords(e)), [math.floor(x) for x in (1.5, 2.5)]


class ModulesTestCase(TestCase):
    def serve(self, path):
        return "%s\n" % path

    def test_required_modules(self):
        self.job = ModulesJob().run(input=self.test_server.urls(["5", "8"]))
        self.assertEqual(sorted(self.results(self.job)), [(b"Mw==", 3), (b"NA==", 4)])

    def test_required_files(self):
        self.job = FilesJob().run(input=self.test_server.urls(["8"]))
        self.assertResults(self.job, [("", 4.0)])

    def test_guessed_modules(self):
        self.job = GuessedJob().run(input=["raw://the rain"])
        self.assertResults(self.job, [("a/The Rain", [1, 2])])

    def test_found_modules(self):
        def fun_map(e, params):
            return [(os.path.basename(e.strip()), math.floor(1.5))]

        found = find_modules([fun_map])
        self.assertEqual(sorted(found), ["math", "os"])
        self.job = ModulesJob().run(input=["raw://a/b"], map=fun_map, required_modules=found)
        self.assertResults(self.job, [("b", 1)])
