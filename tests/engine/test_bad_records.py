"""A job whose map fails on records: they are set aside, counted, shown, and limited."""

import gzip
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bad_records import bad_of, failure, number, run, written
from support.catalogue import compile_worker
from support.command_line import kvproto_command
from support.jobs import events

from kvproto.classic import Job, external
from kvproto.errors import TooManyBadRecords
from kvproto.storage.job_directory import JobPaths

WORKER = Path(__file__).parents[1] / "workers/bad_records/fails_on.c"


@pytest.fixture(scope="module")
def fails_on(tmp_path_factory):
    directory = tmp_path_factory.mktemp("worker")
    return external([compile_worker(WORKER, directory / "op")])


def test_a_record_is_set_aside_with_its_line_its_bytes_and_the_error(tmp_path):
    content = b"\xef\xbb\xbf1\n2\nx\xff\n4\n"
    path = written(tmp_path / "in", [content])
    job, pairs = run(path, max_bad_records=1)
    lines = ["1\n", "2\n", "4\n"]
    assert pairs == [pair for line in lines for pair in (("line", line), ("number", int(line)))]
    (bad,) = bad_of(job)
    assert (bad.kind, bad.task, bad.key, bad.value, bad.n_bytes) == (
        "record",
        0,
        b"",
        b"x\xff\n",
        3,
    )
    assert (bad.place.input, bad.place.line) == (str(path), 3)
    assert content[bad.place.start : bad.place.end] == b"x\xff\n"
    assert bad.error.startswith("ValueError: invalid literal for int() with base 10: ")
    code = number.__code__
    assert bad.error.endswith(f"({code.co_filename}, line {code.co_firstlineno + 3}, in number)")
    assert job.bad_records == 1
    assert [e for e in events(job) if e["event"] == "set_aside"][-1]["records"] == 1


@pytest.mark.slow
def test_the_lines_of_large_and_of_compressed_files(tmp_path):
    lines = [b"%d\n" % n if n % 40_000 != 777 else b"bad %d\n" % n for n in range(400_000)]
    plain = written(tmp_path / "plain", lines)
    packed = written(tmp_path / "packed.gz", [gzip.compress(b"".join(lines[:50_000]), 1)])
    job, pairs = run(plain, packed, max_bad_records="0.1%", processes=2)
    assert len(pairs) == 2 * (450_000 - 12)
    of_plain = [n for n in range(400_000) if n % 40_000 == 777]
    bad = bad_of(job)
    assert len({one.task for one in bad}) > 2
    assert [one.task for one in bad] == sorted(one.task for one in bad)
    places = [(os.path.basename(one.place.input), one.place.line - 1) for one in bad]
    assert places == [("plain", n) for n in of_plain] + [
        ("packed.gz", 777),
        ("packed.gz", 40_777),
    ]
    contents = {"plain": b"".join(lines), "packed.gz": b"".join(lines[:50_000])}
    for one, (name, n) in zip(bad, places, strict=True):
        assert contents[name][one.place.start : one.place.end] == one.value == b"bad %d\n" % n
        assert one.place.is_unpacked == (name == "packed.gz")


LINES = st.lists(st.one_of(st.integers(0, 99).map(str), st.text("xyz\xff", min_size=1)))


@pytest.mark.slow
@settings(max_examples=6)
@given(lines=st.lists(LINES, min_size=1, max_size=3), n_repeated=st.sampled_from([1, 3000]))
def test_output_and_bad_records_are_all_records_of_a_function(tmp_path_factory, lines, n_repeated):
    check_all(
        tmp_path_factory, lines, n_repeated, number, lambda line: not line.strip().isdecimal()
    )


@pytest.mark.slow
@settings(max_examples=6)
@given(
    lines=st.lists(
        st.lists(st.one_of(st.text("xyz\xff"), st.sampled_from(["BADc", "BADe", "BADl", "BAD!"]))),
        min_size=1,
        max_size=3,
    )
)
def test_output_and_bad_records_are_all_records_of_a_program(fails_on, tmp_path_factory, lines):
    check_all(tmp_path_factory, lines, 1, fails_on, lambda line: line.startswith("BAD"))


def check_all(tmp_path_factory, lines, n_repeated, map, is_bad):
    directory = tmp_path_factory.mktemp("inputs")
    paths = []
    for name, of_file in enumerate(lines):
        text = [f"{line}\n" for line in of_file] * n_repeated
        paths.append(directory / str(name))
        paths[-1].write_text("".join(text))
        lines[name] = text
    job, pairs = run(*paths, map=map, max_bad_records=10**9)
    every = [line for of_file in lines for line in of_file]
    if map is number:
        pairs = [value.encode() for key, value in pairs if key == "line"]
    else:
        pairs = [key for key, _ in pairs]
    assert pairs == [line.encode() for line in every if not is_bad(line)]
    assert [one.value for one in bad_of(job)] == [line.encode() for line in every if is_bad(line)]


def test_an_entry_of_a_reader_is_set_aside_as_its_repr_or_as_a_pair(fails_on, tmp_path):
    def numbered(fd, size, url, params):
        for n, line in enumerate(fd):
            yield str(n), line.strip()

    path = written(tmp_path / "in", [b"1\n", b"BADc\n", b"3\n"])
    job, _ = run(path, map_reader=numbered, map=lambda pair, params: [int(pair[1])] and [pair],
                 max_bad_records=1)  # fmt: skip
    (bad,) = bad_of(job)
    assert (bad.value, bad.is_object, bad.place.entry, bad.place.line) == (
        *(b"('1', 'BADc')", True, 1, None),
    )
    job, _ = run(path, map_reader=numbered, map=fails_on, max_bad_records=1)
    (bad,) = bad_of(job)
    assert (bad.key, bad.value, bad.is_object, bad.place.entry) == (b"1", b"BADc", False, 1)


# --- what counts, and what stays ---------------------------------------------------------------


def test_an_attempt_that_is_tried_again_counts_its_records_once(tmp_path):
    def fails_once(entries, params):
        yield from entries
        if not os.path.exists(params):
            open(params, "w").close()
            os._exit(3)

    path = written(tmp_path / "in", [b"1\n", b"x\n", b"3\n"])
    job, pairs = run(
        path,
        map_reader=lambda fd, size, url, params: fails_once(fd, params),
        params=str(tmp_path / "ran"),
        max_bad_records=1,
    )
    assert [e["event"] for e in events(job)].count("retry") == 1
    assert (len(pairs), job.bad_records, len(bad_of(job))) == (4, 1, 1)


def test_a_job_that_is_resumed_keeps_its_bad_records(tmp_path):
    def reduce(iter, params):
        if not os.path.exists(params):
            raise RuntimeError("not yet")
        yield from iter

    path = written(tmp_path / "in", [b"1\n", b"x\n"])
    job, _ = failure(path, reduce=reduce, params=str(tmp_path / "go"), max_bad_records=1)
    before = bad_of(job)
    assert len(before) == 1
    os.unlink(JobPaths(job.name).bad_records)
    (tmp_path / "go").touch()
    again = Job(name=job.name).resume()
    again.wait(show=False)
    assert bad_of(job) == before
    assert again.bad_records == 1


def test_a_job_with_a_store_keeps_them_in_its_own_directory(tmp_path):
    job, _ = run("raw://x", max_bad_records=1, store=str(tmp_path / "store"))
    assert [one.value for one in bad_of(job)] == [b"x"]


def test_errors_of_the_job_are_no_bad_records():
    def counts(line, params):
        count("a name with spaces")  # noqa: F821
        yield line, 1

    def too_many(line, params):
        for n in range(1001):
            count(f"n{n}")  # noqa: F821
        yield line, 1

    assert run("raw://x", map=counts, max_bad_records=1)[0].bad_records == 1
    assert "one too many" in str(failure("raw://x", map=too_many, max_bad_records=1)[1])
    assert "MemoryError" in str(failure("raw://x", map=no_memory, max_bad_records=1)[1])


def no_memory(line, params):
    raise MemoryError


# --- the command -------------------------------------------------------------------------------


def test_the_command_shows_records_as_text_or_hexdump_and_prints_their_bytes(tmp_path):
    path = written(tmp_path / "in", [b"1\n", b"word\n", b"\0\xff\n"])
    job, _ = run(path, max_bad_records=2)
    shown = kvproto_command("bad", job.name).stdout.decode()
    assert f"{path}:2: ValueError: invalid literal" in shown
    assert 'value, 5 bytes: "word\\n"' in shown
    assert "0000  00 ff 0a" in shown
    assert kvproto_command("bad", "--bytes", job.name).stdout == b"word\n\0\xff\n"
    lines = kvproto_command("bad", "--json", job.name).stdout.splitlines()
    assert [json.loads(line)["line"] for line in lines] == [2, 3]


def test_the_options_of_run_and_the_last_line_of_the_job(tmp_path):
    (tmp_path / "sums.py").write_text(
        "from kvproto.classic import Job\n"
        "class Sum(Job):\n"
        "    @staticmethod\n"
        "    def map(line, params):\n"
        "        yield 'n', int(line)\n"
    )
    path = written(tmp_path / "in", [b"1\n", b"x\n"])
    options = ["--max-bad-records", "50%", "--bad-inputs", "skip"]
    done = kvproto_command(
        *("run", "sums.Sum", *options, str(path), str(tmp_path / "missing")), cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (0, b"n\t1\n")
    quiet = kvproto_command("run", "-q", "sums.Sum", *options, str(path), cwd=tmp_path)
    assert re.fullmatch(
        r"kvproto: the job has set something aside: (KVPROTO_HOME=\S* )?kvproto bad Sum@\S+\n",
        quiet.stderr.decode(),
    )
    *_, last, how, _ = done.stderr.decode().splitlines()
    assert last.startswith("done: 2 items, 4 bytes, 1 bad record, 1 unread input, ")
    assert re.fullmatch("what it has set aside: (KVPROTO_HOME=.* )?kvproto bad Sum@[0-9a-f-]+", how)


# --- other engines and homes -------------------------------------------------------------------


def test_a_job_on_a_cluster_sets_records_aside_and_fails_over_the_limit(dask, tmp_path):
    path = written(tmp_path / "in", [b"1\n", b"x\n", b"y\n"])
    job, pairs = run(path, max_bad_records=2, engine=dask)
    assert (len(pairs), [one.value for one in bad_of(job)]) == (2, [b"x\n", b"y\n"])
    job, error = failure(path, max_bad_records=1, engine=dask)
    assert isinstance(error.cause, TooManyBadRecords)
    assert len(bad_of(job)) == 2


def test_another_home_that_resumes_a_job_has_its_bad_records(tmp_path, monkeypatch):
    def reduce(iter, params):
        if not os.path.exists(params):
            raise RuntimeError("not yet")
        yield from iter

    store = str(tmp_path / "store")
    go = str(tmp_path / "go")
    job, _ = failure("raw://x", "raw://1", reduce=reduce, params=go, max_bad_records=1, store=store)
    before = bad_of(job)
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "another home"))
    (tmp_path / "go").touch()
    again = Job(name=job.name).resume(store=store)
    again.wait(show=False)
    assert [one.value for one in before] == [b"x"]
    assert bad_of(again) == before
