"""A job that failed goes on from its finished tasks."""

import os
from pathlib import Path

import pytest
from support.failed_jobs import COUNTED, TEXT, failed, failing, map, n_maps, reduce, refused, repair
from support.jobs import COUNT, KEPT, events, program

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import plain_output_stream, sum_combiner
from kvproto.engine.job_handle import JobHandle
from kvproto.errors import JobError
from kvproto.storage.job_directory import JobPaths


def test_finished_maps_do_not_run_again_and_the_job_ends_as_any_other(ran):
    job = failing(ran)
    repair(ran)
    again = Job(name=job.name)
    assert again.resume() is again
    assert list(result_iterator(again.wait())) == COUNTED
    assert n_maps(ran) == len(TEXT)
    assert sorted(os.listdir(job.directory)) == [*KEPT, "results", "results.jsonl"]
    kinds = [event["event"] for event in events(again)]
    assert kinds == ["job", "stage", "stage", "failed", "resumed", "stage", "stage", "done"]
    [resumed] = [event for event in events(again) if event["event"] == "resumed"]
    assert resumed["skipped"] == ["map:0-2"]
    last = events(again)[-1]
    assert JobHandle(job.name).seconds() == last["seconds"] > resumed["seconds"] > 0
    refused(Job(name=job.name), f"job {job.name} is done: `kvproto results {job.name}`")


def test_what_a_killed_driver_was_writing_is_gone_after_a_resume(ran):
    job = failing(ran)
    Path(job.directory, "results.jsonl.01234567.part").touch()
    repair(ran)
    Job(name=job.name).resume().wait()
    assert sorted(os.listdir(job.directory)) == [*KEPT, "results", "results.jsonl"]


def test_a_job_that_fails_again_can_be_resumed_again(ran):
    job = failing(ran)
    with pytest.raises(JobError, match=r"it fails(.|\n)*kvproto run --resume"):
        Job(name=job.name).resume().wait()
    repair(ran)
    assert list(result_iterator(Job(name=job.name).resume().wait())) == COUNTED
    assert n_maps(ran) == len(TEXT)


@pytest.mark.parametrize(
    "options",
    [
        {"sort": True},
        {"combiner": sum_combiner},
        {"keep_map": True},
        {"profile": True},
        {"partitions": 4},
        {"reduce_output_stream": [plain_output_stream]},
    ],
    ids=", ".join,
)
def test_a_resumed_job_has_the_results_that_it_would_have_had(ran, options):
    job = failing(ran, **options)
    repair(ran)
    again = Job(name=job.name).resume()
    results = again.wait()
    undisturbed = Job("again").run(
        input=[f"raw://{line}" for line in TEXT], map=map, reduce=reduce, params=ran, **options
    )
    assert [Path(url).read_bytes() for url in results] == [
        Path(url).read_bytes() for url in undisturbed.wait()
    ]
    assert sorted(os.listdir(again.directory)) == sorted(os.listdir(undisturbed.directory))
    if "keep_map" in options:
        assert len(list(result_iterator(again.mapresults()))) == 6
    if "profile" in options:
        assert len(os.listdir(JobPaths(job.name).profile)) == 4


def test_saved_results_and_out_of_band_values_are_there_after_a_resume(ran):
    def putting(line, params):
        put(f"map-{line[0]}", line)  # noqa: F821
        return map(line, params)

    job = failing(ran, map=putting, save=True)
    repair(ran)
    [tag] = Job(name=job.name).resume().wait()
    assert tag.startswith("tag://") and list(result_iterator(tag)) == COUNTED
    assert job.oob_list() == ["map-a", "map-b"]


def test_a_job_of_external_programs_is_resumed(tmp_path):
    repaired = tmp_path / "repaired"
    body = f'if sys.argv[1] == "reduce" and not os.path.exists({str(repaired)!r}): sys.exit(3)\n'
    count = external([program(tmp_path, body + COUNT)])
    job = failed(input=["raw://a b", "raw://b"], map=count, reduce=count, attempts=1)
    repaired.touch()
    results = Job(name=job.name).resume().wait()
    assert sorted(result_iterator(results)) == [(b"a", b"1"), (b"b", b"2")]


def test_a_map_alone_is_resumed_with_the_results_of_its_finished_tasks(ran):
    def one_fails(line, params):
        if line == "a" and not os.path.exists(f"{params}.repaired"):
            raise RuntimeError("it fails")
        return map(line, params)

    job = failing(ran, map=one_fails, reduce=None, processes=1)
    repair(ran)
    results = Job(name=job.name).resume().wait()
    assert [key for key, _ in result_iterator(results)] == ["a", "b", "a", "b", "c", "a"]
    assert n_maps(ran) == len(TEXT)
