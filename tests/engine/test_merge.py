"""A job whose maps' outputs are merged gives the same bytes as one without merges."""

import contextlib
import functools
import itertools
import os
import re
import signal
from pathlib import Path

import pytest
from support.jobs import InThisProcess

from kvproto.classic import Job, external
from kvproto.classic.func import sum_combiner, sum_reduce
from kvproto.classic.resuming import save
from kvproto.classic.task_io import chain_reader, plain_output_stream, task_output_stream
from kvproto.engine.job import run_job
from kvproto.engine.journal import Journal, Planned, load
from kvproto.engine.merge import Spooled, merge_calls, merge_task
from kvproto.engine.merge_plan import Limits, indexes_in_files, plan_merge, traffic
from kvproto.engine.pool import LocalPool
from kvproto.engine.segments import segment_files
from kvproto.engine.stage import Stage
from kvproto.errors import JobError
from kvproto.storage.job_directory import JobDirectory
from kvproto.storage.manifest import names_of
from kvproto.storage.records import RAW
from kvproto.storage.spool import SpoolWriter, read_segments
from kvproto.storage.store import store_of

pytestmark = pytest.mark.slow

ALWAYS = -(1 << 60)  # a least gain

LIMITS = {
    "without merges, indexes in files": Limits(driver_segments=0),
    "merges of all partitions": Limits(least_gain=ALWAYS, task_columns=30),
    "merges of few of both": Limits(least_gain=ALWAYS, task_columns=6),
    "merges in many rounds": Limits(least_gain=ALWAYS, task_columns=12, task_bytes=200),
    "merges, indexes in files": Limits(driver_segments=0, least_gain=ALWAYS, task_columns=6),
}

N_MAPS = 10

INPUT = [f"raw://{number} b c{number} d e f b {'g' * number}" for number in range(N_MAPS)]


def words(line, params):
    return [(word, "1") for word in line.split()]


def numbers(line, params):
    return [(word, 1) for word in line.split()]


def keys(iter, params):
    return ((key, value) for key, value in iter)


def files(stream, size, url, params):
    """A reader that gives one entry for each file."""
    data = stream.read()
    return iter([(str(len(data)), data)])


@pytest.fixture(scope="module")
def programs(identity):
    return external([str(identity)])


JOBS = {
    "functions": lambda op: {"map": numbers, "reduce": keys},
    "sorted": lambda op: {"map": numbers, "reduce": keys, "sort": True},
    "combined": lambda op: {"map": numbers, "combiner": sum_combiner, "reduce": sum_reduce},
    "programs": lambda op: {"map": op, "reduce": op},
    "a program as the map": lambda op: {"map": op, "reduce": keys},
    "a program as the reduce, sorted": lambda op: {"map": words, "reduce": op, "sort": True},
    "streams": lambda op: {
        "map": words,
        "map_output_stream": [task_output_stream, plain_output_stream],
        "reduce": keys,
        "reduce_reader": files,
    },
    "a reader of its own": lambda op: {"map": words, "reduce": keys, "reduce_reader": chain_reader},
}


class Outcome:
    """What a job has left: its results, and what its maps wrote."""

    def __init__(self, limits, engine, place=None, **jobargs):
        job = Job("merged")
        jobargs = {"input": INPUT, "partitions": 3, **jobargs}
        spec = job.worker.spec(job, jobargs)
        self.events = []
        inputs = job.worker.inputs(job, jobargs, spec)
        directory = JobDirectory("merged", place)
        with contextlib.closing(directory):
            paths = run_job(spec, inputs, directory, engine, 2, self.events.append, limits=limits)
        store = store_of(directory.shared)
        self.results = [store.get(path) for path in paths]
        self.map_results = [
            store.get(f"{directory.map_results}/{name}")
            for name in names_of(directory.map_results) or []
        ]

    def texts(self, kind="note"):
        return [event["text"] for event in self.events if event["event"] == kind]

    def stages(self):
        return [event["stage"] for event in self.events if event["event"] == "stage"]


@pytest.fixture(scope="module")
def unmerged():
    """The outcome of each kind of job without merges."""
    return {}


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("kind", JOBS)
@pytest.mark.parametrize("place", ["files", "memory"])
def test_results_are_the_same_bytes_with_and_without_merges(
    kind, limits, place, programs, unmerged, tmp_path
):
    def outcome(limits, place):
        return Outcome(limits, InThisProcess(), place, keep_map=True, **JOBS[kind](programs))

    if kind not in unmerged:
        unmerged[kind] = outcome(Limits(), None)
    place = f"memory://{tmp_path}" if place == "memory" else None
    expected, merged = unmerged[kind], outcome(LIMITS[limits], place)
    assert merged.results == expected.results
    assert merged.map_results == expected.map_results
    assert len(merged.map_results) == (27 if kind == "streams" else 3)
    assert ("merge" in merged.stages()) == limits.startswith("merges")


def test_a_job_says_why_it_is_merged_and_its_merges_are_a_stage():
    limits = LIMITS["merges of few of both"]
    outcome = Outcome(limits, InThisProcess(), map=numbers, reduce=keys)
    [text] = outcome.texts()
    assert re.fullmatch(
        r"10 maps x 3 partitions: 30 segments of \d\d bytes on average are merged by 6 tasks "
        "before the reduce, because reading so many would take longer",
        text,
    )
    assert outcome.stages() == ["map", "merge", "reduce"]
    progress = [event for event in outcome.events if event["event"] == "progress"]
    assert [(event["done"], event["total"]) for event in progress if event["stage"] == "merge"] == [
        (number, 6) for number in range(1, 7)
    ]


class Ends:
    """An engine that ends within the second stage."""

    address = ""

    def run_stage(self, stage, fn):
        results = InThisProcess().run_stage(stage, fn)
        yield from itertools.islice(results, 2) if stage.name == "merge" else results
        if stage.name == "merge":
            raise JobError("the engine has ended")


class Remaining(InThisProcess):
    """An engine that runs the calls that are not done."""

    def __init__(self):
        self.n_run = {}

    def run_stage(self, stage, fn):
        calls = stage.calls
        left = [index for index in range(len(calls)) if index not in getattr(calls, "done", ())]
        self.n_run[stage.name] = len(left)
        part = Stage(stage.name, [calls[index] for index in left], 0, stage.on_event)
        for index, finished in super().run_stage(part, fn):
            yield left[index], finished


def resumed(limits_then, limits_now):
    """The engine and the results of a job that ended within its merges, and was resumed."""
    job, jobargs = Job("resumed"), {"input": INPUT, "partitions": 3, **JOBS["functions"](None)}
    spec = job.worker.spec(job, jobargs)
    inputs = job.worker.inputs(job, jobargs, spec)
    planned = Planned(spec, inputs, 2, 2, speculate=False)
    with contextlib.closing(JobDirectory("resumed")) as directory:
        journal = Journal(directory, save(job, jobargs, planned, {}))
        with pytest.raises(JobError, match="the engine has ended"):
            run_job(spec, inputs, directory, Ends(), 2, journal=journal, limits=limits_then)
    engine = Remaining()
    with contextlib.closing(JobDirectory.reopen(directory.job)) as directory:
        _, journal = load(directory)
        paths = run_job(spec, inputs, directory, engine, 2, journal=journal, limits=limits_now)
        return engine, [Path(path).read_bytes() for path in paths]


def test_a_job_that_is_resumed_goes_on_from_the_merges_that_are_done():
    limits = LIMITS["merges of few of both"]
    engine, results = resumed(limits, limits)
    assert engine.n_run == {"map": 0, "merge": 4, "reduce": 3}
    assert results == Outcome(Limits(), InThisProcess(), **JOBS["functions"](None)).results


def test_merges_of_another_plan_are_an_error():
    with pytest.raises(JobError, match="does not fit the merges of this job"):
        resumed(LIMITS["merges of few of both"], Limits(least_gain=ALWAYS, task_columns=4))


class WithDeath:
    """Runs some merges at first in a process that is killed before they publish their file."""

    address = ""

    def __init__(self, pool, marks):
        self._pool, self._marks = pool, marks

    def run_stage(self, stage, fn):
        if stage.name == "merge":
            fn = functools.partial(dying, fn, self._marks)
        return self._pool.run_stage(stage, fn)


def dying(merge, marks, call):
    mark = Path(marks, f"{call.number}")
    if call.number % 2 and not mark.exists():

        def lethal(*paths):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

        os.rename = lethal
    return merge(call)


def data_of(number, partition):
    """What a map writes for a partition: more than is kept before it is written to a map's file."""
    return f"<{number}, {partition}>".encode() * 60_000


@pytest.mark.parametrize("limits", [Limits(), *LIMITS.values()])
@pytest.mark.parametrize("place", ["files", "memory"])
def test_a_shuffle_has_the_objects_and_requests_of_its_plan(place, limits, tmp_path, monkeypatch):
    directory = str(tmp_path) if place == "files" else f"memory://{tmp_path}"
    store = store_of(directory)
    opened, open_range = [], store.open_range
    monkeypatch.setattr(
        store, "open_range", lambda *args: opened.append(args) or open_range(*args), raising=True
    )
    n_maps, n_partitions = 7, 5
    in_files = indexes_in_files(n_maps, n_partitions, limits)
    files = []
    for number in range(n_maps):
        path = f"{directory}/map-{number}"
        with SpoolWriter(path, n_partitions, index_in_file=in_files) as writer:
            for partition in range(n_partitions):
                writer.write(partition, data_of(number, partition), 1)
            files.append(writer.publish())
    spooled = Spooled(directory, files, n_partitions)
    n_bytes = spooled.n_bytes
    merge = plan_merge(n_maps, n_partitions, n_bytes, 1, store.request_bytes, limits)
    if merge is not None:
        calls = merge_calls(spooled, merge, 1 << 30)
        merged = [merge_task(call).output for call in calls]
        spooled = Spooled(directory, merged, n_partitions, merge)
    for partition, segments in enumerate(spooled.segments()):
        assert len(segments) == n_maps
        assert b"".join(read_segments(segments)) == b"".join(
            data_of(number, partition) for number in range(n_maps)
        )
    plan = traffic(n_maps, n_partitions, n_bytes, merge, limits)
    n_objects = len(store.names(directory))
    assert (n_objects, n_objects + len(opened)) == (plan.n_objects, plan.n_requests)


@pytest.mark.parametrize("n_read", [-1, 0, 3])
def test_a_reader_of_files_reads_what_is_merged_with_one_request(n_read, tmp_path, monkeypatch):
    texts = [b"first", b"", b"x" * 3_000_000, b"last"]
    with SpoolWriter(str(tmp_path / "merge-0"), len(texts), in_rounds=True) as writer:
        for number, text in enumerate(texts):
            writer.write(number, text, 1)
        merged = writer.publish().segments()
    with SpoolWriter(str(tmp_path / "merge-1"), 1) as writer:
        writer.write(0, b"other", 1)
        merged += writer.publish().segments()
    store = store_of(str(tmp_path))
    opened, open_range = [], store.open_range
    monkeypatch.setattr(store, "open_range", lambda *args: opened.append(args) or open_range(*args))
    splits, open_split = segment_files(merged, RAW)
    assert [split.url.removeprefix(f"{tmp_path}/") for split in splits] == [
        *("merge-0", "merge-0#1", "merge-0#2"),
        "merge-1",
    ]
    for split, text in zip(splits, [texts[0], *texts[2:], b"other"], strict=True):
        file, size = open_split(split.url, split.start, split.end)
        with file:
            assert size == split.n_bytes == len(text)
            assert file.read(n_read) == (text if n_read < 0 else text[:n_read])
    assert len(opened) == 2


def test_a_reader_that_leaves_the_rest_of_a_file_goes_on_with_the_next_one(
    tmp_path,
):
    segments = []
    for number in range(2):
        with SpoolWriter(str(tmp_path / f"map-{number}"), 1) as writer:
            writer.write(0, b"x" * 3_000_000, 1)
            segments += writer.publish().segments()
    os.truncate(segments[0].path, 2_000_000)
    splits, open_split = segment_files(segments, RAW)
    for split in splits:
        file, _ = open_split(split.url, split.start, split.end)
        with file:
            assert file.read(1) == b"x"


@pytest.fixture
def pool(tmp_path):
    with LocalPool(2, log_directory=str(tmp_path), tmp_directory=str(tmp_path)) as pool:
        yield pool


def test_a_merge_that_is_killed_is_done_again_and_no_map_with_it(pool, tmp_path, programs):
    marks = tmp_path / "marks"
    marks.mkdir()
    jobargs = JOBS["programs"](programs)
    expected = Outcome(Limits(), pool, **jobargs)
    limits = Limits(least_gain=ALWAYS, task_columns=15)
    killed = Outcome(limits, WithDeath(pool, str(marks)), **jobargs)
    assert killed.results == expected.results
    retries = [event for event in killed.events if event["event"] == "retry"]
    assert sorted((event["stage"], event["task"], event["attempt"]) for event in retries) == [
        ("merge", 1, 1),
        ("merge", 3, 1),
    ]


class Harmed:
    """Harms the first file of a stage before the next one begins."""

    address = ""

    def __init__(self, stage, harm):
        self._stage, self._harm = stage, harm
        self.path = None

    def run_stage(self, stage, fn):
        for index, finished in InThisProcess().run_stage(stage, fn):
            if (stage.name, index) == (self._stage, 0):
                self.path = finished.output.path
                self._harm(Path(self.path))
            yield index, finished


def cut(path):
    os.truncate(path, 10)


def change(path):
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (cut, "spool file {path} is cut short"),
        (change, "spool file {path} is damaged"),
        (os.unlink, "spool file {path} does not exist on "),
    ],
)
@pytest.mark.parametrize("stage", ["map", "merge"])
@pytest.mark.parametrize("limits", ["merges of few of both", "merges, indexes in files"])
def test_a_spool_file_that_is_harmed_is_named(stage, limits, harm, text):
    engine = Harmed(stage, harm)
    with pytest.raises(JobError) as raised:
        Outcome(LIMITS[limits], engine, map=numbers, reduce=keys)
    found = str(raised.value)
    assert text.format(path=engine.path) in found and "; run the job again" in found
    # That is said by the merge that reads the maps' file, or by the reduce that reads the merge's.
    place = "maps: 0 to " if stage == "map" else "partition: 0"
    assert place in "\n".join([found, *getattr(raised.value.cause, "__notes__", [])])
