# ruff: noqa: RUF012, UP031 (as programs for the original are written)
import os
import shutil
import sys
import tempfile

from disco.test import TestCase, TestJob
from disco.util import external

PROGRAM = """#!%s
import struct, sys
from disco.worker.classic.netstring import decode_netstring_fd

def item():
    size = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(struct.unpack("<I", size)[0]) if size else None

def answer(key, value):
    out = sys.stdout.buffer
    out.write(struct.pack("<I", 1))
    for part in (key, value):
        out.write(struct.pack("<I", len(part)) + part)
    out.flush()

params = decode_netstring_fd(sys.stdin.buffer)
suffix = open("suffix.txt", "rb").read()
while True:
    key = item()
    if key is None:
        break
    value = item()
    answer(params["prefix"].encode() + value.strip(), sys.argv[1].encode() + suffix)
"""

LAUNCH = '#!/bin/sh\nexec "%s" -m kvproto.classic.alias ./program.py "$@"\n'


class ProgramJob(TestJob):
    ext_params = {"prefix": "got ", "one two": "dim\ndam\n"}


class ExternalTestCase(TestCase):
    def serve(self, path):
        return "a %s\n" % path

    def setUp(self):
        super().setUp()
        self.directory = tempfile.mkdtemp()
        files = {
            "op": LAUNCH % sys.executable,
            "program.py": PROGRAM % sys.executable,
            "suffix.txt": "!\0",
        }
        for name, text in files.items():
            with open(os.path.join(self.directory, name), "w") as file:
                file.write(text)
        os.chmod(os.path.join(self.directory, "op"), 0o755)
        self.program = external([os.path.join(self.directory, name) for name in files])

    def tearDown(self):
        super().tearDown()
        shutil.rmtree(self.directory)

    def test_map(self):
        def reduce(iter, params):
            for k, v in iter:
                yield k.decode(), v

        self.job = ProgramJob().run(
            input=self.test_server.urls(["cat", "dog"]), map=self.program, reduce=reduce
        )
        self.assertEqual(
            sorted(self.results(self.job)), [("got a cat", b"map!\0"), ("got a dog", b"map!\0")]
        )

    def test_reduce(self):
        self.job = ProgramJob().run(
            input=self.test_server.urls(["cat", "dog"]),
            map=lambda e, params: [("", e)],
            reduce=self.program,
        )
        self.assertEqual(
            sorted(self.results(self.job)),
            [(b"got a cat", b"reduce!\0"), (b"got a dog", b"reduce!\0")],
        )
