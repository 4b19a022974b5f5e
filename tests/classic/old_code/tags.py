from disco.compat import BytesIO
from disco.test import TestCase, TestJob


class TaggedJob(TestJob):
    @staticmethod
    def map(e, params):
        yield e.strip(), ""


class TagsTestCase(TestCase):
    tag = "test:old:tags"

    def setUp(self):
        super().setUp()
        self.ddfs.push(self.tag, [(BytesIO(b"first\n"), "one"), (BytesIO(b"second\n"), "two")])

    def tearDown(self):
        super().tearDown()
        self.ddfs.delete(self.tag)

    def test_input(self):
        self.job = TaggedJob().run(input=["tag://" + self.tag])
        self.assertEqual(sorted(self.results(self.job)), [("first", ""), ("second", "")])

    def test_save(self):
        self.job = TaggedJob().run(input=["tag://" + self.tag], save=True)
        self.assertEqual(sorted(self.results(self.job)), [("first", ""), ("second", "")])
        self.assertTrue(self.ddfs.exists(self.ddfs.job_tag(self.job.name)))
        self.ddfs.delete(self.ddfs.job_tag(self.job.name))

    def test_missing(self):
        self.assertCommErrorCode(404, lambda: self.ddfs.get("test:old:no-such-tag"))
