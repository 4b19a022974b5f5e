"""Jobs under the old names: what they give, keep and find differs from kvproto's own where the
original did; and whole files of tests written for the original.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

OLD_CODE = Path(__file__).parent / "old_code"

HEAD = """
from disco.core import Disco, Job, Params, result_iterator
from disco.worker.classic import func
from disco.worker.classic.worker import Worker

class Each(Job):
    @staticmethod
    def map(e, params):
        yield e, "value"

class Pairs(Job):
    @staticmethod
    def reduce(iter, params):
        for pair in iter:
            yield pair, "reduced"

def of(job):
    return sorted(result_iterator(job.wait()))

def main():
    {}

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def printed(tmp_path):
    """Run a body of `main` under the old names; gives what it prints."""

    def run(body, *options, fails=False):
        (tmp_path / "script.py").write_text(HEAD.format(body.strip().replace("\n", "\n    ")))
        command = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "kvproto.classic.alias",
            *options,
            "script.py",
        ]
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert fails == bool(done.returncode), done.stderr
        return done.stderr if fails else done.stdout

    return run


def test_what_the_maps_give_is_kept(printed):
    body = """
job = Each().run(input=["raw://a"], reduce=lambda iter, params: [])
print(of(job), list(result_iterator(job.mapresults())), end=' ')
print(job.mapresults() == Disco().mapresults(job.name))
job = Each().run(input=["raw://a"], reduce=lambda iter, params: [], keep_map=False)
job.wait()
try:
    job.mapresults()
except Exception as e:
    print("keep_map=True" in str(e))
"""
    assert printed(body) == "[] [('a', 'value')] True\nTrue\n"


def test_events_are_offset_and_time_host_message(printed):
    body = """
def map(e, params):
    print("--special--")
    return [(e, "")]
job = Job("said").run(input=["raw://a", "raw://b"], map=map)
job.wait()
events = list(job.events())
for offset, (time, host, message) in events:
    assert all(type(part) is str for part in (time, host, message)), message
print(sum("--special--" in message for _, (_, _, message) in events))
print(events[-1][1][2], list(Disco().events(job.name, events[-2][0])) == events[-1:])
"""
    assert printed(body) == "2\nREADY: Job finished True\n"


def test_the_state_of_a_job_is_active_the_master_an_address_and_settings_are_there(printed):
    body = """
job = Each().run(input=["raw://a"])
job.wait()
print(job.jobinfo()["active"], Disco().jobinfo(job.name)["active"])
ports = Disco().settings["DISCO_PORT"], job.settings["DISCO_PORT"]
print(Disco().master, job.disco.master, Disco("disco://elsewhere"), *ports)
print(type(Disco().new_job("x", input=["raw://a"], map=func.nop_map)) is Job)
"""
    assert (
        printed(body) == "ready ready\ndisco://localhost disco://localhost Disco master at "
        "disco://elsewhere 8989 8989\nTrue\n"
    )


def test_job_functions_find_the_names_of_the_old_worker_module(printed):
    body = """
def names(e, params):
    names = re_reader, nop_map, map_line_reader, DataError, DiscoError, Params, external, os, sys
    return [(chain_reader.__name__, names[0].__name__),
            (bytes_to_str(str_to_bytes("é")), Task.stage + Task.mode)]
print(list(result_iterator(Job("names").run(input=["raw://a"], map=names).wait())))
"""
    assert printed(body) == "[('chain_reader', 're_reader'), ('é', 'mapmap')]\n"


def test_no_partitions_are_one_partition_for_each_map(printed):
    assert printed("print(len(Each().run(input=['raw://a'], partitions=0).wait()))") == "1\n"


@pytest.mark.parametrize("partitions", [None, 1, 4])
def test_a_reduce_alone_takes_entries_that_are_no_pairs(partitions, printed):
    body = f"""
open("lines", "w").write("a\\nb")
print(of(Pairs().run(input=["lines"], partitions={partitions}, reduce_reader=None)))
"""
    assert printed(body) == "[('a\\n', 'reduced'), ('b', 'reduced')]\n"


def test_a_reduce_alone_keeps_the_partitions_of_the_results_that_it_reads(printed):
    body = """
first = Each().run(input=["raw://" + letter for letter in "abcdef"], partitions=3)
second = Pairs().run(input=first.wait())
keys = [{pair[0] for pair, _ in result_iterator([url])} for url in second.wait()]
print(len(keys), sorted(set.union(*keys)), sum(map(len, keys)))
urls = [[url for url in first.wait() if url.endswith(str(n))] for n in range(3)]
print(keys == [{e for e, _ in result_iterator(some)} for some in urls])
print(len(Pairs().run(input=first.wait(), merge_partitions=True).wait()))
"""
    assert printed(body) == "3 ['a', 'b', 'c', 'd', 'e', 'f'] 6\nTrue\n1\n"


def test_required_files_are_in_lib_too_and_may_have_directories(printed):
    body = """
def look(e, params):
    return [(open("lib/some").read(), open("some").read())]
def inside(e, params):
    return [(open("data/deep/some").read(), "")]
open("some", "w").write("here")
print(of(Job("lib").run(input=["raw://a"], map=look, required_files=["some"])))
files = {"data/deep/some": "there"}
print(of(Job("deep").run(input=["raw://a"], map=inside, required_files=files)))
"""
    assert printed(body) == "[('here', 'here')]\n[('there', '')]\n"


def test_a_module_is_imported_by_its_name_in_a_fromlist_and_what_it_lacks_is_told(printed):
    body = """
util = __import__("disco.util", fromlist=["disco.util"])
print(util.__name__, hasattr(__import__("disco.util").util, "pack"))
try:
    from disco.util import pack
except ImportError as e:
    print(e)
"""
    assert printed(body) == "disco.util False\ndisco.util.pack is not part of kvproto; use pickle\n"


def test_old_arguments_are_taken_with_a_warning(printed):
    assert "'clean' has no effect here" in printed(
        "Each().run(input=['raw://a'], clean=False)", fails=True
    )


def test_with_bytes_entries_are_bytes_and_raw_data_is_not(printed):
    body = """
open("lines", "wb").write(b"a\\xff")
lines, raw = Each().run(input=["lines"]), Each().run(input=["raw://a"])
print(of(lines), of(raw), of(Each().run(input=["lines"], text=True)))
"""
    assert (
        printed(body, "--bytes")
        == "[(b'a\\xff', 'value')] [('a', 'value')] [('a\\udcff', 'value')]\n"
    )


def test_a_url_of_a_host_that_is_this_one_is_a_file(printed):
    body = """
from disco.util import urlsplit
where = {"disco_port": "9", "ddfs_data": "/ddfs", "disco_data": "/data"}
here = urlsplit("disco://h/ddfs/a/b", "h", **where)
print(*here, *urlsplit("http://h:9/disco/c", "h:9", **where)[::2])
other = urlsplit("disco://other/x", "h", **where)[::2]
print(*urlsplit("disco://h/x", **where), *other, *urlsplit("disco://h/disco/x", True, **where)[::2])
"""
    assert printed(body) == "file  /ddfs/a/b file /data/c\nhttp h:9 x http x file /data/x\n"


def test_tags_have_the_newest_first_and_their_blobs_know_url_and_length(printed):
    body = """
import io, warnings
from disco.ddfs import DDFS
ddfs = Disco().ddfs
for name in ("one", "two", "three"):
    ddfs.push("tag", [(io.BytesIO(name.encode()), name)])
print([DDFS.blob_name(urls[0]) for urls in DDFS().blobs("tag")])
for blob in ddfs.pull("tag", lambda name: "t" in name):
    with blob:
        print(ddfs.blob_name(blob.url), len(blob), list(blob))
with warnings.catch_warnings(record=True, action="always") as told:
    ddfs.setattr("tag", "ddfs:read-token", "secret")
print(told[0].message, ddfs.attrs("tag"))
"""
    token = "ddfs:read-token has no effect: the permissions of its files protect a tag {}"
    assert printed(body).splitlines() == [
        "['three', 'two', 'one']",
        "three 5 [b'three']",
        "two 3 [b'two']",
        token,
    ]


def test_a_tag_is_chunked_by_the_entries_of_a_reader(printed):
    body = """
from disco.ddfs import DDFS
open("numbers", "w").write(" ".join(str(number) for number in range(60000)))
def words(fd, size, url, params):
    for word in fd.read().split():
        yield word if params == "words" else (word, len(word))
DDFS().chunk("pairs", ["numbers"], reader=words, chunk_size=100000)
print(len(list(DDFS().blobs("pairs"))) > 1)
print(sorted(int(word) for word, n in result_iterator("tag://pairs")) == list(range(60000)))
DDFS().chunk("pairs", ["numbers"], reader=words, update=True)
DDFS().chunk("words", "numbers", reader=words, params="words")
def each(entry, params):
    return [(entry, 1)]
job = Job("x").run(input=["tag://words"], map_reader=func.chain_reader, map=each)
found = result_iterator(job.wait())
print(sum(int(word) for word, _ in found), sum(n for _, n in result_iterator("tag://pairs")))
try:
    DDFS().chunk("lists", "numbers", reader=lambda fd, size, url, params: [[1]])
except TypeError as e:
    print(e)
"""
    sums = f"{sum(range(60000))} {sum(len(str(n)) for n in range(60000))}"
    refused = "DDFS.chunk: the reader returned [1]; it must return (key, value) pairs, str or bytes"
    assert printed(body).splitlines() == ["True", "True", sums, refused]


def test_a_reader_gets_what_the_old_name_for_files_calls_one(printed):
    body = """
from disco.compat import file
def reader(fd, size, url, params):
    assert isinstance(fd, file)
    yield from fd
with file("lines", "w") as lines:
    lines.write(b"a")
job = Job("x").run(input=["lines"], map_reader=reader, map=func.nop_map)
print(isinstance("lines", file), list(result_iterator(job.wait())))
"""
    assert printed(body) == "False [('a', '')]\n"


def test_a_slow_module_among_the_free_names_is_imported_when_it_is_used(printed):
    body = """
def map(e, params):
    import sys
    before = "http.server" in sys.modules
    yield before, http_server.HTTPServer.__name__

print(of(Job().run(input=["raw://x"], map=map)))
"""
    assert printed(body) == "[(False, 'HTTPServer')]\n"


@pytest.mark.parametrize("name", sorted(path.stem for path in OLD_CODE.glob("*.py")))
def test_tests_written_for_the_original_run(name, home):
    command = [sys.executable, "-m", "kvproto.classic.alias", "-m", "unittest", name]
    done = subprocess.run(command, cwd=OLD_CODE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\nRan [1-9]\d* tests? in .*\n\nOK\n$", done.stderr), done.stderr
    assert os.listdir(home / "jobs") == []
