"""A disk that is full, wherever a job meets it: the error names the file and says what to do, and
no other try is made.
"""

import re

import pytest

from storage.test_home import on_a_small_disk

CODE = """
import os, sys
from kvproto.classic import Job
from kvproto.classic.func import plain_output_stream

def fill(left):
    with open(os.path.join(os.environ["KVPROTO_HOME"], "filler"), "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            file.truncate(file.tell() - left)

def one(entry, params):
    return [(entry, 1)]

def much(entry, params):
    return ((os.urandom(1000), number) for number in range(2000))

def put_last(entry, params):
    put("key", "value" * 1000)
    fill(4096)  # room for the result alone
    return []

def fill_last(entry, params):
    fill(4096)
    return []

def at_end(event):
    if event["event"] == "progress" and event["done"] == event["total"]:
        fill(0)

jobs = {
    "spool": dict(map=much, reduce=lambda iter, params: iter),
    "result of a reduce": dict(map=one, reduce=much),
    "netstrings": dict(map=much, map_output_stream=[plain_output_stream]),
    "oob": dict(map=put_last),
    "profile": dict(map=fill_last, profile=True),
    "manifest": dict(map=one, on_event=at_end),
    "required files": dict(map=one, required_files={"big": b"x" * 2_000_000}),
}
job = Job("big")
try:
    job.run(input=["raw://x"], **jobs[sys.argv[1]]).wait()
except Exception as e:
    print(type(e).__name__, e)
    jobs = os.path.join(os.environ["KVPROTO_HOME"], "jobs")
    for folder, _, names in os.walk(jobs):
        print(*(os.path.join(folder, name) for name in names if name.endswith(".part")), end="")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "what, file",
    [
        ("spool", r"/spool/map-00000.\w+"),
        ("result of a reduce", r"/unfinished/result-00000\.\w+"),
        ("netstrings", r"/unfinished/result-00000-00000\.\w+"),
        ("oob", r"/oob/\w+"),
        ("profile", "/profile/map-00000"),
        ("manifest", "/results.jsonl"),
        ("required files", "/files/big"),
    ],
)
def test_a_full_disk_names_the_file_and_what_to_do_and_leaves_no_part_of_it(tmp_path, what, file):
    said = on_a_small_disk(tmp_path, "size=1m", CODE, what)
    assert said.startswith("JobError ")
    assert re.search(
        f"{file}: No space left on device; jobs are kept below {tmp_path}: .*KVPROTO_HOME", said
    )
    assert "attempts" not in said and ".part" not in said
