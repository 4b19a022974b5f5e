"""Jobs on Ray, whose tasks become an executor; and the names of what runs there."""

import os
import signal

import pytest
from support.jobs import LIBRARY, counted, events, results, words

from kvproto.classic import Job, func, result_iterator
from kvproto.engine.engines.ray import own_breakpoints
from kvproto.errors import JobError

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory):
    """A Ray cluster of this process, on loopback."""
    import ray  # noqa: PLC0415 (`make test-cluster` installs it)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("ray"))  # where its workers look first for modules
        with own_breakpoints():
            ray.init(
                num_cpus=2,
                include_dashboard=False,
                configure_logging=False,
                log_to_driver=False,
                _node_ip_address="127.0.0.1",
            )
        yield ray
        ray.shutdown()


def test_ray_does_not_change_what_breakpoint_does_in_the_driver():
    assert "PYTHONBREAKPOINT" not in os.environ


def test_ray_counts_the_words_as_this_machine_does():
    text = [str(LIBRARY / name) for name in ("re/__init__.py", "ast.py", "abc.py", "os.py")]
    pairs = results(input=text, map=words, reduce=func.sum_reduce, partitions=3, engine="ray")
    assert {key.encode(): value for key, value in pairs} == counted(text, rb"\S+")


def test_a_killed_worker_process_of_ray_costs_one_attempt(tmp_path):
    def die_once(line, params):
        try:
            os.mkdir(tmp_path / "mark")
        except FileExistsError:
            return [(line, 1)]
        log = os.path.basename(os.readlink("/proc/self/fd/2"))  # process-HOST-PID-NUMBER.txt
        os.kill(int(log.rsplit("-", 2)[1]), signal.SIGKILL)
        signal.pause()

    job = Job("test").run(input=["raw://x"], map=die_once, engine="ray")
    assert list(result_iterator(job.wait())) == [("x", 1)]
    assert [event["task"] for event in events(job) if event["event"] == "retry"] == [0]


def test_a_function_that_fails_on_ray_ends_the_job_with_its_own_error():
    def fail(line, params):
        return {}["missing"]

    job = Job("test").run(input=["raw://x"], map=fail, engine="ray")
    with pytest.raises(JobError, match=r"in fail(.|\n)*KeyError: 'missing'"):
        job.wait()
