"""What the command writes to stdout and stderr arrives whole, or the exit status and an error say
that it does not.
"""

import gzip
import os
import pty
import resource
import signal
import stat
import subprocess
import sys
import threading

import pytest
from support.command_line import command_line, kvproto_command
from support.jobs import ECHO, program

from kvproto.storage.store import store_of

pytestmark = pytest.mark.slow

MODULE = """
from kvproto.classic import Job

class Large(Job):
    @staticmethod
    def map(entry, params):
        put("large", "v" * 3_000_000)
        yield "k", "v" * 3_000_000

class Rude(Job):
    @staticmethod
    def map(entry, params):
        print("said \\x1b]0;title\\x07")
        raise ValueError("failed \\x1b[2J")

class One(Job):
    @staticmethod
    def map(entry, params):
        yield entry, 1
"""
LIMIT = 1_000_000


def unbuffered():
    return {**os.environ, "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A directory with a job module, a worker, and a home where the last job and a tag are larger
    than LIMIT.
    """
    path = tmp_path_factory.mktemp("here")
    (path / "here.py").write_text(MODULE)
    (path / "large").write_text(("v" * 99 + "\n") * 30_000)
    program(path, ECHO, "echo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KVPROTO_HOME", str(path / "home"))
        assert (
            kvproto_command("run", "-q", "-o", "out", "here.Large", "raw://x", cwd=path).returncode
            == 0
        )
        assert kvproto_command("tag", "put", "large", "large", cwd=path).returncode == 0
        return path


@pytest.fixture
def here(made, monkeypatch):
    """That directory, with its home as the home of the commands."""
    monkeypatch.setenv("KVPROTO_HOME", str(made / "home"))
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        ["results", "--out", "text", "Large"],
        ["results", "--out", "jsonl", "Large"],
        ["oob", "Large", "large"],
        ["tag", "get", "large"],
        ["map", "--out", "text", "--", "./echo"],
        ["map", "--out", "kv", "--", "./echo"],
    ],
)
@pytest.mark.parametrize("unbuffered", ["1", ""])
def test_a_stdout_that_takes_only_a_part_is_an_error(here, arguments, unbuffered):
    # the write that reaches the limit takes a part, as on a full disk, and the next one fails
    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))

    with open(here / "part", "wb") as out, open(here / "large", "rb") as large:
        done = subprocess.run(
            command_line(*arguments),
            cwd=here,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdin=large,
            stdout=out,
            stderr=subprocess.PIPE,
            preexec_fn=limit_files,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"kvproto: stdout: File too large\n")
    assert os.path.getsize(here / "part") == LIMIT


def test_a_stdout_that_is_not_blocking_and_slow_gets_everything(here):
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    process = subprocess.Popen(
        command_line("results", "--out", "text", "Large"), cwd=here, env=unbuffered(), stdout=theirs
    )
    os.close(theirs)
    with open(ours, "rb") as pipe:
        first = pipe.read(1)  # it writes until the pipe is full, and has to wait then
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        data = first + pipe.read()
    assert process.wait() == 0
    assert data == b"k\t" + b"v" * 3_000_000 + b"\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["results", "--out", "text", "Large"],
        ["events", "Large"],
        ["jobs"],
        ["tag", "ls"],
        ["config", "--libs"],
        ["demo", "large"],
    ],
)
def test_a_closed_stdout_is_an_error_without_traceback(here, arguments):
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command_line(*arguments)],
        cwd=here,
        capture_output=True,
        env=unbuffered(),
        check=False,
    )
    assert done.returncode == 1
    assert (
        done.stderr.endswith(b"kvproto: stdout: it is closed\n") and b"Traceback" not in done.stderr
    )


@pytest.mark.parametrize("closing", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize("progress", ["plain", "jsonl"])
def test_a_stderr_that_takes_nothing_does_not_fail_the_job(here, closing, progress):
    command = command_line("run", "--progress", progress, "here.One", "raw://entry")
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closing}', "sh", *command], cwd=here, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"entry\t1\n", b"")


@pytest.mark.parametrize("closing", ["2>&-", "2>/dev/full", ">&- 2>&-"])
def test_a_failed_job_is_told_by_its_exit_status_where_there_is_no_stderr(here, closing):
    command = command_line("run", "here.Rude", "raw://entry")
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closing}', "sh", *command], cwd=here, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")


@pytest.mark.parametrize("progress", ["auto", "plain", "jsonl", "none"])
def test_what_a_job_says_reaches_a_terminal_without_control_characters(here, progress):
    ours, theirs = pty.openpty()
    shown = []
    reader = threading.Thread(target=lambda: shown.extend(iter(lambda: read_terminal(ours), b"")))
    reader.start()
    subprocess.run(
        command_line("run", "--progress", progress, "here.Rude", "raw://x"),
        cwd=here,
        stderr=theirs,
        check=False,
    )
    os.close(theirs)
    reader.join()
    os.close(ours)
    text = b"".join(shown)
    assert rb"failed \x1b[2J" in text
    assert b"\x1b]" not in text
    assert b"\x1b[2J" not in text
    assert b"\x07" not in text


def read_terminal(fd):
    try:
        return os.read(fd, 65536)
    except OSError:  # nobody has the other end open any more
        return b""


def test_a_replaced_output_file_keeps_its_mode(here):
    out = here / "private"
    out.touch()
    out.chmod(0o600)
    assert (
        kvproto_command("run", "-q", "-o", out, "here.One", "raw://entry", cwd=here).returncode == 0
    )
    assert out.read_text() == "entry\t1\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_report_is_not_written_through_a_link_that_another_user_planted(here, tmp_path):
    # A name that can be guessed would let another user choose the file that is overwritten.
    victim, report = tmp_path / "victim", tmp_path / "report.html"
    victim.write_text("precious")
    code = (
        "import os, sys; os.symlink('victim', f'report.html.{os.getpid()}.part'); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [
        sys.executable,
        "-c",
        code,
        *command_line(
            "check", "-k", "MAP-lockstep", "--html", "report.html", "--", program(tmp_path, ECHO)
        ),
    ]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert victim.read_text() == "precious"
    assert b"<html" in report.read_bytes()


def test_an_output_file_that_is_a_mount_point_is_written_in_place(here):
    script = """
        touch real bound && mount --bind real bound || exit 77
        "$@"
    """
    command = command_line("run", "-q", "-o", "bound", "here.One", "raw://entry")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *command],
        cwd=here,
        capture_output=True,
        check=False,
    )
    if b"unshare" in done.stderr or done.returncode == 77:
        pytest.skip("mounting takes root")
    assert (done.returncode, done.stderr) == (0, b"")
    assert (here / "real").read_text() == "entry\t1\n"
    assert not list(here.glob("*.part"))


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/fd/1"])
def test_results_may_be_written_to_a_pipe_by_its_path(here, path):
    done = kvproto_command("run", "-q", "-o", path, "here.One", "raw://entry", cwd=here)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"entry\t1\n", b"")


def test_what_a_script_opens_as_descriptor_2_gets_no_messages(here):
    (here / "script.py").write_text(
        "file = open('mine', 'w')\n"
        "assert file.fileno() == 2\n"
        "from here import One\n"
        "if __name__ == '__main__':\n"
        "    job = One().run(input=['raw://entry'])\n"
        "    print(len(job.wait(show='nocolor')))\n"
    )
    done = subprocess.run(
        ["sh", "-c", '"$@" 2>&-', "sh", sys.executable, "script.py"],
        cwd=here,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"1\n")
    assert (here / "mine").read_bytes() == b""


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_that_nobody_gets_is_an_error(option):
    done = subprocess.run(
        ["sh", "-c", '"$@" >/dev/full', "sh", *command_line(option)],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"kvproto: stdout: No space left on device\n")
    assert b"kvproto" in kvproto_command(option).stdout


def test_an_input_that_cannot_be_read_is_told_where_the_worker_then_hangs(here):
    script = here / "hangs.py"
    script.write_text(
        f"#!{sys.executable}\nimport sys, time\nsys.stdin.buffer.read()\ntime.sleep(1000)\n"
    )
    script.chmod(0o755)
    done = kvproto_command(
        "map", "--max-item", "10", "--grace", "0.5", "--", script, stdin=b"x" * 100
    )
    assert done.returncode == 1
    assert b"the input has a line of more than 10 bytes" in done.stderr


# --- -o ----------------------------------------------------------------------------------------


@pytest.fixture(params=["file", "object"])
def target(request, tmp_path):
    """Where -o writes, without the end of its name."""
    if request.param == "file":
        return str(tmp_path / "out")
    return request.getfixturevalue("bucket") + "/some/out"


def content(path):
    try:
        return store_of(path).get(path)
    except FileNotFoundError:
        return None


def test_each_command_writes_what_it_gives_to_a_file_or_an_object(target, made):
    program = str(made / "echo")
    runs = [
        (["run", "-q", "here.One", "raw://x"], b"", b"x\t1\n"),
        (["results", "--out", "text", "One"], b"", b"x\t1\n"),
        (["map", "--", program], b"x", b"\tx\n"),
        (["map", "--out", "kv", "--", program], b"x", b"\0\0\0\0\1\0\0\0x"),
    ]
    for number, (arguments, stdin, written) in enumerate(runs):
        path = f"{target}-{number}.gz"
        command, *rest = arguments
        done = kvproto_command(command, "-o", path, *rest, cwd=made, stdin=stdin)
        assert (done.returncode, done.stdout) == (0, b"")
        assert gzip.decompress(content(path)) == written


def test_a_command_that_fails_leaves_what_was_there(target, made):
    for path, before in ((f"{target}-new", None), (f"{target}-old", b"old")):
        if before:
            store_of(path).put(path, before)
        for arguments in (["run", "-q", "here.Rude", "raw://x"], ["map", "--", "/bin/false"]):
            command, *rest = arguments
            done = kvproto_command(command, "-o", path, *rest, cwd=made, stdin=b"x\n")
            assert done.returncode == 1
            assert content(path) == before


def test_an_object_that_cannot_be_written_is_an_error_before_the_job(bucket, made):
    done = kvproto_command("run", "-q", "-o", "s3://none/x", "here.One", "raw://x", cwd=made)
    assert done.returncode == 1
    assert b"kvproto: writing s3://none/x: there is no bucket none at http://" in done.stderr
