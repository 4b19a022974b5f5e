"""What the tests of engine and classic jobs share: text, worker programs in Python, job
functions.
"""

import collections
import json
import pickle
import re
import stat
import sys
from contextlib import closing
from pathlib import Path

import cloudpickle

from kvproto.classic import Job, result_iterator
from kvproto.classic.task_io import chain_input

LIBRARY = Path(re.__file__).parent.parent
"""Real text: sources of the standard library."""

KEPT = ["events.jsonl", "files", "logs"]
"""What the directory of a job that has ended holds besides its results and what its tasks put."""

RESUMABLE = ["journal", "spool", "unfinished"]
"""What the directory of a job holds besides, if the job can be resumed."""

_HEAD = f"""#!{sys.executable}
import os, re, struct, sys
def item():
    head = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(struct.unpack("<I", head)[0]) if head else None
def answer(*pairs):
    sys.stdout.buffer.write(struct.pack("<I", len(pairs)))
    for pair in pairs:
        for part in pair:
            sys.stdout.buffer.write(struct.pack("<I", len(part)) + part)
    sys.stdout.buffer.flush()
def pairs():
    while (key := item()) is not None:
        yield key, item()
def params():
    size = b""
    while (digit := sys.stdin.buffer.read(1)) != b"\\n":
        size += digit
    return sys.stdin.buffer.read(int(size))
params = params()
"""

ECHO = "for key, value in pairs():\n    answer((key, value))\n"

COUNT = r"""
if sys.argv[1] == "map":
    for key, line in pairs():
        answer(*[(word, b"1") for word in re.findall(rb"\w+", line)])
else:
    sums = {}
    for word, count in pairs():
        sums[word] = sums.get(word, 0) + int(count)
    for word, count in sums.items():
        answer((word, b"%d" % count))
"""


def program(directory: Path, body: str, name: str = "op") -> str:
    """Write a worker program in Python: `pairs()`, `answer(pair, ...)` and `params` are there for
    its body.
    """
    path = directory / name
    path.write_text(_HEAD + body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def counted(paths, pattern: bytes = rb"\w+") -> collections.Counter:
    """The words of files, counted by the shortest of all programs."""
    words: collections.Counter = collections.Counter()
    for path in paths:
        words.update(re.findall(pattern, Path(path).read_bytes()))
    return words


def words(line, params):
    """A map: (word, 1) for each word."""
    return [(word, 1) for word in line.split()]


def results(**jobargs):
    """All pairs that a job gives."""
    return list(result_iterator(Job("test").run(**jobargs).wait()))


def events(job):
    """What a job told of its course, in order, but for its progress and the ends of attempts."""
    told = [
        json.loads(line) for line in Path(job.directory, "events.jsonl").read_text().splitlines()
    ]
    return [event for event in told if event["event"] not in ("progress", "task")]


def entries(streams, url, params=None):
    """All that a chain of input streams gives."""
    stream, *_ = chain_input(streams, None, None, str(url), params)
    with closing(stream):
        return list(stream)


class InThisProcess:
    """An engine: each call after the other, with what a task gets pickled as on its way to a
    process.
    """

    address = ""

    def run_stage(self, stage, fn):
        data = cloudpickle.dumps(fn)
        for index, call in enumerate(stage.calls):
            yield index, pickle.loads(data)(pickle.loads(pickle.dumps(call)))
