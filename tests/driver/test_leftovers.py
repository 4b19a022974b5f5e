"""Nothing of a worker is left, neither a process nor a file nor a descriptor, however its
run ends.
"""

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.scripts import PAIRS, TELL, script

from kvproto import ExternalProgram, ProtocolError
from kvproto.protocol.messages import Message

pytestmark = pytest.mark.slow

FAMILY = """
    import os, subprocess, sys
    sleep = ["sleep", "1000"]
    sleepers = [subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)]
    shell = ["sh", "-c", "setsid sleep 1000 & echo $!"]
    grandchild = subprocess.Popen(shell, stdout=subprocess.PIPE, text=True)
    pids = [os.getpid(), *(sleeper.pid for sleeper in sleepers), int(grandchild.stdout.readline())]
    print("**<MSG>", *pids, file=sys.stderr, flush=True)
    sys.stdin.buffer.read()
"""
"""A worker that says its pid and those of children of all kinds, and lives until it is killed."""


def family(message: Message) -> list[int]:
    return [os.pidfd_open(int(pid)) for pid in message.text.split()]


def assert_all_end(pidfds: list[int]) -> None:
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], 30)[0], "a process lives on"
        os.close(pidfd)


class _Interrupt(Exception):
    pass


@pytest.mark.clause("LIFECYCLE-7", "LIFECYCLE-8")
def test_nothing_is_left_when_a_callback_raises(tmp_path, private):
    pidfds = []

    def interrupt(message):
        pidfds.extend(family(message))
        raise _Interrupt

    with (
        pytest.raises(_Interrupt),
        ExternalProgram([script(tmp_path, FAMILY)], on_message=interrupt) as worker,
    ):
        list(worker.map(PAIRS))
    assert len(pidfds) == 4
    assert_all_end(pidfds)


@pytest.mark.clause("LIFECYCLE-7", "LIFECYCLE-8")
@pytest.mark.parametrize("how", ["close the iterator", "drop the iterator", "leave the context"])
def test_nothing_is_left_of_an_abandoned_iterator(tmp_path, private, how):
    pidfds = []
    body = TELL + FAMILY.replace(
        "sys.stdin.buffer.read()", "tell((b'first', b'')); sys.stdin.buffer.read()"
    )
    worker = ExternalProgram(
        [script(tmp_path, body)], on_message=lambda message: pidfds.extend(family(message))
    )
    with worker:
        pairs = worker.reduce(PAIRS)
        assert next(pairs) == (b"first", b"")
        if how == "close the iterator":
            pairs.close()
        elif how == "drop the iterator":
            del pairs
    assert len(pidfds) == 4
    assert_all_end(pidfds)


@pytest.mark.clause("LIFECYCLE-7", "LIFECYCLE-8")
@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name
)
def test_nothing_is_left_when_a_signal_ends_the_driver(tmp_path, private, number):
    driver = subprocess.Popen(
        [sys.executable, "-m", "kvproto", "reduce", "--", str(script(tmp_path, FAMILY))],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(private)},
    )
    with driver:
        pidfds = family(Message("MSG", driver.stderr.readline().encode()))
        driver.send_signal(number)
        assert driver.wait(30) == -number
        driver.stdin.close()
    assert_all_end(pidfds)
    wait_until_empty(private)


def wait_until_empty(directory: Path) -> None:
    """A killed driver cannot wait for its supervisor, which removes the directory last: so the test
    does.
    """
    for entry in Path("/proc").iterdir():
        try:
            arguments = (
                (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            )
        except OSError:
            continue
        if len(arguments) > 3 and arguments[3].startswith(os.fsencode(directory)):
            try:
                assert_all_end([os.pidfd_open(int(entry.name))])
            except ProcessLookupError:
                continue


def test_a_program_is_executed_while_other_threads_fork(identity, private):
    """The kernel refuses to execute a file that any process has open for writing, a fork of another
    thread too.
    """
    failures = []

    def run():
        try:
            with ExternalProgram([identity]) as worker:
                for _ in range(20):
                    assert list(worker.map([b"x"])) == [[(b"", b"x")]]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_no_descriptor_is_left_open(identity, private):
    def n_open():
        return len(os.listdir("/proc/self/fd"))

    before = n_open()
    for _ in range(5):
        with ExternalProgram([identity]) as worker:
            next(worker.map(PAIRS))
            list(worker.reduce(PAIRS))
    with pytest.raises(ProtocolError), ExternalProgram([identity]) as worker:
        list(worker.map_frames([b"\1"]))
    assert n_open() == before


@pytest.mark.clause("MAP-6", "LIFECYCLE-7")
def test_a_forked_process_that_lives_on_holds_up_neither_the_worker_nor_its_end(identity, private):
    with ExternalProgram([identity], idle=20) as worker:
        answers = worker.map(PAIRS * 20)
        next(answers)
        gate, release = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(release)
            os.read(gate, 1)
            os._exit(0)
        os.close(gate)
        assert len(list(answers)) == 20 * len(PAIRS) - 1
        half = worker.map(PAIRS * 20)
        next(half)
        half.close()
    os.close(release)
    assert os.waitpid(child, 0)[1] == 0
