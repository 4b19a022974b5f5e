"""The witnesses of FILES-3: real workers under Landlock and under strace, those that keep to their files and those that do not."""

import fcntl
import os
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from contract.languages import LANGUAGES, missing
from contract.languages import program as contract_program

from kvproto import _process
from kvproto._process import SupervisedProcess
from kvproto.conformance import confinement
from kvproto.conformance.confinement import CONFINE, WITNESSES, through, witnesses
from kvproto.conformance.readable import readable
from kvproto.conformance.strace import accesses
from kvproto.external import external
from kvproto.wire import encode_list, encode_pairs

PAIR = (b"key", b"value")
SECRET = b"nobody's business"


class Run(NamedTuple):
    """What a worker did: its exit status as subprocess gives it, its output, and (kind, path) of what strace saw."""

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
    """A directory that holds the workers' directories, and a file that is none of theirs; it is their HOME as well."""
    top = tmp_path / "top"
    top.mkdir()
    (top / "secret").write_bytes(SECRET)
    (top / "tool").write_text("#!/bin/sh\n")
    (top / "tool").chmod(0o755)
    (top / "link").symlink_to("secret")
    monkeypatch.setattr(tempfile, "tempdir", str(top))
    monkeypatch.setenv("HOME", str(top))
    return top


def run(files, witness="", environment=None, stdin=b"0\n" + encode_pairs([PAIR])):
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
            seen = accesses(Path(log).read_text(), process.directory, may_read) if witness == "strace" else []
            places = {process.directory: "{own}", tempfile.gettempdir(): "{top}"}
            return Run(process.exit_status, *said, [(access.kind, named(access.path, places)) for access in seen])
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
    return {"op": f"#!{os.path.realpath(sys.executable)} -I\nimport os, socket, threading\n{body}\n".encode()}


# --- workers that keep to their files -----------------------------------------------------------------


@pytest.fixture(scope="session", params=LANGUAGES)
def worker(request, tmp_path_factory):
    if lacking := missing(request.param):
        pytest.skip(f"no {', '.join(lacking)} on this machine")
    return external(contract_program(request.param, tmp_path_factory.mktemp("contract")))


@pytest.mark.clause("FILES-3")
@pytest.mark.parametrize("environment", [None, {}], ids=["ours", "empty"])
def test_a_good_worker_of_each_language_is_not_told_of_and_answers_the_same(worker, witness, environment):
    if environment is not None and run(worker, "", environment).exit_status:
        pytest.skip("its interpreter is not found without a PATH")
    assert run(worker, witness, environment) == (0, encode_list([PAIR]), b"", [])


GOOD = {
    "writes to the null device": shell("echo a >/dev/null; echo b >>/dev/null; : 2>/dev/null <>/dev/null"),
    "reads random bytes": shell("head -c 9 /dev/urandom >&2; head -c 9 /dev/zero >&2"),
    "reads its own files": {**shell("cat ./op ./other; ls . >&2; . $PWD/other"), "other": b":\n"},
    "executes its own files": {**shell("./other; $PWD/other"), "other": b"#!/bin/sh\n:"},
    "asks for what it does not read": shell('test -e ../secret; test -d "$HOME"; readlink ../link'),
    "fails to read what is not there": shell("! cat ../absent"),
    "has a child": shell("(cat op; exec sort op) | cat"),
    "changes its directory and comes back": shell("d=$PWD; cd /usr; cat $d/op; cd - ; ls"),
    "imports its own module": {**python("import sys; sys.path.append('.'); import other"), "other.py": b"x = 1\n"},
    "opens its own output": shell("echo a >/dev/stdout; echo b >/proc/self/fd/2"),
    "binds sockets that are no files": python(
        "socket.socket().bind(('127.0.0.1', 0)); socket.socket(socket.AF_UNIX).bind('\\0kvproto')"
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_a_worker_may_do_is_not_told_and_not_refused(name, witness, top):
    done = run(GOOD[name], witness)
    assert (done.exit_status, done.seen) == (0, []), done.stderr


@pytest.mark.parametrize(("end", "status"), [("exit 3", 3), ("kill -TERM $$", -15), ("kill -KILL $$", -9)])
def test_the_exit_status_is_the_workers_own(end, status, witness):
    assert run(shell(f"echo out; echo err >&2; {end}"), witness) == (status, b"out\n", b"err\n", [])


# --- workers that do not ------------------------------------------------------------------------------

BAD = {
    "reads by an absolute path": (shell("cat /etc/passwd"), [("read", "/etc/passwd")]),
    "reads in the directory above": (shell("cat ../secret"), [("read", "{top}/secret")]),
    "reads at home": (shell('. "$HOME/tool"'), [("read", "{top}/tool")]),
    "reads by a link": (shell("cat ../link"), [("read", "{top}/secret")]),
    "reads by way of /proc": (shell("cat /proc/self/root/etc/passwd"), [("read", "/etc/passwd")]),
    "reads in a child that has changed its directory": (shell("(cd ..; cat secret)"), [("read", "{top}/secret")]),
    "reads by a descriptor": (
        python("os.open('secret', os.O_RDONLY, dir_fd=os.open('..', os.O_PATH))"), [("read", "{top}/secret")],
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
    "makes a socket": (python("socket.socket(socket.AF_UNIX).bind('new')"), [("write", "{own}/new")]),
    "cuts a file": (python("os.truncate('other', 1)"), [("write", "{own}/other")]),
    "writes in a thread": (
        python("os.chdir('..')\nthread = threading.Thread(target=lambda: os.mkdir('new'))\nthread.start()\n"
               "thread.join()\nos.stat('new')"), [("write", "{top}/new")],
    ),
    "writes in a cache that is none": (python("os.mkdir('__pycache__'); open('__pycache__/a', 'w')"),
                                       [("write", "{own}/__pycache__/a")]),
    "names a file as the log would": (shell("echo a >') = 3<null> \"é\\'"), [("write", "{own}/) = 3<null> \"é\\")]),
}  # fmt: skip
"""Files, and what strace tells; {top} is the directory above, {own} the worker's."""

UNSEEN_BY_LANDLOCK = {
    "changes a mode": (shell("chmod 700 other"), [("write", "{own}/other")]),
    "changes the times": (python("os.utime('other')"), [("write", "{own}/other")]),
    "changes the mode of what it has open": (python("os.fchmod(os.open('other', 0), 0o700)"), [("write", "{own}/other")]),
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


# --- the parts --------------------------------------------------------------------------------------------


ROOT = "/w"
"""The worker's directory in the logs below."""

LOGS = {
    "an open that is interrupted by another process": (
        """1 openat(AT_FDCWD</w>, "../x", O_RDONLY <unfinished ...>
2 openat(AT_FDCWD</w>, "../y", O_WRONLY|O_CREAT, 0666) = 3</y>
1 <... openat resumed>) = 3</x>""",
        [("write", "/y"), ("read", "/x")],
    ),
    "the older form of a call that is resumed": (
        """1 openat(AT_FDCWD, "../x", O_RDONLY <unfinished ...>
1 <... openat resumed> )             = 3</x>""",
        [("read", "/x")],
    ),
    "arguments on both sides of an interruption": (
        """1 utimensat(AT_FDCWD, "x",  <unfinished ...>
1 <... utimensat resumed>NULL, 0) = 0""",
        [("write", "/w/x")],
    ),
    "a child that is seen before its parent's call comes back": (
        """1 chdir("sub") = 0
1 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD <unfinished ...>
2 mkdir("a", 0777) = 0
1 <... clone resumed>, child_tidptr=0x7) = 2
1 chdir("..") = 0
2 mkdir("b", 0777) = 0
1 mkdir("c", 0777) = 0""",
        [("write", "/w/sub/a"), ("write", "/w/sub/b"), ("write", "/w/c")],
    ),
    "threads, which share a directory": (
        """1 clone3({flags=CLONE_VM|CLONE_FS, exit_signal=0} => {parent_tid=[2]}, 88) = 2
2 chdir("/") = 0
1 mkdir("a", 0777) = 0""",
        [("write", "/a")],
    ),
    "a directory that is changed by a descriptor": (
        """1 open("/", O_RDONLY|O_PATH) = 3</>
1 fchdir(3</>) = 0
1 rename("a", "b") = 0""",
        [("write", "/a"), ("write", "/b")],
    ),
    "paths beside descriptors": (
        """1 linkat(4</p>, "a", 5</q>, "b", 0) = 0
1 symlinkat("x", 4</p>, "b") = 0
1 unlinkat(5</q>, "a, b", 0) = 0
1 renameat2(4</p>, "c", AT_FDCWD</w>, "d", RENAME_NOREPLACE) = 0
1 fchmodat(AT_FDCWD</w>, "e", 0700) = 0""",
        [("write", path) for path in ("/q/b", "/p/b", "/q/a, b", "/p/c", "/w/d", "/w/e")],
    ),
    "a program that is executed": (
        """1 execve("./op", ["./op", "map"], 0x7ffc /* 3 vars */) = 0
1 execve("../op", ["../op", "(map"...], 0x7ffc /* 3 vars */) = 0""",
        [("read", "/op")],
    ),
    "what failed": (
        """1 openat(AT_FDCWD</w>, "/x", O_RDONLY) = -1 ENOENT (No such file or directory)
1 mkdir("x", 0777) = -1 EACCES (Permission denied)""",
        [],
    ),
    "letters that are escaped": (r'1 openat(AT_FDCWD</w>, "\"\n\303\251", O_RDWR) = 3</w/\"\n\303\251\74\76>', [("write", '/w/"\né<>')]),
    "a file that is removed at once": (
        """1 openat(AT_FDCWD</w>, "x", O_RDWR|O_CREAT, 0600) = 3</w/x>(deleted)
1 openat(AT_FDCWD</w>, "y", O_RDWR|O_CREAT, 0600) = 3</w/y (deleted)>""",
        [("write", "/w/x"), ("write", "/w/y")],
    ),
    "a special file": ("""1 mknod("x", S_IFCHR|0600, makedev(0x1, 0x3)) = 0""", [("write", "/w/x")]),
    "a flag that a name has": ("""1 openat(AT_FDCWD</w>, "O_CREAT", O_RDONLY) = 3</w/O_CREAT>""", []),
    "the other form of open": ("""1 openat2(AT_FDCWD</w>, "x", {flags=O_WRONLY, resolve=0}, 24) = 3</w/x>""", [("write", "/w/x")]),
    "the settings of its own process and of another": (
        """1 execve("./op", ["./op"], 0x7ffc /* 3 vars */) = 0
1 openat(AT_FDCWD</w>, "/proc/self/coredump_filter", O_RDWR) = 4</proc/1/coredump_filter>
1 openat(AT_FDCWD</w>, "/proc/9/oom_adj", O_RDWR) = 4</proc/9/oom_adj>""",
        [("write", "/proc/9/oom_adj")],
    ),
    "a cache, and another's": (
        """1 mkdir("/w/__pycache__", 0777) = 0
1 openat(AT_FDCWD</w>, "/w/__pycache__/a.pyc.12", O_WRONLY|O_CREAT, 0644) = 3</w/__pycache__/a.pyc.12>
1 rename("/w/__pycache__/a.pyc.12", "/w/__pycache__/a.pyc") = 0
1 mkdir("/v/__pycache__", 0777) = 0""",
        [("write", "/v/__pycache__")],
    ),
    "a log that was cut": ("""1 openat(AT_FDCWD</w>, "/x", O_RDONLY) = 3</x>\n1 openat(AT_FDCWD</w>, "/y", O_RD""", [("read", "/x")]),
    "what happens twice": ("""1 rmdir("x") = 0\n2 rmdir("x") = 0\n1 +++ exited with 0 +++""", [("write", "/w/x")]),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_of_strace_is_understood(name):
    log, expected = LOGS[name]
    assert [access[:2] for access in accesses(log, ROOT, ["/usr"])] == expected


def test_what_may_be_read_is_the_path_itself_and_what_is_below_it():
    log = "\n".join(
        f'1 openat(AT_FDCWD</w>, "{path}", O_RDONLY) = 3<{path}>'
        for path in ("/w", "/w/a", "/usr", "/usr/a/b", "/usrs", "/", "/wa", "pipe:[1]")
    )
    assert [access.path for access in accesses(log, ROOT, ["/usr/"])] == ["/usrs", "/", "/wa"]
