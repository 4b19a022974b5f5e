"""Chains of jobs: what runs when, what a failure stops, and what is told."""

import os
import signal

import pytest
from support.drivers import Driver, has_ended
from support.jobs import words

from kvproto.classic import Job, JobChain, result_iterator
from kvproto.classic.func import nop_map, sum_reduce
from kvproto.classic.task_io import chain_reader
from kvproto.errors import DataError, JobError


class Words(Job):
    map = words
    reduce = sum_reduce


class Again(Job):
    """Adds up what other jobs, and lines `word TAB count`, give."""

    map = nop_map
    reduce = sum_reduce

    def map_reader(fd, size, url, params):
        if url.startswith("raw://"):
            return ((word, int(count)) for word, count in map(str.split, fd))
        return chain_reader(fd, size, url, params)


class Failing(Job):
    def map(line, params):
        raise ValueError("of the first job")


def meeting(tmp_path, name, mode):
    """A job whose map ends only when another's, with the other mode, runs at the same time."""
    fifo = tmp_path / "fifo"
    if not fifo.exists():
        os.mkfifo(fifo)

    def map(line, params):
        with open(fifo, mode):
            return [(line, 1)]

    job = Job(name)
    job.map = map
    return job


@pytest.mark.slow
def test_a_job_reads_the_results_of_those_it_needs_and_urls_beside_them():
    first, second, third = Words("first"), Words("the/second"), Again("third")
    chain = JobChain(
        {third: [first, second, "raw://a\t10"], first: ["raw://a b"], second: "raw://a"}
    )
    assert chain.wait() is chain
    assert dict(result_iterator(third.wait())) == {"a": 12, "b": 1}
    assert chain.results() == {job: job.wait() for job in (first, second, third)}


def test_jobs_that_do_not_need_each_other_run_at_the_same_time(tmp_path):
    JobChain(
        {
            meeting(tmp_path, "reader", "r"): ["raw://x"],
            meeting(tmp_path, "writer", "w"): ["raw://x"],
        }
    ).wait()


def test_run_starts_what_needs_no_other(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    first, second = Job("first"), Again("second")
    first.map = lambda line, params: [(fifo.read_text(), 1)]
    chain = JobChain({first: ["raw://x"], second: [first]}).run()
    assert [first.results(timeout=0)[0], second.results(timeout=0)[0]] == ["active", "unknown job"]
    with pytest.raises(
        JobError,
        match=f"not done after 0 seconds.*\n  active: {first.name}\n  not started: second$",
    ):
        chain.wait(timeout=0)
    fifo.write_text("went on")
    assert chain.wait().results()[second] == second.wait()


def test_a_failure_stops_what_needs_it_and_nothing_else_and_is_told_with_the_state_of_the_chain():
    failing, after, beside = Failing("failing"), Again("after"), Words("beside")
    third, fourth = Again("third"), Again("fourth")
    chain = JobChain(
        {
            failing: ["raw://x"],
            after: [failing],
            beside: ["raw://y"],
            third: [beside],
            fourth: [after, third],
        }
    )
    for _ in range(2):  # another wait says the same
        with pytest.raises(
            JobError, match=r"(?s)a chain of jobs failed: .*ValueError: of the first job"
        ) as caught:
            chain.wait()
        told = str(caught.value).splitlines()[-5:]
        assert told == [
            f"  failed: {failing.name}",
            "  not started: after",
            f"  ready: {beside.name}",
            f"  ready: {third.name}",
            "  not started: fourth",
        ]
    assert isinstance(caught.value.__cause__, JobError)
    assert set(chain.results()) == {beside, third}


def test_a_job_that_cannot_be_started_is_a_failure_of_it_alone():
    bad, good = Words("bad"), Words("good")
    chain = JobChain({bad: ["/no/such/file"], good: ["raw://y"]})
    with pytest.raises(
        JobError, match="a chain of jobs failed: input /no/such/file: No such file"
    ) as caught:
        chain.wait()
    assert isinstance(caught.value.__cause__, DataError)
    assert str(caught.value).splitlines()[-2:] == ["  failed: bad", f"  ready: {good.name}"]


def test_a_circle_is_an_error_that_names_it_and_nothing_runs(home):
    first, second, third = Words("first"), Again("second"), Again("third")
    for call in (JobChain.run, JobChain.wait):
        with pytest.raises(
            JobError,
            match=r"depend on each other in a circle: (second -> third -> second|third -> "
            r"second -> third)$",
        ):
            call(JobChain({first: ["raw://x"], second: [third], third: [first, second]}))
    assert not home.exists()


def test_a_job_outside_of_the_chain_must_have_been_started():
    outside, inside = Words("outside"), Again("inside")
    chain = JobChain({inside: [outside]})
    with pytest.raises(
        JobError,
        match="job inside needs job outside, which is neither in the chain nor was started",
    ):
        chain.wait()
    outside.run(input=["raw://a"])
    assert dict(result_iterator(chain.wait().results()[inside])) == {"a": 1}


def test_a_job_that_is_done_is_not_run_again():
    first, second = Words("first").run(input=["raw://a"]), Again("second")
    results = first.wait()
    chain = JobChain({first: ["raw://other"], second: [first]}).wait()
    assert chain.results()[first] == results
    assert dict(result_iterator(second.wait())) == {"a": 1}


def test_a_purge_removes_all_that_was_started(home):
    first, never = Failing("first"), Again("never")
    chain = JobChain({first: ["raw://x"], never: [first]})
    with pytest.raises(JobError):
        chain.wait()
    chain.purge()
    assert os.listdir(home / "jobs") == []


def test_ctrl_c_stops_the_jobs_of_a_chain_that_run(tmp_path):
    chain = (
        "Job.map = map; job = Job('driven'); from kvproto.classic import JobChain; "
        "JobChain({job: ['raw://x'], Job('next'): [job]}).wait()"
    )
    with Driver(tmp_path / "driver", start=chain, after="") as driver:
        driver.process.send_signal(signal.SIGINT)
        said = driver.end()
        assert driver.process.returncode == -signal.SIGINT and has_ended(driver.map_process)
        assert said.startswith(f"kvproto: job {driver.job} was stopped; its logs are in ")
