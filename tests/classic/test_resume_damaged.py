"""A job is resumed from damaged files, after a killed driver, by one driver at a time."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.failed_jobs import COUNTED, TEXT, failing, n_maps, reduce, refused, repair
from support.jobs import KEPT, events

from kvproto.classic import Job, result_iterator
from kvproto.errors import JobError
from kvproto.storage.job_directory import JobDirectory, JobPaths


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


def test_a_job_without_a_finished_task_keeps_only_itself_and_cannot_be_resumed():
    def fail(line, params):
        raise RuntimeError("it fails")

    job = Job("again").run(input=["raw://x"], map=fail)
    with pytest.raises(JobError) as caught:
        job.wait()
    assert "--resume" not in str(caught.value)
    assert sorted(os.listdir(job.directory)) == sorted([*KEPT, "failed"])
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


@pytest.mark.slow
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
