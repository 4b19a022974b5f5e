"""Workers that interfere with their supervisor, or leave a directory that resists its removal."""

import contextlib
import os
import select
import signal
import subprocess
import sys

import pytest
from support.scripts import PAIRS, script

from kvproto import ExternalProgram, _stdio, errors
from kvproto.classic import Job

FORGE = """
    import glob, os, sys, time
    for link in glob.glob(f"/proc/{os.getppid()}/fd/*"):
        try:
            fd = os.open(link, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            continue
        os.write(fd, b"exit 0\\n")
    sys.stdin.buffer.read()
    sys.exit(3)
"""
"""A worker that writes a good exit status to every descriptor of its supervisor, and exits with
another.
"""

STEAL = """
    import glob, os, sys, threading
    def steal(link):
        try:
            fd = os.open(link, os.O_RDWR)
            while os.read(fd, 100):
                pass
        except OSError:
            pass
    for link in glob.glob(f"/proc/{os.getppid()}/fd/*"):
        threading.Thread(target=steal, args=(link,), daemon=True).start()
    print("**<MSG>", os.getpid(), file=sys.stderr, flush=True)
    sys.stdin.buffer.read()
    while True:
        os.kill(os.getppid(), 19) if "stop" in sys.argv else threading.Event().wait(0.05)
"""
"""A worker that reads what is for its supervisor, and may stop that again and again."""


def test_an_exit_status_cannot_be_forged(tmp_path, private):
    with (
        ExternalProgram([script(tmp_path, FORGE)]) as worker,
        pytest.raises(errors.WorkerFailed, match="exit status 3"),
    ):
        list(worker.reduce(PAIRS))


@pytest.mark.parametrize("how", ["steal", "stop"])
def test_a_worker_that_steals_from_its_supervisor_or_stops_it_ends_at_its_limits(
    tmp_path, private, how
):
    pidfds = []

    def note(message):
        pidfds.append(os.pidfd_open(int(message.text)))

    path = script(tmp_path, STEAL)
    with (
        ExternalProgram([path], args=[how], on_message=note, idle=3, total=6) as worker,
        pytest.raises(errors.WorkerHung),
    ):
        list(worker.reduce(PAIRS))
    assert select.select(pidfds, [], [], 10)[0], "the worker lives on"
    assert not os.listdir(private)


@pytest.mark.parametrize(
    "body", ["kill -9 $PPID; exec sleep 1000", "sleep 1000 & kill -9 $PPID; exec sleep 1000"]
)
def test_a_worker_that_kills_its_supervisor_is_an_error_of_the_worker_and_leaves_nothing(
    tmp_path, private, body
):
    with (
        ExternalProgram(
            [script(tmp_path, f"echo '**<MSG> here' >&2\n{body}", "/bin/sh")]
        ) as worker,
        pytest.raises(errors.WorkerCrashed, match="its supervisor was killed") as caught,
    ):
        list(worker.reduce(PAIRS))
    assert caught.value.stderr_tail == ("here",)
    assert not os.listdir(private)
    assert not working_in(private)


def test_the_driver_does_not_spin_when_a_left_process_has_killed_the_supervisor(
    tmp_path, private, monkeypatch
):
    rounds = 0

    def ready_fds(*args, **options):
        nonlocal rounds
        rounds += 1
        [process] = [exchange.process for exchange in worker._live]
        if process.exit_status is not None:
            os.kill(process.supervisor_pid, signal.SIGKILL)
        return _stdio.ready_fds(*args, **options)

    monkeypatch.setattr("kvproto.driver.exchange.ready_fds", ready_fds)
    body = "cat >/dev/null; exec 2>/dev/null; sleep 1000 &"
    with (
        ExternalProgram([script(tmp_path, body, "/bin/sh")], grace=1) as worker,
        pytest.raises(errors.WorkerLeftChild),
    ):
        list(worker.reduce([("key", "value")]))
    assert rounds < 50


def working_in(directory):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found += [
                place
                for place in [os.readlink(f"/proc/{name}/cwd")]
                if place.startswith(str(directory))
            ]
    return found


RESISTING = {
    "deep": "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')\nopen('f', 'w').close()",
    "read-only": "import os\nos.makedirs('a/b/c')\nopen('a/b/f', 'w').close()\n"
    "for path in ('a/b/c', 'a/b', 'a', '.'): os.chmod(path, 0o500 if path != 'a' else 0)",
    "links": "import os\nos.symlink('../..', 'up')\nos.symlink('.', 'loop')\nos.makedirs('a')\n"
    "os.symlink('../..', 'a/up')",
}


BARE = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.getuid() == 0 else []
"""What makes root respect the modes of files."""


@pytest.mark.parametrize("what", RESISTING)
def test_a_directory_that_resists_is_removed_and_nothing_beside_it(tmp_path, private, what):
    (tmp_path / "beside").touch()
    path = script(tmp_path, RESISTING[what] + "\nimport sys; sys.stdin.buffer.read()")
    code = (
        "import os, sys; from kvproto import ExternalProgram\n"
        "with ExternalProgram([sys.argv[1]]) as worker: assert list(worker.reduce([('k', "
        "'v')])) == []"
    )
    command = [*BARE, sys.executable, "-c", code, path]
    subprocess.run(command, check=True, env={**os.environ, "TMPDIR": str(private)})
    assert not os.listdir(private)
    assert (tmp_path / "beside").exists()


UNSHARE = ["unshare", "--mount"]


@pytest.mark.parametrize("target", ["m", "a/m", "a/b/m"])
def test_what_is_mounted_in_the_directory_is_not_touched_and_that_is_told(tmp_path, target):
    private, precious = tmp_path / "private", tmp_path / "precious"
    private.mkdir()
    precious.mkdir()
    (precious / "file").touch()
    (precious / "directory").mkdir()
    body = (
        f"mkdir -p {target} other && mount --bind {precious} {target} || exit 77; cat > /dev/null"
    )
    path = script(tmp_path, body, "/bin/sh")
    code = (
        "import sys; from kvproto import ExternalProgram\n"
        "with ExternalProgram([sys.argv[1]], on_message=print) as worker: assert "
        "list(worker.reduce([])) == []"
    )
    command = [*UNSHARE, sys.executable, "-c", code, path]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(private)},
        check=False,
    )
    if "unshare" in done.stderr or "status 77" in done.stderr:
        pytest.skip("mounting takes root")
    assert (done.returncode, done.stderr) == (0, "")
    [left] = os.listdir(private)
    assert (
        done.stdout
        == f"kvproto: the worker's directory could not be removed: rm -r {private}/{left}\n"
    )
    assert sorted(os.listdir(precious)) == ["directory", "file"]
    assert not (private / left / "other").exists()


def lives(pid):
    """Whether a process is there, and is more than what its parent has not reaped yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("what", ["worker", "task"])
def test_what_was_started_under_a_killed_supervisor_ends_too(tmp_path, what):
    told = tmp_path / "told"
    start = (
        "child = subprocess.Popen(['sleep', '1000'], cwd='/', start_new_session=True)\n"
        f"open({str(told)!r}, 'w').write(str(child.pid))\n"
        "os.kill(os.getppid(), 9)\n"
    )
    if what == "worker":
        with (
            ExternalProgram([script(tmp_path, f"import os, subprocess\n{start}")]) as worker,
            pytest.raises(errors.WorkerCrashed),
        ):
            list(worker.reduce(PAIRS))
    else:
        job = Job("kills").run(
            input=["raw://x"],
            map=lambda entry, params: exec(params),
            params=f"import os, subprocess\n{start}",
            attempts=1,
        )
        with pytest.raises(errors.JobError):
            job.wait()
    assert not lives(told.read_text())


def test_a_job_runs_in_a_process_with_more_open_files_than_select_can_take(tmp_path):
    code = (
        "import os, resource\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (4096, max(4096, "
        "resource.getrlimit(resource.RLIMIT_NOFILE)[1])))\n"
        "held = [open(os.devnull) for _ in range(1100)]\n"
        "from kvproto.classic import Job, external, result_iterator\n"
        f"worker = external([{str(script(tmp_path, 'import sys; sys.stdin.buffer.read()'))!r}])\n"
        "pairs = lambda entry, params: [(n, n) for n in range(3)]\n"
        "if __name__ == '__main__':\n"
        "    print(list(result_iterator(Job().run(input=['raw://x'], map=pairs, "
        "sort=True, reduce=lambda i, p: i).wait())))\n"
        "    from kvproto import ExternalProgram\n"
        "    with ExternalProgram(worker) as program: print(list(program.reduce([('k', 'v')])))\n"
    )
    (tmp_path / "many.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "many.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[(0, 0), (1, 1), (2, 2)]\n[]\n", "")


def test_a_tree_from_a_lower_layer_of_an_overlay_is_removed(tmp_path):
    """As in a container whose image has it: its directories cannot be renamed."""
    for name in ("lower/tree/a/b/c", "upper", "work", "merged"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lower/tree/a/b/file").touch()
    mount = "mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged || exit 77"
    code = "from kvproto.driver.supervisor import remove_tree; remove_tree('merged/tree')"
    shell = [
        *UNSHARE,
        "sh",
        "-c",
        f'{mount}; "$@" && test ! -e merged/tree',
        "sh",
        sys.executable,
        "-c",
        code,
    ]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or done.returncode == 77:
        pytest.skip("no overlay can be mounted here")
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_mounted_keeps_its_mode(tmp_path):
    for name in ("outside", "tree/m"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "outside").chmod(0o555)
    mount = "mount --bind outside tree/m || exit 77"
    code = (
        "from kvproto.driver.supervisor import remove_tree\ntry: remove_tree('tree')\n"
        "except OSError as e: print(e.strerror)"
    )
    shell = [*UNSHARE, "sh", "-c", f'{mount}; exec "$@"', "sh", *BARE, sys.executable, "-c", code]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or done.returncode == 77:
        pytest.skip("mounting takes root")
    assert (done.stdout, done.stderr) == ("Device or resource busy\n", "")
    assert (tmp_path / "outside").stat().st_mode & 0o777 == 0o555
