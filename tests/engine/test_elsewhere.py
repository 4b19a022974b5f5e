"""A job whose tasks keep their files in a directory that machines share, or in an object store."""

import concurrent.futures
import json
import multiprocessing
import os
import signal
import subprocess
import sys

import pytest
from support.command_line import kvproto_command
from support.jobs import words
from support.object_store import one_in_ten, proxy

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.core import Disco
from kvproto.classic.func import nop_map, sum_reduce
from kvproto.classic.task_io import chain_reader, plain_output_stream, task_output_stream
from kvproto.errors import DataError, JobError
from kvproto.inputs.schemes import find_inputs
from kvproto.storage.files import ARCHIVE, fetch_files, files_below, publish_files
from kvproto.storage.objects import ObjectStore
from kvproto.storage.store import store_of

TEXTS = ["raw://a b a", "raw://c a", "raw://b"]
COUNTS = [("a", 3), ("b", 2), ("c", 1)]


@pytest.fixture(params=["directory", "objects"])
def store(request, tmp_path):
    """The address of a store for jobs."""
    if request.param == "directory":
        return str(tmp_path / "store")
    return request.getfixturevalue("bucket") + "/some/jobs"


def counts(urls):
    return sorted(result_iterator(urls))


def all_below(store):
    if store.startswith("s3:"):
        return [url for url, _ in ObjectStore().walk(store)]
    return [os.path.join(top, name) for top, _, names in os.walk(store) for name in names]


JOBS = {
    "functions": {"map": words, "reduce": sum_reduce, "partitions": 2},
    "sorted": {"map": words, "reduce": sum_reduce, "sort": True},
    "maps alone": {"map": words},
    "many partitions": {"map": words, "partitions": 7},
}


@pytest.mark.parametrize("name", JOBS)
def test_its_results_are_in_the_store_and_nothing_else_is_left_there(name, store):
    job = Job("elsewhere").run(input=TEXTS, store=store, **JOBS[name])
    urls = job.wait()
    assert all(url.startswith(f"{store}/{job.name}/results/") for url in urls)
    pairs = counts(urls)
    assert pairs == (
        COUNTS
        if "reduce" in JOBS[name]
        else sorted("abaacb"[i] and (c, 1) for i, c in enumerate("abacab"))
    )
    assert sorted(all_below(store)) == sorted(
        [*urls, *(f"{store}/{job.name}/{name}" for name in ("job", "results.jsonl"))]
    )
    assert Job(job.name).wait() == urls and Disco().results(job.name) == ("ready", urls)
    job.purge()
    assert all_below(store) == [] and Disco().joblist() == []


def test_the_list_of_jobs_says_what_is_in_their_stores(store):
    job = Job("listed").run(input=TEXTS, map=words, store=store)
    urls = job.wait()
    assert job.oob_list() == []
    [listed] = map(json.loads, kvproto_command("jobs", "--json").stdout.splitlines())
    assert listed["store"] == f"{store}/{job.name}"
    row = kvproto_command("jobs").stdout.decode().splitlines()[-1]
    if store.startswith("s3:"):
        assert row.endswith(f"  and objects in {store}/{job.name}")
        assert listed["result_bytes"] == 0
    else:
        assert row.endswith(f"  files in {store}/{job.name}")
        assert listed["result_bytes"] == sum(map(os.path.getsize, urls)) > 0
        files = [*all_below(store), *all_below(job.directory)]
        assert listed["bytes"] == sum(map(os.path.getsize, files))
        assert sorted(os.listdir(f"{store}/{job.name}")) == ["job", "results", "results.jsonl"]


def test_external_programs_read_and_write_there(store, identity):
    program = external([str(identity)])
    job = Job("external").run(input=TEXTS, map=program, reduce=program, store=store)
    assert sorted(value for _, value in result_iterator(job.wait())) == [b"a b a", b"b", b"c a"]


def fail(iter, params):
    raise ValueError("no")


def test_a_job_that_failed_leaves_its_mark_alone_when_it_is_cleaned(store):
    job = Job("failed").run(input=TEXTS, map=words, reduce=fail, store=store)
    with pytest.raises(JobError, match="ValueError: no"):
        job.wait()
    assert any("/spool/" in url for url in all_below(store))
    job.clean()
    assert all_below(store) == [f"{store}/{job.name}/job"]


def test_a_job_that_failed_is_resumed_from_what_is_there(store, tmp_path):
    mark, text = tmp_path / "mark", f"{store}/text"
    if store.startswith("/"):
        os.mkdir(store)
    store_of(text).put(text, b"a b a\nc a\nb\n")

    def sums(iter, params):
        if not os.path.exists(params):
            raise ValueError("no")
        return sum_reduce(iter, params)

    job = Job("failed").run(input=[text], map=words, reduce=sums, params=str(mark), store=store)
    with pytest.raises(JobError, match="ValueError: no"):
        job.wait()
    mark.touch()
    again = Job(job.name).resume()
    assert counts(again.wait()) == COUNTS
    [resumed] = [event for _, event in again.events() if event["event"] == "resumed"]
    assert resumed["skipped"] == ["map:0"]
    urls = all_below(f"{store}/{job.name}")
    names = {url.removeprefix(f"{store}/{job.name}/").partition("/")[0] for url in urls}
    assert names == {"job", "results", "results.jsonl"}


def test_an_input_that_has_changed_is_named_when_the_job_is_resumed(bucket):
    text = f"{bucket}/text"
    store_of(text).put(text, b"a b\n")
    job = Job("failed").run(input=[text], map=words, reduce=fail, store=bucket)
    with pytest.raises(JobError, match="ValueError: no"):
        job.wait()
    store_of(text).put(text, b"a c\n")
    with pytest.raises(JobError, match=text):
        Job(job.name).resume()


def test_values_profiles_and_files_of_the_tasks_are_there(store):
    def leave(line, params):
        put("key", line)  # noqa: F821
        with open("some/file") as file:
            return [(file.read(), 1)]

    def use(iter, params):
        return [(key, get("key")) for key, _ in iter]  # noqa: F821

    job = Job("values").run(
        input=["raw://x"],
        map=leave,
        reduce=use,
        required_files={"some/file": "content"},
        profile=True,
        keep_map=True,
        store=store,
    )
    assert list(result_iterator(job.wait())) == [("content", "x")]
    assert [job.oob_list(), job.oob_get("key")] == [["key"], "x"]
    assert [url.startswith(store) for url in job.mapresults()] == [True]
    assert list(result_iterator(job.mapresults())) == [("content", 1)]
    assert job.profile_stats("map").total_calls > 0

    def fetch(line, params):
        return [(get("key", line), 1)]  # noqa: F821

    again = Job("fetches").run(input=[f"raw://{job.name}"], map=fetch, store=store)
    assert list(result_iterator(again.wait())) == [("x", 1)]
    job.clean()
    assert job.oob_list() == ["key"]
    assert not any(ARCHIVE in url or "/profile/" in url for url in all_below(store))


def test_its_results_are_the_input_of_another_job_there(store):
    first = Job("first").run(input=TEXTS, map=words, partitions=2, store=store)
    second = Job("second").run(
        input=[f"{os.path.dirname(first.wait()[0])}"],
        map_reader=chain_reader,
        map=nop_map,
        reduce=sum_reduce,
        store=store,
    )
    assert counts(second.wait()) == COUNTS


@pytest.mark.parametrize("streams", [(), (task_output_stream, plain_output_stream)])
def test_a_result_that_is_missing_or_damaged_is_an_error_that_names_it(streams, store):
    job = Job("damaged").run(
        input=TEXTS, map=words, partitions=2, map_output_stream=list(streams), store=store
    )
    place = store_of(store)
    urls = sorted(job.wait(), key=lambda url: -place.status(url).n_bytes)
    data = place.get(urls[0])
    place.put(urls[0], data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DataError, match=f"{urls[0]}.* damaged"):
        list(result_iterator(urls[0]))
    place.put(urls[0], data[:-1])
    with pytest.raises(DataError, match=urls[0]):
        list(result_iterator(urls[0]))
    place.remove(urls[0])
    with pytest.raises(DataError, match=f"{urls[0]}"):
        list(result_iterator(urls[0]))
    with pytest.raises(DataError, match=f"result file {urls[0]} no longer exists"):
        list(result_iterator(os.path.dirname(urls[0])))


def test_results_of_others_in_a_store_are_not_unpickled(bucket, tmp_path, monkeypatch):
    [url] = Job("other").run(input=["raw://a"], map=words, store=bucket).wait()
    assert list(result_iterator(url)) == [("a", 1)]
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "another"))
    with pytest.raises(DataError, match="from the network: whoever wrote them could run"):
        list(result_iterator(url))
    assert list(result_iterator(url, trust=True)) == [("a", 1)]


def test_one_request_in_ten_may_fail(bucket, s3_address, monkeypatch):
    with proxy(s3_address, one_in_ten) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        job = Job("shaky").run(
            input=[text for text in TEXTS for _ in range(4)],
            map=words,
            reduce=sum_reduce,
            partitions=3,
            store=bucket,
        )
        assert counts(job.wait()) == [(key, 4 * n) for key, n in COUNTS]
        assert len(server.requests) > 40
        job.purge()
        assert all_below(bucket) == []


def test_a_store_that_is_full_is_an_error_that_says_so(bucket, s3_address, monkeypatch):
    def fails(number, method, path):
        return (403, "QuotaExceeded") if "/spool/" in path and method == "PUT" else None

    with proxy(s3_address, fails) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        job = Job("full").run(input=TEXTS, map=words, reduce=sum_reduce, store=bucket)
        with pytest.raises(
            JobError,
            match=f"writing {bucket}/.*/spool/map-.*: the object store is full .QuotaExceeded.; "
            "free some space there, or choose another directory",
        ):
            job.wait()


@pytest.mark.parametrize(
    ("store", "text"),
    [
        ("ftp://host/x", "store ftp://host/x: use a directory, or a URL with one of s3://, gs://"),
        ("s3://none/x", "store s3://none/x: there is no bucket none at "),
        ("{}/none/none", "store {}/none/none: No such file or directory; give a directory that"),
        ("{}/file", "store {}/file: Not a directory|store {}/file: File exists"),
        ("{}/open", "store {}/open: other users may replace what is in it"),
    ],
)
def test_a_place_that_can_be_no_store_is_an_error_before_the_job(store, text, bucket, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(JobError, match=text.replace("{}", str(tmp_path))):
        Job("nowhere").run(input=TEXTS, map=words, store=store.format(tmp_path))
    assert Disco().joblist() == []


# --- required files ----------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """A directory of files."""
    top = tmp_path / "files"
    (top / "inner").mkdir(parents=True)
    (top / "data").write_bytes(bytes(3_000_000))
    (top / "inner" / "program").write_text("#!/bin/sh\n")
    (top / "inner" / "program").chmod(0o700)
    return top


@pytest.fixture
def shared(store):
    if store.startswith("/"):
        os.makedirs(f"{store}/job")
    return f"{store}/job"


def test_required_files_come_out_of_the_store_as_they_were(files, shared, tmp_path):
    assert fetch_files(shared, str(tmp_path / "out")) == []
    publish_files(files_below(str(files)), shared)
    out = tmp_path / "out"
    assert sorted(fetch_files(shared, str(out))) == ["data", "inner/program"]
    assert (out / "data").read_bytes() == bytes(3_000_000)
    assert [os.stat(out / name).st_mode & 0o777 for name in ("data", "inner/program")] == [
        0o600,
        0o700,
    ]


def test_an_archive_that_is_cut_or_damaged_is_an_error(files, shared, tmp_path):
    publish_files(files_below(str(files)), shared)
    path = f"{shared}/{ARCHIVE}"
    data = store_of(path).get(path)
    for wrong in (data[:-1], data[:100], data[:-8] + bytes(8), b"", b"no archive"):
        store_of(path).put(path, wrong)
        with pytest.raises(DataError, match=f"{path}, which has files of the job, is damaged"):
            fetch_files(shared, str(tmp_path / "out"))


# --- on an executor ----------------------------------------------------------------------------


def test_workers_that_see_only_the_store_run_the_job(bucket, identity):
    context = multiprocessing.get_context("spawn")  # a fork could not use the store

    def read(line, params):
        with open("some/file") as file:
            return [(line + file.read(), "1")]

    with concurrent.futures.ProcessPoolExecutor(2, context) as executor:
        job = Job("far").run(
            input=TEXTS,
            map=read,
            reduce=external([str(identity)]),
            required_files={"some/file": " read"},
            engine=executor,
            store=f"{bucket}/jobs",
        )
        keys = sorted(key for key, _ in result_iterator(job.wait()))
    assert keys == [b"a b a read", b"b read", b"c a read"]
    assert sorted(url.rpartition("/")[2][:6] for url in all_below(bucket)) == [
        "files.",
        "job",
        "result",
        "result",
    ]


def test_an_attempt_that_came_too_late_is_not_among_the_results(bucket):
    job = Job("late").run(input=TEXTS, map=words, partitions=2, store=bucket)
    urls = job.wait()
    directory = os.path.dirname(urls[0])
    store_of(bucket).put(f"{directory}/result-00000-00000.ffffffff", b"late")
    assert sorted(one.url for one in find_inputs([directory])) == sorted(urls)
    assert counts(directory) == counts(urls)


KILLED = """
import os, signal, sys
from kvproto.classic import Job
from kvproto.classic.func import sum_reduce

def words(line, params):
    return [(word, 1) for word in line.split()]

def end(event):
    if event["event"] == "stage" and event["stage"] == "reduce":
        os.kill(os.getpid(), signal.SIGKILL)

Job("killed").run(
    input=["raw://a b"], map=words, reduce=sum_reduce, store=sys.argv[1], on_event=end
).wait()
"""


def test_what_a_killed_driver_left_in_the_store_is_purged(store):
    done = subprocess.run([sys.executable, "-P", "-c", KILLED, store], check=False)
    assert done.returncode == -signal.SIGKILL
    [(name, status, _)] = Disco().joblist()
    assert status == "dead" and any("/spool/" in url for url in all_below(store))
    Job(name=name).purge()
    assert all_below(store) == []


def test_workers_that_are_forks_of_the_driver_are_an_error_that_says_what_to_do(bucket):
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, context) as executor:
        job = Job("forked").run(input=TEXTS, map=words, engine=executor, store=bucket)
        with pytest.raises(
            JobError, match=r"is a fork of one that has used an object store.*spawn or forkserver"
        ):
            job.wait()
