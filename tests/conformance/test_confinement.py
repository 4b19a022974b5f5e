"""The witnesses of FILES-3: good workers and bad ones under Landlock and under strace."""

import os
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from support.languages import LANGUAGES, missing
from support.languages import program as contract_program
from support.shared import shared_base

from kvproto.conformance import confinement
from kvproto.conformance.confinement import WITNESSES, readable, through, witnesses
from kvproto.conformance.strace import accesses
from kvproto.driver import process as _process
from kvproto.driver.files import external
from kvproto.driver.process import SupervisedProcess
from kvproto.protocol.frames import encode_list, encode_pairs

pytestmark = pytest.mark.slow

PAIR = (b"key", b"value")
SECRET = b"nobody's business"


class Run(NamedTuple):
    """What a worker did: its exit status as subprocess gives it, its output, and (kind, path) of
    what strace saw.
    """

    exit_status: int
    stdout: bytes
    stderr: bytes
    seen: list


@pytest.fixture
def needs_landlock():
    if "landlock" not in witnesses():
        pytest.skip(WITNESSES["landlock"])


@pytest.fixture
def needs_strace():
    if "strace" not in witnesses():
        pytest.skip(WITNESSES["strace"])


@pytest.fixture(params=WITNESSES)
def witness(request):
    if request.param not in witnesses():
        pytest.skip(WITNESSES[request.param])
    return request.param


@pytest.fixture
def top(tmp_path, monkeypatch):
    """A directory that holds the workers' directories, and a file that is none of theirs; it is
    their HOME as well.
    """
    top = tmp_path / "top"
    top.mkdir()
    (top / "secret").write_bytes(SECRET)
    (top / "tool").write_text("#!/bin/sh\n")
    (top / "tool").chmod(0o755)
    (top / "link").symlink_to("secret")
    monkeypatch.setattr(tempfile, "tempdir", str(top))
    monkeypatch.setenv("HOME", str(top))
    return top


INPUT = b"0\n" + encode_pairs([PAIR])


def run(files, witness="", environment=None, stdin=INPUT):
    """A worker from its start to its end, under a witness or none."""
    may_read = readable(files, environment)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(tempfile.gettempdir())) as outside:
        log = os.path.join(outside, "log")
        before = through(witness, may_read, log) if witness else ()
        process = SupervisedProcess(files, ["map"], environment=environment, through=before)
        try:
            os.write(process.stdin, stdin)
            process.close_stdin()
            said = read_to_the_end(process)
            seen = (
                accesses(Path(log).read_text(), process.directory, may_read)
                if witness == "strace"
                else []
            )
            places = {process.directory: "{own}", tempfile.gettempdir(): "{top}"}
            return Run(
                process.exit_status,
                *said,
                [(access.kind, named(access.path, places)) for access in seen],
            )
        finally:
            process.close()


def named(path: str, places: dict[str, str]) -> str:
    """A path with the first of these directories that it is in given as a name."""
    for place, name in places.items():
        if path == place or path.startswith(f"{place}/"):
            return name + path.removeprefix(place)
    return path


def read_to_the_end(process):
    said = {process.stdout: b"", process.stderr: b""}
    waits_for = {*said, process.status_fd}
    while waits_for:
        for fd in select.select(list(waits_for), [], [])[0]:
            if fd == process.status_fd:
                process.read_status()
                assert process.start_errno is None
                if process.exit_status is not None:
                    waits_for.remove(fd)
            elif piece := os.read(fd, 65536):
                said[fd] += piece
            else:
                waits_for.remove(fd)
    return said[process.stdout], said[process.stderr]


def shell(body: str) -> dict[str, bytes]:
    return {"op": f"#!/bin/sh\nset -e\n{body}\n".encode()}


def python(body: str) -> dict[str, bytes]:
    return {
        "op": f"#!{os.path.realpath(sys.executable)} -I\nimport os, socket, threading\n"
        f"{body}\n".encode()
    }


# --- workers that keep to their files -------------------------------------------------------------


@pytest.fixture(scope="session", params=LANGUAGES)
def worker(request, tmp_path_factory):
    if lacking := missing(request.param):
        pytest.skip(f"no {', '.join(lacking)} on this machine")
    return external(contract_program(request.param, shared_base(tmp_path_factory)))


@pytest.mark.clause("FILES-3")
@pytest.mark.parametrize("environment", [None, {}], ids=["ours", "empty"])
def test_a_good_worker_of_each_language_is_not_told_of_and_answers_the_same(
    worker, witness, environment
):
    if environment is not None and run(worker, "", environment).exit_status:
        pytest.skip("its interpreter is not found without a PATH")
    assert run(worker, witness, environment) == (0, encode_list([PAIR]), b"", [])


GOOD = {
    "writes to the null device": shell(
        "echo a >/dev/null; echo b >>/dev/null; : 2>/dev/null <>/dev/null"
    ),
    "reads random bytes": shell("head -c 9 /dev/urandom >&2; head -c 9 /dev/zero >&2"),
    "reads its own files": {**shell("cat ./op ./other; ls . >&2; . $PWD/other"), "other": b":\n"},
    "executes its own files": {**shell("./other; $PWD/other"), "other": b"#!/bin/sh\n:"},
    "asks for what it does not read": shell('test -e ../secret; test -d "$HOME"; readlink ../link'),
    "fails to read what is not there": shell("! cat ../absent"),
    "has a child": shell("(cat op; exec sort op) | cat"),
    "changes its directory and comes back": shell("d=$PWD; cd /usr; cat $d/op; cd - ; ls"),
    "imports its own module": {
        **python("import sys; sys.path.append('.'); import other"),
        "other.py": b"x = 1\n",
    },
    "opens its own output": shell("echo a >/dev/stdout; echo b >/proc/self/fd/2"),
    "binds sockets that are no files": python(
        "socket.socket().bind(('127.0.0.1', 0)); socket.socket(socket.AF_UNIX).bind('\\0kvproto')"
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_a_worker_may_do_is_not_told_and_not_refused(name, witness, top):
    done = run(GOOD[name], witness)
    assert (done.exit_status, done.seen) == (0, []), done.stderr


@pytest.mark.parametrize(
    ("end", "status"), [("exit 3", 3), ("kill -TERM $$", -15), ("kill -KILL $$", -9)]
)
def test_the_exit_status_is_the_workers_own(end, status, witness):
    assert run(shell(f"echo out; echo err >&2; {end}"), witness) == (status, b"out\n", b"err\n", [])


def test_a_worker_that_a_process_has_open_for_writing_is_waited_for(witness, monkeypatch):
    writers, write_files = [], _process._write_files

    def leave_open(directory, files):
        write_files(directory, files)
        writers.append(open(f"{directory}/op", "ab"))  # noqa: SIM115

    monkeypatch.setattr(_process, "_write_files", leave_open)
    monkeypatch.setattr(os, "sched_yield", lambda: writers[0].close())  # noqa: PLW0108
    assert run(shell("echo out"), witness) == (0, b"out\n", b"", [])
    assert writers[0].closed


# --- workers that do not --------------------------------------------------------------------------

BAD = {
    "reads by an absolute path": (shell("cat /etc/passwd"), [("read", "/etc/passwd")]),
    "reads in the directory above": (shell("cat ../secret"), [("read", "{top}/secret")]),
    "reads at home": (shell('. "$HOME/tool"'), [("read", "{top}/tool")]),
    "reads by a link": (shell("cat ../link"), [("read", "{top}/secret")]),
    "reads by way of /proc": (shell("cat /proc/self/root/etc/passwd"), [("read", "/etc/passwd")]),
    "reads in a child that has changed its directory": (
        shell("(cd ..; cat secret)"),
        [("read", "{top}/secret")],
    ),
    "reads by a descriptor": (
        python("os.open('secret', os.O_RDONLY, dir_fd=os.open('..', os.O_PATH))"),
        [("read", "{top}/secret")],
    ),
    "lists the directory above": (shell("ls .."), [("read", "{top}")]),
    "executes outside": (shell("../tool"), [("read", "{top}/tool")]),
    "opens to read and write": (shell(": <>../secret"), [("write", "{top}/secret")]),
    "makes a file": (shell("echo a >new"), [("write", "{own}/new")]),
    "makes a file elsewhere": (shell("echo a >../new"), [("write", "{top}/new")]),
    "writes over a file": (shell("echo a >other"), [("write", "{own}/other")]),
    "appends": (shell("echo a >>other"), [("write", "{own}/other")]),
    "makes a directory": (shell("mkdir new"), [("write", "{own}/new")]),
    "makes a directory after a change": (shell("(cd ..; mkdir new)"), [("write", "{top}/new")]),
    "removes a file": (shell("rm -f other"), [("write", "{own}/other")]),
    "renames a file": (shell("mv other new"), [("write", "{own}/other"), ("write", "{own}/new")]),
    "links a file": (shell("ln op new"), [("write", "{own}/new")]),
    "makes a link": (shell("ln -s op new"), [("write", "{own}/new")]),
    "makes a pipe": (shell("mkfifo new"), [("write", "{own}/new")]),
    "makes a socket": (
        python("socket.socket(socket.AF_UNIX).bind('new')"),
        [("write", "{own}/new")],
    ),
    "cuts a file": (python("os.truncate('other', 1)"), [("write", "{own}/other")]),
    "writes in a thread": (
        python(
            "os.chdir('..')\nthread = threading.Thread(target=lambda: os.mkdir('new'))\n"
            "thread.start()\n"
            "thread.join()\nos.stat('new')"
        ),
        [("write", "{top}/new")],
    ),
    "writes in a cache that is none": (
        python("os.mkdir('__pycache__'); open('__pycache__/a', 'w')"),
        [("write", "{own}/__pycache__/a")],
    ),
    "names a file as the log would": (
        shell("echo a >') = 3<null> \"é\\'"),
        [("write", '{own}/) = 3<null> "é\\')],
    ),
}
"""Files, and what strace tells; {top} is the directory above, {own} the worker's."""

UNSEEN_BY_LANDLOCK = {
    "changes a mode": (shell("chmod 700 other"), [("write", "{own}/other")]),
    "changes the times": (python("os.utime('other')"), [("write", "{own}/other")]),
    "changes the mode of what is open": (
        python("os.fchmod(os.open('other', 0), 0o700)"),
        [("write", "{own}/other")],
    ),
}


def with_other(files):
    return {**files, "other": b"other\n"}


@pytest.mark.clause("FILES-3")
@pytest.mark.usefixtures("needs_strace")
@pytest.mark.parametrize("name", [*BAD, *UNSEEN_BY_LANDLOCK])
def test_what_a_worker_must_not_do_is_told_by_strace_with_its_path(name, top):
    files, expected = {**BAD, **UNSEEN_BY_LANDLOCK}[name]
    done = run(with_other(files), "strace")
    assert done.exit_status == 0, done.stderr
    assert done.seen == expected


@pytest.mark.clause("FILES-3")
@pytest.mark.usefixtures("needs_landlock", "top")
@pytest.mark.parametrize("name", BAD)
def test_what_a_worker_must_not_do_is_refused_by_landlock(name):
    files = with_other(BAD[name][0])
    refused = run(files, "landlock")
    assert refused.exit_status != 0
    assert b"ermission denied" in refused.stderr or b"Can't open" in refused.stderr, refused.stderr


@pytest.mark.usefixtures("top")
@pytest.mark.parametrize("name", BAD)
def test_what_a_worker_must_not_do_succeeds_where_nobody_watches(name):
    done = run(with_other(BAD[name][0]))
    assert done.exit_status == 0, done.stderr


# --- who is a witness -----------------------------------------------------------------------------


@pytest.fixture
def only_strace(tmp_path, monkeypatch):
    """Puts a program in the place of strace; the witnesses are found out anew, during the test
    alone.
    """

    def put(body: str) -> None:
        (tmp_path / "strace").write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "strace").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    confinement._strace.cache_clear()
    yield put
    confinement._strace.cache_clear()


PASS_ON = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'


SPEAK = f'echo strange >&2; exec {shutil.which("strace") or "false"} "$@"'


@pytest.mark.parametrize(
    "body", ["exit 1", PASS_ON, SPEAK], ids=["fails", "is blind", "speaks where the worker does"]
)
def test_a_strace_that_does_not_do_is_no_witness(body, only_strace):
    only_strace(body)
    assert "strace" not in witnesses()


def test_no_strace_is_no_witness(only_strace, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "strace" not in witnesses()


@pytest.mark.usefixtures("needs_strace")
def test_a_strace_that_can_stop_at_these_calls_alone_does():
    can = not subprocess.run(
        ["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"],
        capture_output=True,
        check=False,
    ).returncode
    assert ("--seccomp-bpf" in through("strace", [], "log")) == can


@pytest.mark.usefixtures("needs_strace")
def test_an_older_strace_that_cannot_be_fast_is_a_witness(only_strace):
    real = shutil.which("strace")
    only_strace(f'case "$*" in *seccomp*) exit 1;; esac; exec {real} "$@"')
    assert "strace" in witnesses() and "--seccomp-bpf" not in through("strace", [], "log")
    assert run(shell("ls .."), "strace").seen == [("read", "{top}")]


def test_a_kernel_without_landlock_is_no_witness(monkeypatch, tmp_path):
    old = tmp_path / "confine"
    old.write_text("#!/bin/sh\nexit 69\n")
    old.chmod(0o755)
    monkeypatch.setattr(confinement, "CONFINE", str(old))
    confinement._has_landlock.cache_clear()
    try:
        assert "landlock" not in witnesses()
    finally:
        confinement._has_landlock.cache_clear()
