"""When the driver of a job is killed, nothing that its tasks do or have started lives on."""

import os
import select
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

DRIVER = """
import ctypes, multiprocessing, os, subprocess, sys, time
from kvproto.classic import Job

def tell(pid):
    with open(TOLD, "a") as file:
        file.write(f"{pid}\\n")

def busy(path):
    tell(os.getpid())
    while True:
        pass

def start_program():
    process = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    tell(process.pid)
    process.wait()

def start_processes():
    process = multiprocessing.get_context("fork").Process(target=busy, args=("",))
    process.start()
    process.join()

def hold_the_gil():
    tell(os.getpid())
    ctypes.PyDLL(None).sleep(1000)

def double_fork():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            busy("")
        os._exit(0)
    time.sleep(1000)

def map(entry, params):
    does = {
        "program": start_program,
        "processes": start_processes,
        "GIL": hold_the_gil,
        "forks": double_fork,
    }
    does[entry]()
    return []

if __name__ == "__main__":
    Job().run(input=["raw://" + sys.argv[1]], map=map, processes=1).wait(show=False)
"""


@pytest.mark.parametrize("what", ["program", "processes", "GIL", "forks"])
def test_what_a_task_does_ends_with_a_killed_driver(tmp_path, what):
    told = tmp_path / "told"
    os.mkfifo(told)
    reads = os.open(told, os.O_RDWR | os.O_NONBLOCK)
    script = tmp_path / "driver.py"
    script.write_text(DRIVER.replace("TOLD", repr(str(told))))
    with subprocess.Popen([sys.executable, script, what], cwd=tmp_path, process_group=0) as driver:
        assert select.select([reads], [], [], 30)[0], "the task did not begin"
        pidfd = os.pidfd_open(int(os.read(reads, 100)))
        driver.kill()
    assert select.select([pidfd], [], [], 30)[0], "it lives on"
    os.close(pidfd)
    os.close(reads)
