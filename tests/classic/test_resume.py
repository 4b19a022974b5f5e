"""A job that failed goes on from its finished tasks, if it is still the same job."""

import functools
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.command_line import kvproto_command
from support.jobs import COUNT, KEPT, events, program

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import plain_output_stream, sum_combiner
from kvproto.engine.adopting import adopt
from kvproto.engine.registry import JobHandle
from kvproto.errors import JobError
from kvproto.storage.job_directory import JobDirectory, JobPaths
from kvproto.storage.store import store_of

TEXT = ["a b a", "b c", "a"]
COUNTED = [("a", 3), ("b", 2), ("c", 1)]


def map(line, params):
    with open(params, "ab", buffering=0) as file:
        file.write(b"map\n")
    return [(word, 1) for word in line.split()]


def reduce(iter, params):
    if not os.path.exists(f"{params}.repaired"):
        raise RuntimeError("it fails")
    sums = {}
    for key, value in iter:
        sums[key] = sums.get(key, 0) + value
    return sorted(sums.items())


@pytest.fixture
def ran(tmp_path):
    """The file in which each map leaves a line; the reduce fails until `repair(ran)`."""
    path = tmp_path / "ran"
    path.touch()
    return str(path)


def repair(ran):
    Path(f"{ran}.repaired").touch()


def failed(job=None, /, **options):
    """Run a job that fails, and return it."""
    job = (job or Job("again")).run(**options)
    with pytest.raises(JobError, match=r"kvproto run --resume \S+( --store \S+)?$"):
        job.wait()
    return job


def failing(ran, **options):
    """A job that has failed in its reduce; each of its inputs is a task."""
    inputs = [f"raw://{line}" for line in TEXT]
    defaults = {"input": inputs, "map": map, "reduce": reduce, "params": ran}
    return failed(**{**defaults, **options})


def n_maps(ran):
    return len(Path(ran).read_text().splitlines())


def refused(job, pattern):
    with pytest.raises(JobError, match=pattern):
        job.resume()
    assert JobHandle(job.name).status() != "active"


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


# --- what must be the same ----------------------------------------------------------------------


class Counts(Job):
    map = staticmethod(map)
    reduce = staticmethod(reduce)
    sort = True


def test_the_functions_of_a_class_are_compared_with_those_of_the_job(ran, tmp_path):
    inputs = [f"raw://{line}" for line in TEXT]
    job = failed(Counts("again"), input=inputs, params=ran)

    class Other(Counts):
        sort = False

        @staticmethod
        def reduce(iter, params):
            return iter

    refused(
        Other(name=job.name),
        r"would not be the same job:\n  reduce: .*Other.reduce has changed since the job ran\n"
        r"  sort: False, it was True\nundo the change, or run the job again from its start",
    )
    repair(ran)
    assert list(result_iterator(Counts(name=job.name).resume().wait())) == COUNTED


MODULE = """
from kvproto.classic import Job
import {helper}
class Counts(Job):
    @staticmethod
    def map(line, params):
        return {helper}.pairs(line)
    @staticmethod
    def reduce(iter, params):
        open(params).close()
        return sorted(iter)
"""


def run_of_module(name, ran, tmp_path):
    (tmp_path / f"{name}.py").write_text(MODULE.format(helper=f"{name}_helper"))
    helper = "def pairs(line):\n    return [(line, 1)]\n"
    (tmp_path / f"{name}_helper.py").write_text(helper)
    run = kvproto_command(
        *("run", "-q", f"{name}.Counts", "-P", f"params={ran}.repaired", "raw://a", "raw://b"),
        cwd=tmp_path,
    )
    assert run.returncode == 1, run.stderr
    match = re.search(
        r"keeps [\d.]+ kB to resume: kvproto run --resume (\S+)\n$", run.stderr.decode()
    )
    return match[1]


def test_the_command_resumes_a_job_of_a_module_from_anywhere(ran, tmp_path):
    name = run_of_module("resume_module", ran, tmp_path)
    listed = kvproto_command("jobs", cwd=tmp_path).stdout.decode()
    assert re.search(rf"{name}  dead .* keeps [\d.]+ kB to resume\n", listed)
    repair(ran)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = kvproto_command("run", "-q", "--resume", "@", "-o", "out.tsv", cwd=elsewhere)
    assert (again.returncode, again.stderr) == (0, b"")
    assert (elsewhere / "out.tsv").read_text() == "a\t1\nb\t1\n"
    assert "keeps" not in kvproto_command("jobs", cwd=tmp_path).stdout.decode()
    again = kvproto_command("run", "--resume", name, cwd=elsewhere)
    assert again.returncode == 1 and b"is done: `kvproto results" in again.stderr


@pytest.mark.parametrize("changed", ["", "_helper"])
def test_a_changed_module_or_one_that_it_imports_is_named(ran, tmp_path, changed):
    name = run_of_module(f"changed{changed}_module", ran, tmp_path)
    path = tmp_path / f"changed{changed}_module{changed}.py"
    path.write_text(path.read_text() + "# changed\n")
    again = kvproto_command("run", "--resume", name, cwd=tmp_path)
    assert again.returncode == 1
    assert f": {path} has changed since the job ran\n" in again.stderr.decode()
    assert b"undo the change, or run the job again from its start\n" in again.stderr


def test_a_changed_program_or_supporting_file_is_named(tmp_path):
    table = tmp_path / "table"
    table.write_text("1")
    fails = 'if sys.argv[1] == "reduce": sys.exit(3)\n' + COUNT

    class Counting(Job):
        map = reduce = external([program(tmp_path, fails), str(table)])

    job = failed(Counting("again"), input=["raw://a b"], attempts=1)
    table.write_text("2")
    refused(Job(name=job.name), f"map: {table} has changed since the job ran")
    table.write_text("1")
    path = program(tmp_path, COUNT)
    refused(Job(name=job.name), f"map: {path} has changed since the job ran")

    class Other(Job):
        map = reduce = external([path, str(table)])

    os.unlink(path)
    os.unlink(table)
    refused(
        Other(name=job.name),
        "map: the program has changed since the job ran\n"
        "  reduce: the program has changed since the job ran",
    )


def test_changed_inputs_are_named(ran, tmp_path):
    paths = [tmp_path / name for name in ("size", "time", "gone", "same")]
    for path in paths:
        path.write_text("a b\n")
    job = failing(ran, input=[str(path) for path in paths])
    size, time, gone, _ = paths
    size.write_text("a b c\n")
    os.utime(time, ns=(1, 1))
    gone.unlink()
    refused(
        Job(name=job.name),
        f"input {size}: 6 bytes, it had 4\n"
        f"  input {time}: has changed since the job ran\n"
        f"  input {gone}: No such file or directory\n"
        "undo the change",
    )


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_changed_data_on_the_web_is_named_if_a_finished_task_has_read_it(ran, tmp_path):
    (tmp_path / "data").write_text("a b\n")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))
    )
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/data"
        try:
            job = failing(ran, input=[url])
            os.utime(tmp_path / "data", (1, 1))
            refused(Job(name=job.name), f"input {url}: has changed since the job ran")
        finally:
            server.shutdown()
            thread.join()
    repair(ran)
    assert sorted(result_iterator(Job(name=job.name).resume().wait())) == [("a", 1), ("b", 1)]


def test_changed_required_files_and_another_working_directory_are_named(ran, tmp_path, monkeypatch):
    needed = tmp_path / "needed"
    needed.write_text("1")
    job = failing(ran, required_files=[str(needed)])
    needed.write_text("2")
    refused(Job(name=job.name), f"required_files: {needed} has changed since the job ran")

    job = failing(ran)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    refused(Job(name=job.name), f"the working directory is {tmp_path}/other, it was {tmp_path}")


def test_another_version_of_kvproto_is_named(ran, monkeypatch):
    job = failing(ran)
    monkeypatch.setattr("kvproto.__version__", "9.9")
    refused(Job(name=job.name), r"this is kvproto 9\.9, and the job ran with kvproto 0\.1\.0")


# --- damage, and other drivers ------------------------------------------------------------------


def test_a_task_whose_file_is_missing_or_cut_runs_again_and_a_note_says_so(ran):
    job = failing(ran)
    spool = Path(JobPaths(job.name).spool)
    missing, cut, _ = sorted(spool.iterdir())
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    repair(ran)
    again = Job(name=job.name).resume()
    assert list(result_iterator(again.wait())) == COUNTED
    assert n_maps(ran) == len(TEXT) + 2
    notes = [event["text"] for event in events(again) if event["event"] == "note"]
    assert notes == [
        f"{path} is missing or damaged: task map:{number} runs again"
        for number, path in enumerate((missing, cut))
    ]


def test_after_a_restart_of_the_machine_the_content_of_the_files_counts(ran):
    job = failing(ran)
    paths = JobPaths(job.name)
    damaged = sorted(Path(paths.spool).iterdir())[1]
    data = damaged.read_bytes()
    damaged.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    log = Path(paths.events)
    log.write_text(re.sub('"machine": "[^"]*"', '"machine": "before"', log.read_text()))
    repair(ran)
    assert list(result_iterator(Job(name=job.name).resume().wait())) == COUNTED
    assert n_maps(ran) == len(TEXT) + 1


def test_a_damaged_journal_is_an_error_and_a_cut_one_is_not(ran):
    job = failing(ran)
    journal = Path(JobPaths(job.name).journal)
    data = journal.read_bytes()
    at = len(data) // 2
    journal.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    refused(Job(name=job.name), f"{journal} is damaged: .*; run the job again from its start")
    journal.write_bytes(data[:-1])
    repair(ran)
    assert list(result_iterator(Job(name=job.name).resume().wait())) == COUNTED
    assert n_maps(ran) == len(TEXT) + 1


def test_a_job_without_a_finished_task_keeps_nothing_and_cannot_be_resumed():
    def fail(line, params):
        raise RuntimeError("it fails")

    job = Job("again").run(input=["raw://x"], map=fail)
    with pytest.raises(JobError) as caught:
        job.wait()
    assert "--resume" not in str(caught.value)
    assert sorted(os.listdir(job.directory)) == KEPT
    refused(Job(name=job.name), "none of its tasks had finished: run it again")
    refused(Job(name="nothing"), "there is no job nothing: it takes the full name")


def test_of_two_drivers_that_resume_a_job_one_gets_an_error(ran):
    job = failing(ran)
    directory = JobDirectory.reopen(job.name)
    with pytest.raises(JobError, match=f"job {job.name} is active: its driver is running it"):
        JobDirectory.reopen(job.name)
    with pytest.raises(JobError, match=f"job {job.name} is active"):
        Job(name=job.name).resume()
    directory.close()
    jobs, errors = [Job(name=job.name) for _ in range(8)], []
    repair(ran)

    def resume(job):
        try:
            job.resume().wait()
        except JobError as e:
            errors.append(str(e))

    threads = [threading.Thread(target=resume, args=[each]) for each in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 7 and all(re.search("is active|is done", text) for text in errors)
    assert list(result_iterator(Job(name=job.name).wait())) == COUNTED
    assert n_maps(ran) == len(TEXT)


RESUME = """
import sys
from kvproto.classic import Job
if __name__ == "__main__":
    Job(name=sys.argv[1]).resume().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_resumed_job_which_can_be_resumed_again(ran, tmp_path, number):
    waits = f"{ran}.waits"
    os.mkfifo(waits)

    def waiting(iter, params):
        if os.path.exists(f"{params}.waits"):
            open(f"{params}.waits", "w").close()
            threading.Event().wait()
        return reduce(iter, params)

    def failing_first(iter, params):
        if not os.path.exists(f"{params}.again"):
            raise RuntimeError("it fails")
        return waiting(iter, params)

    job = failing(ran, reduce=failing_first)
    Path(f"{ran}.again").touch()
    (tmp_path / "resume.py").write_text(RESUME)
    driver = subprocess.Popen(
        [sys.executable, tmp_path / "resume.py", job.name], stderr=subprocess.PIPE, text=True
    )
    Path(waits).read_text()
    driver.send_signal(number)
    said = driver.communicate()[1]
    assert driver.returncode == -number
    assert re.search(rf"job {job.name} was stopped.*\nit keeps .* --resume {job.name}\n", said)
    os.unlink(waits)
    repair(ran)
    assert list(result_iterator(Job(name=job.name).resume().wait())) == COUNTED
    assert n_maps(ran) == len(TEXT)


def test_an_event_that_a_killed_driver_has_not_completed_is_cut_off(ran):
    job = failing(ran)
    with open(JobPaths(job.name).events, "ab") as file:
        file.write(b'{"time": 1, "ev')
    repair(ran)
    again = Job(name=job.name).resume()
    assert list(result_iterator(again.wait())) == COUNTED
    assert [event["event"] for event in events(again)][-1] == "done"


@pytest.mark.parametrize("remove", [Job.clean, Job.purge])
def test_clean_and_purge_remove_what_a_job_keeps_to_be_resumed(ran, remove):
    job = failing(ran)
    assert job.jobinfo()["resumable"] and JobPaths(job.name).resumable_bytes() > 1000
    remove(job)
    assert not JobPaths(job.name).is_resumable()
    assert JobPaths(job.name).resumable_bytes() == 0


# --- in a store ---------------------------------------------------------------------------------


def other_home(monkeypatch, tmp_path):
    """Go on as on another machine, with a home of its own."""
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "other home"))


def test_a_job_in_a_store_is_resumed_from_another_home(ran, tmp_path, monkeypatch):
    needed, store = tmp_path / "needed", tmp_path / "store"
    needed.write_text("1")

    def reading(iter, params):
        with open("needed") as file:
            int(file.read())
        return reduce(iter, params)

    job = failing(ran, store=store, required_files=[str(needed)], reduce=reading)
    assert str(caught_error(job)).endswith(f"kvproto run --resume {job.name} --store {store}")
    repair(ran)
    other_home(monkeypatch, tmp_path)
    again = Job(name=job.name).resume(store=store)
    assert list(result_iterator(again.wait())) == COUNTED
    assert n_maps(ran) == len(TEXT)
    assert not os.path.exists(store / job.name / "journal")
    refused(Job(name=job.name), "is done")

    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "home"))
    results = Job(name=job.name).resume().wait()  # it does not know that yet
    assert list(result_iterator(results)) == COUNTED
    assert n_maps(ran) == len(TEXT)


def caught_error(job):
    with pytest.raises(JobError) as caught:
        Job(name=job.name).wait()
    return caught.value


def test_the_first_home_goes_on_from_what_the_second_one_has_done(ran, tmp_path, monkeypatch):
    store = tmp_path / "store"
    job = failing(ran, store=store)
    os.unlink(next((store / job.name / "spool").iterdir()))
    other_home(monkeypatch, tmp_path)
    with pytest.raises(JobError, match="it fails"):
        Job(name=job.name).resume(store=store).wait()
    assert n_maps(ran) == len(TEXT) + 1
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "home"))
    repair(ran)
    assert list(result_iterator(Job(name=job.name).resume().wait())) == COUNTED
    assert n_maps(ran) == len(TEXT) + 1


def test_a_driver_whose_job_was_resumed_elsewhere_stops(ran, tmp_path):
    store = tmp_path / "store"

    def stolen(iter, params):
        journal = store / this_name() / "journal"  # noqa: F821
        (journal / f"{len(os.listdir(journal)):08d}").write_bytes(b"another driver")
        return iter

    job = Job("again").run(
        input=["raw://a", "raw://b"], map=map, reduce=stolen, params=ran, store=store
    )
    with pytest.raises(JobError, match=r"another driver has resumed the job: .*, which stops"):
        job.wait()


def test_a_store_without_such_a_job_is_an_error(tmp_path):
    with pytest.raises(JobError, match=r"there is nothing in .*nothing@1 to resume a job with"):
        Job(name="nothing@1").resume(store=tmp_path / "store")


def test_a_job_of_another_user_is_not_resumed_from_a_store(ran, tmp_path, monkeypatch):
    store = tmp_path / "store"
    job = failing(ran, store=store)
    other_home(monkeypatch, tmp_path)
    user = os.geteuid() + 1
    monkeypatch.setattr("os.geteuid", lambda: user)
    with pytest.raises(JobError, match=f"{store}/{job.name} belongs to another user"):
        adopt(job.name, str(store))


@pytest.mark.parametrize("with_reduce", [True, False], ids=["reduce", "map alone"])
def test_a_job_in_an_object_store_is_resumed_from_another_home(
    ran, bucket, tmp_path, monkeypatch, with_reduce
):
    def one_fails(line, params):
        if line == "a" and not os.path.exists(f"{params}.repaired"):
            raise RuntimeError("it fails")
        return map(line, params)

    store = f"{bucket}/jobs"
    if with_reduce:
        job = failing(ran, store=store)
    else:
        job = failing(ran, store=store, map=one_fails, reduce=None, processes=1)
    repair(ran)
    other_home(monkeypatch, tmp_path)
    again = Job(name=job.name).resume(store=store)
    pairs = list(result_iterator(again.wait()))
    mapped = [(word, 1) for line in TEXT for word in line.split()]
    assert pairs == (COUNTED if with_reduce else mapped)
    assert n_maps(ran) == len(TEXT)
    assert not store_of(store).names(f"{store}/{job.name}/journal")
