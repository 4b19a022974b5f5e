"""What becomes of jobs when the process that runs them is to end: by Ctrl-C, by an error, or at its
script's end.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.drivers import _START, Driver, has_ended
from support.jobs import KEPT

from kvproto.classic.core import Disco
from kvproto.storage.job_directory import JobPaths

pytestmark = pytest.mark.slow


def stopped(job):
    return f"kvproto: job {job} was stopped; its logs are in {JobPaths(job).path}"


def test_an_error_between_run_and_wait_stops_the_job(tmp_path):
    with Driver(tmp_path / "driver", after="raise LookupError('between')") as driver:
        said = driver.end()
        assert driver.process.returncode == 1 and has_ended(driver.map_process)
        assert "LookupError: between" in said and said.endswith(stopped(driver.job) + "\n")
        assert Disco().results(driver.job) == ("dead", [])


def test_ctrl_c_between_run_and_wait_stops_the_job(tmp_path):
    with Driver(tmp_path / "driver", after="import signal; signal.pause()") as driver:
        driver.process.send_signal(signal.SIGINT)
        said = driver.end()
        assert driver.process.returncode == -signal.SIGINT and has_ended(driver.map_process)
        assert "KeyboardInterrupt" in said and said.endswith(stopped(driver.job) + "\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize(
    "after", ["job.wait()", "print('the end')"], ids=["in a wait", "after the end of the script"]
)
def test_a_signal_that_ends_the_driver_stops_the_job_first(tmp_path, number, after):
    waits = tmp_path / "waits"
    os.mkfifo(waits)
    after = TELL_WHEN_WAITING.format(path=str(waits)) + after
    with Driver(tmp_path / "driver", after=after) as driver:
        waits.read_text()
        driver.process.send_signal(number)
        assert driver.end() == stopped(driver.job) + "\n"
        assert driver.process.returncode == -number and has_ended(driver.map_process)
        paths = JobPaths(driver.job)
        assert [event["event"] for _, event in Disco().events(driver.job)][-1] == "failed"
        assert sorted(os.listdir(paths.path)) == KEPT


INTERRUPTED = """
import faulthandler, signal, sys
from kvproto.classic import Job
import kvproto.engine.job, kvproto.engine.pool
from support.injection import Injection
def map(line, params):
    signal.pause()
if __name__ == "__main__":
    faulthandler.dump_traceback_later(60, exit=True)
    job = Job("interrupted")
    files = ("classic/threads.py", "driver/signals.py", "/threading.py")
    with Injection(int(sys.argv[1]), files):
        job.run(input=["raw://x"], map=map).wait()
"""


@pytest.mark.parametrize("step", range(1, 640, 40))
def test_a_signal_ends_the_driver_whenever_it_comes(tmp_path, step):
    program = tmp_path / "interrupted.py"
    program.write_text(INTERRUPTED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    driver = subprocess.Popen(
        [sys.executable, "-P", program, str(step)],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = driver.communicate()[1]
    assert driver.returncode == -signal.SIGTERM, said
    assert said == "" or "was stopped; its logs are in" in said


TELL_WHEN_WAITING = """
import threading, time, sys
def waits():
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame:
        if frame.f_code.co_qualname == "Latch.wait":
            return True
        frame = frame.f_back
def tell():
    while not waits():
        time.sleep(0.01)
    open({path!r}, "w").close()
threading.Thread(target=tell, daemon=True).start()
"""


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path):
    start = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); {_START}"
    with Driver(tmp_path / "driver", start=start) as driver:
        driver.process.send_signal(signal.SIGHUP)
        driver.go_on()
        driver.end()
        assert driver.process.returncode == 0


def test_ctrl_c_in_a_wait_that_shows_events_stops_the_job(tmp_path):
    with Driver(tmp_path / "driver", after="job.wait(show=True)") as driver:
        driver.process.send_signal(signal.SIGINT)
        assert stopped(driver.job) in driver.end()
        assert driver.process.returncode == -signal.SIGINT and has_ended(driver.map_process)


def test_two_jobs_are_stopped_at_once_when_their_script_fails(tmp_path):
    second = (
        "second = Job('second').run(input=['raw://x'], map=map); print(open(told).read()); 1 / 0"
    )
    with Driver(tmp_path / "driver", after=second) as driver:
        said = driver.end()
        assert said.count("was stopped; its logs are in") == 2 and has_ended(driver.map_process)
        assert [status for _, status, _ in Disco().joblist()] == ["dead", "dead"]


def test_a_script_that_ends_without_a_wait_lets_its_job_end(tmp_path):
    with Driver(
        tmp_path / "driver", after="import atexit; atexit.register(print, 'the end')"
    ) as driver:
        driver.go_on()
        assert driver.process.communicate() == ("the end\n", "")
        assert driver.process.returncode == 0
        assert Disco().results(driver.job)[0] == "ready"


def test_an_error_that_the_script_caught_stops_no_job(tmp_path):
    with Driver(
        tmp_path / "driver", after="try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass"
    ) as driver:
        driver.go_on()
        driver.end()
        assert Disco().results(driver.job)[0] == "ready"


TELL_WHEN_LEAVING = """
import threading, time
def functions_of_main():
    frame = sys._current_frames()[threading.main_thread().ident]
    while frame:
        yield frame.f_code.co_name
        frame = frame.f_back
def tell():
    while not {{"_at_exit", "wait"}} <= set(functions_of_main()):
        time.sleep(0.01)
    open({path!r}, "w").close()
threading.Thread(target=tell, daemon=True).start()
"""


def test_ctrl_c_after_the_scripts_end_stops_the_job(tmp_path):
    leaving = tmp_path / "leaving"
    os.mkfifo(leaving)
    with Driver(tmp_path / "driver", after=TELL_WHEN_LEAVING.format(path=str(leaving))) as driver:
        leaving.read_text()
        driver.process.send_signal(signal.SIGINT)
        assert driver.end() == stopped(driver.job) + "\n"
        assert has_ended(driver.map_process)


FORKS = """
child = os.fork()
if child == 0:
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
job.wait()
"""


def test_a_fork_of_the_driver_ends_without_the_jobs_of_its_parent(tmp_path):
    with Driver(tmp_path / "driver", after=FORKS) as driver:
        assert driver.process.stdout.readline() == "3\n"
        assert Disco().results(driver.job, timeout=0)[0] == "active"
        driver.go_on()
        driver.end()
        assert Disco().results(driver.job)[0] == "ready"


FORKS_AND_DIES = """
import signal
if os.fork() == 0:
    print(os.getpid(), flush=True)
    signal.pause()
job.wait()
"""


def test_a_job_and_its_tasks_are_dead_when_their_driver_is_though_a_fork_of_that_lives_on(tmp_path):
    with Driver(tmp_path / "driver", after=FORKS_AND_DIES) as driver:
        child = int(driver.process.stdout.readline())
        driver.process.kill()
        driver.process.wait()
        assert Disco().results(driver.job, timeout=60_000)[0] == "dead"
        assert has_ended(driver.map_process, 60)
        os.kill(child, signal.SIGKILL)


FAILS = """
from kvproto.classic import Job
def map(line, params):
    raise ValueError("nobody waits for me")
Job("failing").run(input=["raw://x"], map=map)
"""


def test_a_failure_that_nobody_waits_for_is_told():
    done = subprocess.run(
        [sys.executable, "-c", FAILS], capture_output=True, text=True, check=False
    )
    assert (
        done.stderr.startswith("kvproto: job failing@")
        and "ValueError: nobody waits for me" in done.stderr
    )


INTERACTIVE = """
1 / 0
from kvproto.classic import Job
job = Job("asked").run(input=["raw://x"], map=lambda line, params: [(line, 1)])
"""


def test_a_prompt_that_is_left_lets_its_job_end_whatever_failed_there_before():
    done = subprocess.run(
        [sys.executable, "-i"], input=INTERACTIVE, capture_output=True, text=True, check=False
    )
    assert "ZeroDivisionError" in done.stderr
    assert [status for _, status, _ in Disco().joblist()] == ["ready"]


@pytest.mark.parametrize(
    "after",
    ["signal.pause()", "job.disco.wait(job.name)", "list(job.disco.events(job.name, follow=True))"],
)
def test_sigterm_stops_the_job_wherever_its_script_is(tmp_path, after):
    with Driver(tmp_path / "driver", after=f"import signal; {after}") as driver:
        driver.process.send_signal(signal.SIGTERM)
        assert stopped(driver.job) in driver.end()
        assert driver.process.returncode == -signal.SIGTERM and has_ended(driver.map_process)
        assert [event["event"] for _, event in Disco().events(driver.job)][-1] == "failed"
        assert not os.path.exists(JobPaths(driver.job).control)


def test_sigterm_after_the_end_of_all_jobs_ends_the_script_at_once(tmp_path):
    code = "job.wait(); print('done', flush=True); import signal; signal.pause()"
    with Driver(tmp_path / "driver", after=code) as driver:
        driver.go_on()
        assert driver.process.stdout.readline() == "done\n"
        driver.process.send_signal(signal.SIGTERM)
        assert driver.end() == ""
        assert driver.process.returncode == -signal.SIGTERM
