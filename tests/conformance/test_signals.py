"""A signal ends a check and its workers, whenever it comes."""

import os
import select
import signal
import subprocess
import sys

import pytest
from support.injection import n_steps_of

pytestmark = pytest.mark.slow

CHECKS = """
from kvproto.conformance.runner import run_all
from support.injection import interrupt_each_step

def check():
    run_all(lambda case, mode: mode, [(None, "map"), (None, "map")], str, stop=str)

interrupt_each_step(check, after=str)
"""


def test_a_check_ends_whenever_a_signal_comes():
    assert n_steps_of(CHECKS) > 1000


CHECK_MAP = [sys.executable, "-P", "-m", "kvproto", "check", "--mode", "map"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "arguments",
    [("-k", "MAP-lockstep"), ("--driver", "-k", "FRAME-pairs")],
    ids=["worker", "driver"],
)
def test_a_signal_ends_the_check_and_its_workers(arguments, number, tmp_path):
    told, temporary = tmp_path / "told", tmp_path / "temporary"
    os.mkfifo(told)
    temporary.mkdir()
    worker = tmp_path / "worker"
    worker.write_text(f'#!/bin/sh\nset -e\necho $$ > "{told}"\nexec sleep 1000\n')
    worker.chmod(0o755)
    argv = [
        *CHECK_MAP,
        *arguments,
        "--timeout",
        "1000",
        "--",
        worker,
    ]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        argv, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as checking:
        process = os.pidfd_open(int(told.read_text()))
        checking.send_signal(number)
        printed = checking.stdout.read()
        assert (checking.wait(), printed) == (-number, b"")
    assert select.select([process], [], [], 10)[0]
    os.close(process)
    assert list(temporary.iterdir()) == []


def test_what_nohup_has_the_check_ignore_stays_ignored(tmp_path):
    told = tmp_path / "told"
    os.mkfifo(told)
    worker = tmp_path / "worker"
    worker.write_text(f'#!/bin/sh\necho $$ > "{told}"\nexec cat "{told}"\n')
    worker.chmod(0o755)
    argv = [
        "nohup",
        *CHECK_MAP,
        "-k",
        "MAP-no-pairs",
        "--",
        worker,
    ]
    with subprocess.Popen(
        argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as checking:
        told.read_text()
        checking.send_signal(signal.SIGHUP)
        told.write_bytes(b"")
        printed = checking.stdout.read()
        assert (checking.wait(), b"FAIL  MAP-no-pairs" in printed) == (1, True)
