# ruff: noqa: F821, UP031 (as programs for the original are written)
from disco.job import JobChain
from disco.test import TestCase, TestJob
from disco.util import load_oob


class NotesJob(TestJob):
    partitions = 4

    @staticmethod
    def map(e, params):
        put("seen-%s" % e, "note on %s" % e)
        yield e, ""

    @staticmethod
    def reduce(iter, params):
        for k, _v in iter:
            assert get("seen-%s" % k) == "note on %s" % k
        put("part-%d" % this_partition(), this_name())
        return []


class ReadingJob(TestJob):
    @staticmethod
    def map(e, params):
        yield e, load_oob(Task.master, params["job"], "seen-%s" % e)


class TaskJob(TestJob):
    partitions = 2

    @staticmethod
    def map(e, params):
        Task.put("map-%d" % Task.taskid, Task.host)
        yield Task.mode, Task.jobname

    @staticmethod
    def reduce(iter, params):
        for k, v in iter:
            yield (
                k + "-" + Task.mode,
                [v, Task.taskid == this_partition(), Task.get("map-0") == this_host()],
            )


class OOBTestCase(TestCase):
    def test_chain(self):
        a, b = NotesJob(), ReadingJob()
        self.job = JobChain({a: [], b: []})
        a.run(input=["raw://%s" % letter for letter in "abcde"]).wait()
        b.run(input=["raw://b", "raw://d"], params={"job": a.name})
        self.assertEqual(sorted(self.results(b)), [("b", "note on b"), ("d", "note on d")])
        self.assertEqual(
            sorted(a.oob_list()),
            sorted(["seen-%s" % letter for letter in "abcde"] + ["part-%d" % n for n in range(4)]),
        )
        self.assertEqual(a.oob_get("part-3"), a.name)

    def test_task(self):
        self.job = TaskJob().run(input=["raw://x"])
        self.assertResults(self.job, [("map-reduce", [self.job.name, True, True])])
