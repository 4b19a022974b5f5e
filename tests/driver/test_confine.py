"""The program that confines another one by itself: its exit statuses, and what it does on other
kernels.
"""

import ctypes
import os
import shutil
import subprocess

import pytest

from kvproto.conformance.confinement import CONFINE, WITNESSES, witnesses

SYSTEM = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/dev/null"]

pytestmark = pytest.mark.skipif("landlock" not in witnesses(), reason=WITNESSES["landlock"])


def confine(*arguments, before=(), **options):
    command = [*before, CONFINE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def sh(script, *, before=(), readable=SYSTEM, **options):
    return confine(*readable, "--", "/bin/sh", "-c", script, before=before, **options)


@pytest.fixture
def other_kernel():
    """A command that starts a program for which a system call gives something else."""
    if "strace" not in witnesses():
        pytest.skip(WITNESSES["strace"])
    quiet = [shutil.which("strace"), "-qqq", "-e", "signal=none", "-X", "raw"]
    return lambda call, fault, log="/dev/null": [
        *quiet,
        "-o",
        log,
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:{fault}",
    ]


@pytest.mark.parametrize(
    "arguments", [(), ("--",), ("/usr", "--"), ("/usr", "/bin/true"), ("--probe", "--")]
)
def test_what_names_no_program_is_refused_with_the_usage(arguments):
    done = confine(*arguments)
    assert (done.returncode, done.stdout) == (64, "")
    assert (
        done.stderr == "usage: confine [READABLE ...] -- PROGRAM [ARGUMENT ...] | confine --probe\n"
    )


def test_the_program_gets_its_arguments_and_gives_its_exit_status(tmp_path):
    done = confine(
        *SYSTEM, "--", "/bin/sh", "-c", 'echo "$0 $@"; exit 3', "a b", "--", "", cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "a b -- \n", "")


def test_a_program_that_is_missing_or_cannot_be_executed_is_named(tmp_path):
    (tmp_path / "text").write_text("")
    missing, text = (confine("--", name, cwd=tmp_path) for name in ("./missing", "./text"))
    assert (missing.returncode, missing.stderr) == (
        127,
        "confine: ./missing: No such file or directory\n",
    )
    assert (text.returncode, text.stderr) == (126, "confine: ./text: Permission denied\n")


def test_a_file_may_be_readable_alone_and_one_that_is_missing_is_left_out(tmp_path):
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    own = tmp_path / "own"
    own.mkdir()
    done = sh(
        "cat ../one; cat ../two", readable=[*SYSTEM, tmp_path / "absent", tmp_path / "one"], cwd=own
    )
    assert (done.returncode, done.stdout) == (1, "1") and "../two: Permission denied" in done.stderr


def test_what_is_open_already_is_written_to(tmp_path):
    with open(tmp_path / "log", "w") as log:
        done = subprocess.run(
            [CONFINE, *SYSTEM, "--", "/bin/sh", "-c", "echo a"],
            stdout=log,
            cwd=tmp_path,
            check=False,
        )
    assert done.returncode == 0 and (tmp_path / "log").read_text() == "a\n"


def test_a_readable_directory_is_not_writable(tmp_path):
    (tmp_path / "own").mkdir()
    done = sh("echo a >../new", readable=[*SYSTEM, tmp_path], cwd=tmp_path / "own")
    assert done.returncode != 0 and not (tmp_path / "new").exists()


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("setpriv"),
    reason="needs root and setpriv, from util-linux",
)
def test_it_needs_no_privileges(tmp_path):
    # Another user may not be let in to where this package is.
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    program = os.open(CONFINE, os.O_RDONLY)
    done = subprocess.run(
        [*command, f"/proc/self/fd/{program}", *SYSTEM, "--", "/bin/sh", "-c", "! cat /etc/passwd"],
        cwd="/usr",
        pass_fds=[program],
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(program)
    assert done.returncode == 0 and "Permission denied" in done.stderr


@pytest.mark.parametrize("arguments", [("--probe",), ("--", "/bin/true")])
def test_a_kernel_without_landlock_is_told(arguments, other_kernel):
    done = confine(*arguments, before=other_kernel("landlock_create_ruleset", "error=ENOSYS"))
    assert done.returncode == 69
    said = (
        ""
        if "--probe" in arguments
        else "confine: this kernel has no Landlock: Function not implemented\n"
    )
    assert done.stderr == said


@pytest.mark.parametrize("call", ["landlock_add_rule", "landlock_restrict_self"])
def test_rules_that_cannot_be_had_leave_the_program_unstarted(call, other_kernel):
    done = confine("/usr", "--", "/bin/echo", "started", before=other_kernel(call, "error=EPERM"))
    assert (done.returncode, done.stdout) == (71, "")
    assert done.stderr.startswith("confine: ") and done.stderr.endswith(
        ": Operation not permitted\n"
    )


def test_a_readable_that_cannot_be_opened_now_leaves_the_program_unstarted(other_kernel, tmp_path):
    before = [*other_kernel("openat", "error=EMFILE"), "-P", str(tmp_path)]
    done = confine(*SYSTEM, str(tmp_path), "--", "/bin/echo", "started", before=before)
    assert (done.returncode, done.stdout) == (71, "")
    assert done.stderr == f"confine: {tmp_path}: Too many open files\n"


def version_of_the_kernel():
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)


@pytest.mark.parametrize(
    ("version", "n_rights"), [(1, 13), (2, 14), (3, 15), (4, 15), (5, 16), (99, 16)]
)
def test_a_kernel_is_asked_for_all_that_its_version_can_deny_and_no_more(
    version, n_rights, other_kernel, tmp_path
):
    if version_of_the_kernel() < min(version, 5):
        pytest.skip("the kernel here is older")
    log = tmp_path / "log"
    before = other_kernel("landlock_create_ruleset", f"retval={version}:when=1", log)
    (tmp_path / "own").mkdir()
    script = "echo a >/dev/null; cat /etc/passwd; mkdir new; echo a >new"
    done = sh(script, before=before, cwd=tmp_path / "own")
    assert f"{{handled_access_fs={(1 << n_rights) - 1:#x}}}" in log.read_text()
    assert done.stderr.count("ermission denied") == 3, done.stderr
