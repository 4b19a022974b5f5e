"""The supervisor by itself: what it says of the worker, and that nothing outlives it, whatever goes
wrong.
"""

import errno
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.faults import injected

from kvproto.driver.process import SUPERVISE

FAMILY = "setsid sleep 1000 & echo $!; exec sleep 1000"
"""A worker that says the pid of a child in a session of its own, and lives until it is killed."""

PATIENCE = 30  # seconds until what never comes fails its test
NOBODY = 65534


def pipe() -> tuple[int, int]:
    """A pipe whose descriptors are 10 or more, so that those below stay free."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved


class Supervised:
    """A supervisor started on a shell script as its worker.

    body       of the script; None: there is none
    launcher   a command that executes the supervisor
    closed     the control pipe is closed before the start
    busy       the script is open for writing, by `writer`
    """

    def __init__(
        self,
        tmp_path,
        body: str | None,
        launcher=(),
        *,
        program=SUPERVISE,
        closed=False,
        busy=False,
        **options,
    ):
        self.directory = tmp_path / "private"
        self.directory.mkdir()
        op = self.directory / "op"
        if body is not None:
            op.write_text(f"#!/bin/sh\n{body}\n")
            op.chmod(0o755)
        control, self.control = pipe()
        self.status, status = pipe()
        self.writer = op.open("ab") if busy else None
        if closed:
            self.let_go()
        self.process = subprocess.Popen(
            [*launcher, program, str(control), str(status), self.directory, "./op"],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=(control, status, *options.pop("pass_fds", ())),
            process_group=0,
            **options,
        )
        os.close(control)
        os.close(status)
        self.said = os.fdopen(self.status, "rb", buffering=0)

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.let_go()
        self.process.communicate(timeout=PATIENCE)
        self.said.close()

    def let_go(self) -> None:
        """Close the control pipe."""
        if self.control is not None:
            os.close(self.control)
            self.control = None

    def line(self) -> tuple[str, int]:
        """The next line that it says, without what the worker used."""
        word, number, *self.used = self.words()
        return word, int(number)

    def words(self) -> list[str]:
        """The words of the next line that it says."""
        assert select.select([self.said], [], [], PATIENCE)[0], "it says nothing"
        return self.said.readline().decode().split()

    def ends_clean(self) -> None:
        """Wait until it exits: with 0, its directory gone, nothing more said."""
        assert self.process.wait(PATIENCE) == 0
        assert self.said.read() == b""
        assert not self.directory.exists()


def watch_worker(supervised: Supervised) -> int:
    word, pid = supervised.line()
    assert word == "start"
    return os.pidfd_open(pid)


def assert_ended(*pidfds: int) -> None:
    for pidfd in pidfds:
        assert select.select([pidfd], [], [], 0)[0], "a process lives on"
        os.close(pidfd)


USAGE = b"""\
usage: supervise CONTROL STATUS DIRECTORY PROGRAM [ARGUMENT ...]
       supervise --child PID CONTROL STATUS DIRECTORY
"""


@pytest.mark.parametrize("n_arguments", [0, 3])
def test_too_few_arguments_are_refused_with_the_usage(n_arguments):
    done = subprocess.run([SUPERVISE, *["3"] * n_arguments], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (64, b"")
    assert done.stderr == USAGE


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("exit 0", 0),
        ("exit 3", 3 << 8),
        ("kill -TERM $$", signal.SIGTERM),
        ("kill -9 $$", signal.SIGKILL),
    ],
)
def test_the_exit_is_told_once_and_the_directory_stays_until_the_driver_lets_go(
    tmp_path, body, status
):
    with Supervised(tmp_path, body) as supervised:
        assert supervised.line()[0] == "start"
        assert supervised.line() == ("exit", status)
        supervised.process.send_signal(signal.SIGCHLD)  # as any orphan that ends later does
        wait_until_it_sleeps(supervised.process.pid)
        assert supervised.directory.exists()
        supervised.let_go()
        supervised.ends_clean()


USE = f"""exec {sys.executable} -ISc '
import time
memory = bytearray(b"x" * (64 << 20))
while time.process_time() < 0.3: pass
'"""


def test_the_exit_tells_the_processor_time_and_the_peak_of_the_memory(tmp_path):
    with Supervised(tmp_path, USE) as supervised:
        assert supervised.line()[0] == "start"
        assert supervised.line() == ("exit", 0)
        microseconds, kib = map(int, supervised.used)
        assert 300_000 <= microseconds < 60_000_000
        assert 64 << 10 < kib < 1 << 20
        supervised.let_go()
        supervised.ends_clean()


AS_CHILD = """
import os, sys
program, control, status, directory, worker = sys.argv[1:]
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.execv(worker, [worker])
os.execv(program, [program, "--child", str(pid), control, status, directory])
"""


@pytest.mark.parametrize(("body", "status"), [("exit 3", 3 << 8), ("kill -9 $$", signal.SIGKILL)])
def test_a_child_from_before_the_start_is_supervised_as_a_worker(tmp_path, body, status):
    launcher = [sys.executable, "-ISc", AS_CHILD]
    with Supervised(tmp_path, f"read line; {body}", launcher) as supervised:
        assert supervised.line()[0] == "start"
        assert supervised.line() == ("exit", status)
        supervised.let_go()
        supervised.ends_clean()


@pytest.mark.clause("LIFECYCLE-7", "LIFECYCLE-8")
def test_a_child_from_before_the_start_ends_with_its_descendants(tmp_path):
    launcher = [sys.executable, "-ISc", AS_CHILD]
    with Supervised(tmp_path, FAMILY, launcher) as supervised:
        worker = watch_worker(supervised)
        child = os.pidfd_open(int(supervised.process.stdout.readline()))
        supervised.let_go()
        supervised.ends_clean()
        assert_ended(worker, child)


def test_a_child_that_cannot_be_supervised_is_an_error(tmp_path):
    command = [SUPERVISE, "--child", "no-number", "3", "4", tmp_path]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (64, USAGE)


@pytest.mark.clause("LIFECYCLE-7", "LIFECYCLE-8")
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name
)
def test_a_signal_to_the_supervisor_ends_the_worker_and_its_descendants(tmp_path, number):
    with Supervised(tmp_path, FAMILY) as supervised:
        worker = watch_worker(supervised)
        child = os.pidfd_open(int(supervised.process.stdout.readline()))
        supervised.process.send_signal(number)
        supervised.ends_clean()
        assert_ended(worker, child)


@pytest.mark.clause("LIFECYCLE-7", "LIFECYCLE-8")
def test_a_driver_that_is_gone_before_the_start_leaves_nothing(tmp_path):
    with Supervised(tmp_path, "exec sleep 1000", closed=True) as supervised:
        word, pid = supervised.line()
        supervised.ends_clean()
        assert word == "start"
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("body", "number"), [(None, 2), ("", 13)], ids=["missing", "not executable"]
)
def test_a_program_that_cannot_be_executed_is_told_by_its_errno(tmp_path, body, number):
    with Supervised(
        tmp_path, body, launcher=["sh", "-c", 'test ! -e op || chmod 0 op; exec "$@"', "sh"]
    ) as supervised:
        assert supervised.line() == ("error", number)
        supervised.ends_clean()


def test_a_program_that_is_open_for_writing_is_started_when_it_is_closed(tmp_path):
    with Supervised(tmp_path, "exit 0", busy=True) as supervised:
        wait_until_the_child_sleeps(supervised.process.pid)
        assert not select.select([supervised.said], [], [], 0)[0], "it did not wait"
        supervised.writer.close()
        assert supervised.line()[0] == "start"
        assert supervised.line() == ("exit", 0)


def wait_until_the_child_sleeps(pid: int) -> None:
    """The child that is to execute the program sleeps for nothing but the file."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while not (child := children.read_text().strip()):
        os.sched_yield()
    wait_until_it_sleeps(int(child))


def wait_until_it_sleeps(pid: int) -> None:
    while re.search(r"\) (\S)", Path(f"/proc/{pid}/stat").read_text())[1] != "S":
        os.sched_yield()


FEW_DESCRIPTORS = """
import os, resource, sys
program, control, status, *rest = sys.argv[1:]
os.dup2(int(control), 3)
os.dup2(int(status), 4)
os.closerange(5, 1000)
resource.setrlimit(resource.RLIMIT_NOFILE, (7, 7))
os.execv(program, [program, "3", "4", *rest])
"""


def test_no_descriptor_for_the_start_is_told_by_its_errno(tmp_path):
    # 0 to 4 and one for signals are in use; of the two that a pipe takes, one is left.
    with Supervised(
        tmp_path, "exit 0", launcher=[sys.executable, "-ISc", FEW_DESCRIPTORS]
    ) as supervised:
        assert supervised.line() == ("error", 24)
        supervised.ends_clean()


@pytest.mark.skipif(
    not shutil.which("prlimit"), reason="prlimit is not installed: apt install util-linux"
)
def test_a_process_that_cannot_be_had_is_told_by_its_errno(tmp_path):
    # Root may have as many as it likes, and another user may not reach this file by its path.
    program = os.open(SUPERVISE, os.O_RDONLY)
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if os.getuid() == 0 else {}
    limits = ["prlimit", "--nproc=0:0", "--"]
    path = f"/proc/self/fd/{program}"
    with Supervised(
        tmp_path, "exit 0", launcher=limits, program=path, pass_fds=[program], **other
    ) as supervised:
        os.close(program)
        assert supervised.line() == ("error", 11)
        assert supervised.process.wait(PATIENCE) == 0


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize(
    ("call", "fault", "number"),
    [
        ("signalfd4", "error=EMFILE", 24),
        ("prctl", "error=EINVAL:when=1", 22),
        ("setpgid", "error=EPERM", 1),
    ],
    ids=["the exit cannot be seen", "descendants would escape", "there is no group to kill"],
)
def test_a_worker_that_cannot_be_supervised_is_not_started(tmp_path, call, fault, number):
    with Supervised(tmp_path, "exec sleep 1000", launcher=injected(call, fault)) as supervised:
        assert supervised.line() == ("error", number)
        supervised.ends_clean()


FORK = """
import os, sys
from kvproto._disco import ffi, lib
from kvproto.driver import proc
before = os.getppid()
pid = lib.kvproto_fork_sibling()
if pid == 0:
    os._exit(0 if os.getppid() == before else 1)
name, mark = (ffi.new("char[]", text) for text in (b"OF_THE_TEST", b"after!"))
print(pid, lib.kvproto_settle(before, name, mark), lib.kvproto_settle(1, name, mark))
assert b"OF_THE_TEST=after!" in proc.environment(os.getpid())
assert os.getpgrp() == os.getpid()
"""


def test_a_sibling_has_the_same_parent_and_a_settled_process_its_own_group_and_mark():
    variables = {**os.environ, "OF_THE_TEST": "before"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", FORK], stdout=subprocess.PIPE, check=True, env=variables
    )
    pid, settled, orphaned = map(int, done.stdout.split())
    assert os.waitpid(pid, 0) == (pid, 0)
    assert (settled, orphaned) == (0, errno.ESRCH)


SETTLE = """
import os
from kvproto._disco import ffi, lib
name, mark = ffi.new("char[]", b"NOT_SET"), ffi.new("char[]", b"mark")
print(lib.kvproto_settle(os.getppid(), name, mark))
"""


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("call", ["setpgid", "prctl"])
def test_a_process_that_cannot_settle_says_why(call):
    command = [*injected(call, "error=EPERM"), sys.executable, "-P", "-c", SETTLE]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    assert int(done.stdout) == errno.EPERM


def test_descriptors_that_are_not_open_are_a_wrong_call(tmp_path):
    done = subprocess.run(
        [SUPERVISE, "97", "98", tmp_path, "/bin/true"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "supervise: CONTROL or STATUS: Bad file descriptor\n"


def hiding(place: str) -> list[str]:
    """A command that starts a program for which the directory is empty."""
    return [*UNSHARE, "sh", "-c", f'mount -t tmpfs none {place} && exec "$@"', "sh"]


@pytest.mark.parametrize("lacking", ["/dev", "/proc", "close_range"])
def test_the_supervisor_holds_no_descriptor_of_the_worker(tmp_path, lacking):
    launcher = injected(lacking, "error=ENOSYS") if lacking[0] != "/" else hiding(lacking)
    if subprocess.run([*launcher, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace of its own is to be had here, or no strace")
    extra, spare = os.pipe()
    with Supervised(tmp_path, "exec sleep 1000", launcher=launcher, pass_fds=[spare]) as supervised:
        os.close(spare)
        os.close(extra)
        word, pid = supervised.line()
        assert word == "start"
        supervisor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        wait_until_it_sleeps(supervisor)
        kept = {link.readlink().name for link in Path(f"/proc/{supervisor}/fd").iterdir()}
        assert len(kept) == len(list(Path(f"/proc/{supervisor}/fd").iterdir())) == 3
        assert "anon_inode:[signalfd]" in kept
        supervised.let_go()
        supervised.ends_clean()


UNSHARE = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]


def test_where_the_kernel_lists_no_children_the_group_is_killed_all_the_same(tmp_path):
    if subprocess.run(
        [*UNSHARE, "mount", "-t", "tmpfs", "none", "/proc"], capture_output=True, check=False
    ).returncode:
        pytest.skip("no mount namespace of its own is to be had here")
    hidden = [*UNSHARE, "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh"]
    with Supervised(
        tmp_path, "sleep 1000 & echo $!; exec sleep 1000", launcher=hidden
    ) as supervised:
        worker = watch_worker(supervised)
        child = os.pidfd_open(int(supervised.process.stdout.readline()))
        supervised.let_go()
        supervised.ends_clean()
        assert select.select([child], [], [], PATIENCE)[0], (
            "the child in the worker's group lives on"
        )
        os.close(child)
        assert_ended(worker)
