"""Task processes are forks of a prepared process: each is as a new program would be, and whatever
ends a process on the way, no job fails for it.
"""

import contextlib
import importlib
import os
import pickle
import random
import resource
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import cloudpickle
import pytest

from kvproto.driver import proc
from kvproto.engine import prepared
from kvproto.engine.task_process import TaskProcess

pytestmark = pytest.mark.usefixtures("not_preloaded")

PATIENCE = 30  # seconds until what never comes fails its test

cloudpickle.register_pickle_by_value(sys.modules[__name__])


@contextlib.contextmanager
def started(tmp_path, files_directory=None, **options):
    process = TaskProcess(str(tmp_path / "log"), str(tmp_path), files_directory, **options)
    try:
        yield process
    finally:
        process.kill()


def answer(process, function):
    """What a function returns in a task process."""
    stage = pickle.dumps(("stage", "test", None, cloudpickle.dumps(lambda call: function())))
    process.send(stage, function, 0, 0, pickle.dumps(None))
    while True:
        assert select.select([process.connection], [], [], PATIENCE)[0], "no answer"
        if (message := process.receive()) is None:
            continue
        kind, _, *rest = message
        if kind != "event":
            assert kind == "result", rest[0].report
            return rest[0]


def run(function, tmp_path, files_directory=None, **options):
    """What a function returns in a task process of its own."""
    with started(tmp_path, files_directory, **options) as process:
        return answer(process, function)


def prepared_pid() -> int | None:
    """The prepared process of this process."""
    return next((pid for pid in proc.children(os.getpid()) if is_fork(pid)), None)


def is_fork(pid="self") -> bool:
    """Whether a process is a prepared one or a fork of it."""
    return b"prepared_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


# --- what a fork is ------------------------------------------------------------------------------


def everything():
    """What a program inherits from the one that starts it, and what Python makes of it."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    inherited = ["Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "SigCgt", "Threads", "CapEff"]
    files = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of listdir
            files[int(fd)] = os.readlink(f"/proc/self/fd/{fd}").partition(":")[0]
    parent = os.getppid()
    own = {"TMPDIR", "KVPROTO_SUPERVISED"}
    return {
        **{name: status[name] for name in inherited},
        "handlers": {number: str(signal.getsignal(number)) for number in signal.valid_signals()},
        "limits": Path("/proc/self/limits").read_text(),
        "directory": os.getcwd(),
        "standard files": [files.pop(fd) for fd in range(3)],
        "other files": sorted(files.values()),
        "variables": {name: value for name, value in os.environ.items() if name not in own},
        "path": list(sys.path),
        "arguments": sys.argv,
        "flags": str(sys.flags),
        "leads its group": os.getpgrp() == os.getpid(),
        "session": os.getsid(0),
        "parent": Path(f"/proc/{parent}/comm").read_text(),
        "parent leads its group": os.getpgid(parent) == parent,
        "hash": hash("key"),
        "encodings": [sys.stdin.encoding, sys.stdout.encoding, sys.getfilesystemencoding()],
        "buffering": [sys.__stdout__.line_buffering, sys.__stderr__.line_buffering],
        "main": sys.modules["__main__"].__name__,
        "threads": [thread.name for thread in threading.enumerate()],
    }


def test_a_fork_is_as_a_new_program(tmp_path, monkeypatch):
    # files_directory: it is executed, since the C library reads LD_LIBRARY_PATH at the start
    monkeypatch.setenv("OF_THE_DRIVER", "\udcff")
    executed = run(everything, tmp_path, os.getcwd())
    assert executed["variables"].pop("LD_LIBRARY_PATH") == executed["path"].pop(0) == os.getcwd()
    assert not run(is_fork, tmp_path, os.getcwd())
    assert run(everything, tmp_path) == executed
    assert run(is_fork, tmp_path)


def test_signals_of_the_driver_are_not_those_of_its_forks(tmp_path):
    code = (
        "import signal\n"
        "for number in signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD:\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "executed, forked = run(everything, path, str(path)), run(everything, path)\n"
        "assert forked['handlers'] == executed['handlers']\n"
        "assert forked['SigBlk'] == executed['SigBlk'] and int(forked['SigBlk'], 16) == 0\n"
    )
    in_another_program(code, tmp_path)


def test_a_supervisor_may_end_before_a_driver_that_ignores_sigchld_looks_at_it(tmp_path):
    code = (
        "import signal\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "pidfd_open = os.pidfd_open\n"
        "def late(pid):\n"
        "    while os.path.exists(f'/proc/{pid}'):\n"
        "        os.sched_yield()\n"
        "    return pidfd_open(pid)\n"
        "with started(path):\n"
        "    os.pidfd_open = late\n"
    )
    in_another_program(code, tmp_path)


def in_another_program(code, tmp_path, *launcher):
    """What code prints in another program."""
    command = [*launcher, *driver(code, tmp_path)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def driver(code, tmp_path):
    """The command of a program that may use what this module defines; `path` is tmp_path."""
    file = tmp_path / "driver.py"
    file.write_text(
        f"import pathlib, sys\nsys.path[:0] = {[str(Path(__file__).parent)]!r}\n"
        f"from test_prepared import *\npath = pathlib.Path({str(tmp_path)!r})\n{code}"
    )
    return [sys.executable, str(file)]


def by_chance():
    name = os.path.basename(tempfile.mktemp(dir="/"))
    return [random.random(), str(uuid.uuid4()), str(uuid.uuid1()), secrets.token_hex(), name]


def test_nothing_random_is_the_same_in_two_forks(tmp_path):
    one, other = run(by_chance, tmp_path), run(by_chance, tmp_path)
    assert all(mine != yours for mine, yours in zip(one, other, strict=True))


def test_the_mark_of_a_fork_is_its_own_in_proc(tmp_path):
    def marks():
        mark = b"KVPROTO_SUPERVISED=" + os.environb[b"KVPROTO_SUPERVISED"]
        return mark, mark in Path("/proc/self/environ").read_bytes().split(b"\0")

    (one, one_is_shown), (other, other_is_shown) = run(marks, tmp_path), run(marks, tmp_path)
    assert one_is_shown and other_is_shown and one != other


def inherited():
    """Some of what a program inherits."""
    umask = os.umask(0)
    return {
        "umask": os.umask(umask) or umask,
        "cores": os.sched_getaffinity(0),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "zone": time.timezone,
        "warnings": sys.warnoptions,
        "path": sys.path[-1],
    }


@contextlib.contextmanager
def changed_umask():
    before = os.umask(0o27)
    yield {"umask": 0o27}
    os.umask(before)


@contextlib.contextmanager
def changed_cores():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(before)])
    yield {"cores": {min(before)}}
    os.sched_setaffinity(0, before)


@contextlib.contextmanager
def changed_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
    yield {"files": (soft - 1, hard)}
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def changed_variables():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "XXX5")
        patch.setenv("PYTHONWARNINGS", "error::UserWarning")
        yield {"zone": 18000, "warnings": ["error::UserWarning"]}


@contextlib.contextmanager
def changed_path():
    sys.path.append("/nowhere")
    yield {"path": "/nowhere"}
    sys.path.remove("/nowhere")


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [changed_umask, changed_cores, changed_limit, changed_variables, changed_path]
)
def test_what_a_program_inherits_is_what_the_driver_has_now(tmp_path, change):
    before = run(inherited, tmp_path)
    with change() as changes:
        assert run(inherited, tmp_path) == before | changes
        assert run(is_fork, tmp_path)
    assert run(inherited, tmp_path) == before
    assert run(is_fork, tmp_path)


def test_directory_and_variables_change_without_another_prepared_process(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["lib", *sys.path])
    run(is_fork, tmp_path)
    pid = prepared_pid()
    (tmp_path / "there" / "lib").mkdir(parents=True)
    (tmp_path / "there" / "lib" / "beside.py").write_text("value = 1")
    monkeypatch.chdir(tmp_path / "there")
    monkeypatch.setenv("ITS_OWN", "value")

    def look():
        beside = importlib.import_module("beside")
        return os.getcwd(), os.environ["ITS_OWN"], os.environ["GIVEN"], beside.value

    assert run(look, tmp_path, environment={"GIVEN": "too"}) == (os.getcwd(), "value", "too", 1)
    assert prepared_pid() == pid


def test_a_directory_that_is_gone_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")
    assert run(is_fork, tmp_path)


# --- the ends ------------------------------------------------------------------------------------


def test_a_killed_prepared_process_harms_no_task_and_the_next_start_makes_another(tmp_path):
    with started(tmp_path) as process:
        assert answer(process, is_fork)
        pid = prepared_pid()
        os.kill(pid, signal.SIGKILL)
        assert answer(process, is_fork)
        assert run(is_fork, tmp_path)
        assert prepared_pid() not in (pid, None)


def test_a_task_that_kills_the_prepared_process_harms_no_other(tmp_path):
    run(is_fork, tmp_path)
    pid = prepared_pid()
    for _ in range(3):
        run(lambda pid=pid: os.kill(pid, signal.SIGKILL), tmp_path)
        assert prepared_pid() != pid
        assert run(is_fork, tmp_path)
        pid = prepared_pid()


def test_a_prepared_process_that_is_stopped_is_replaced(tmp_path, monkeypatch):
    prepared._at_exit()
    monkeypatch.setattr(prepared, "_ANSWER_SECONDS", 5.0)
    run(is_fork, tmp_path)
    pid = prepared_pid()
    prepared._Process.prepared._link.settimeout(0.1)
    os.kill(pid, signal.SIGSTOP)
    assert run(is_fork, tmp_path)
    assert prepared_pid() not in (pid, None)


@pytest.mark.slow
@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(3)", "os.kill(os.getpid(), 9)", "1 / 0"])
def test_a_prepared_process_ends_with_its_driver_however_that_ends(tmp_path, end):
    """A fork of the driver, which has copies of all its descriptors, lives on."""
    reads, writes = os.pipe()
    code = (
        "run(is_fork, path)\n"
        f"if os.fork() == 0:\n    os.read({reads}, 1)\n    os._exit(0)\n"
        f"print(prepared_pid(), flush=True)\nsys.stdin.readline()\n{end}\n"
    )
    command, pipe = driver(code, tmp_path), subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=[reads]
    ) as process:
        pid = int(process.stdout.readline())
        pidfd = os.pidfd_open(pid)
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert select.select([pidfd], [], [], 8)[0], "it lives on, or ended for want of requests"
    for fd in pidfd, reads, writes:
        os.close(fd)


def test_a_prepared_process_without_requests_ends(tmp_path):
    ours, theirs = prepared.socket.socketpair()
    code = "import kvproto.engine.prepared_main as main; main._IDLE_SECONDS = 0.01; "
    code += f"main.serve({theirs.fileno()}, {os.getpid()})"
    command = [sys.executable, "-P", "-c", code]
    with ours, theirs:
        subprocess.run(command, pass_fds=[theirs.fileno()], check=True, timeout=PATIENCE)


def test_a_fork_of_the_driver_has_a_prepared_process_of_its_own(tmp_path):
    code = (
        "assert run(is_fork, path)\nmine = prepared_pid()\nchild = os.fork()\n"
        "if child == 0:\n"
        "    assert prepared_pid() is None\n"
        "    assert run(is_fork, path)\n"
        "    assert prepared_pid() not in (mine, None)\n"
        "    sys.exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7\n"
        "assert run(is_fork, path) and prepared_pid() == mine\n"
    )
    in_another_program(code, tmp_path)


def test_threads_share_one_prepared_process(tmp_path):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(run(os.getppid, tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 8


def test_a_driver_whose_thread_has_ended_keeps_its_task_processes(tmp_path):
    processes = contextlib.ExitStack()
    with processes:
        kept = []

        def begin():
            kept.append(processes.enter_context(started(tmp_path)))

        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()
        assert answer(kept[0], is_fork)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_where_the_kernel_refuses_the_fork_python_is_executed(tmp_path):
    strace = ["strace", "-qqq", "-f", "-e", "signal=none", "-o", "/dev/null", "-e", "trace=clone3"]
    code = "assert not run(is_fork, path) and not run(is_fork, path)\nprint('done')\n"
    done = in_another_program(code, tmp_path, *strace, "-e", "inject=clone3:error=ENOSYS")
    assert done == "done\n"


COUNTED = """
import sys
if "prepared_main" in " ".join(sys.orig_argv):
    with open({!r}, "a") as file:
        file.write("started ")
"""

A_THREAD = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


def counting(tmp_path, more=""):
    """The variables with which starts of prepared processes are counted in the file `starts`."""
    code = COUNTED.format(str(tmp_path / "starts")) + more
    (tmp_path / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}


def test_a_prepared_process_with_a_thread_is_of_no_use_and_is_not_started_again(tmp_path):
    options = {"environment": counting(tmp_path, A_THREAD)}
    assert not run(is_fork, tmp_path, **options)
    assert not run(is_fork, tmp_path, **options)
    assert (tmp_path / "starts").read_text() == "started "
    assert run(is_fork, tmp_path)


def test_the_prepared_process_that_a_command_begins_with_is_the_one_of_its_job(tmp_path):
    command = [sys.executable, "-m", "kvproto", "run", "kvproto.examples.wordcount.WordCount"]
    variables = {**os.environ, **counting(tmp_path)}
    done = subprocess.run([*command, "raw://a"], env=variables, capture_output=True, check=True)
    assert done.stdout == b"a\t1\n"
    assert (tmp_path / "starts").read_text() == "started "
