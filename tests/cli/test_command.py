"""The command `kvproto` as a whole, and its smaller commands, run as a user runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import catalogue
from support.command_line import kvproto_command

import kvproto


@pytest.mark.parametrize(
    "arguments, says",
    [
        ([], b"COMMAND"),
        (["map"], b"no worker"),
        (["map", "--"], b"no worker"),
        (["map", "-p", "novalue", "--", "x"], b"KEY=VALUE"),
        (["map", "--idle", "-1", "--", "x"], b"seconds"),
        (["map", "--idle", "nan", "--", "x"], b"seconds"),
        (["map", "--max-item", "many", "--", "x"], b"number of bytes"),
        (["map", "--in", "words", "--", "x"], b"invalid choice"),
        (["map", "./worker"], b"unrecognized arguments: ./worker; the worker goes after `--`"),
        (["map", "--timeout", "3", "--", "x"], b"unrecognized arguments: --timeout 3\n"),
        (["map", "-p", "a=b", "--no-params", "--", "x"], b"not allowed with"),
        (["config"], b"--cflags"),
        (["config", "--cflags", "--", "x"], b"kvproto map"),
        (["nonsense"], b"invalid choice"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(arguments, says):
    done = kvproto_command(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert says in done.stderr


def test_version():
    assert kvproto_command("--version").stdout == f"kvproto {kvproto.__version__}\n".encode()
    assert kvproto_command("config", "--version").stdout == f"{kvproto.__version__}\n".encode()


def test_the_command_line_itself_imports_nothing_of_jobs():
    code = "import kvproto.cli, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert "kvproto.cli.jobs" in loaded
    assert [
        name for name in loaded if re.match(r"kvproto\.(classic|engine|examples)\b", name)
    ] == []
    assert set(loaded) & {"subprocess", "cloudpickle", "rich", "json", "http", "pstats"} == set()


@pytest.mark.documented("13 a header and a small library around the interface")
def test_config_prints_flags_that_build_a_worker(tmp_path):
    worker = catalogue.compile_worker(
        catalogue.HERE.parent.parent / "kvproto/examples/identity.c", tmp_path / "identity"
    )
    done = kvproto_command("map", "--", worker, stdin=b"one\n")
    assert (done.returncode, done.stdout) == (0, b"\tone\n\n")


def test_config_libs_is_needed_by_no_program_at_run_time_unless_it_calls_judy(tmp_path):
    plain = catalogue.compile_worker(
        catalogue.HERE.parent.parent / "kvproto/examples/identity.c", tmp_path / "identity"
    )
    needed = subprocess.run(
        ["readelf", "-d", plain], capture_output=True, text=True, check=True
    ).stdout
    assert "libc.so" in needed
    assert "Judy" not in needed and "libdisco" not in needed


def test_config_offers_judy_where_the_compiler_has_it(tmp_path):
    source = tmp_path / "judy.c"
    source.write_text("#include <disco.h>\nint main(void) { return read_parameters() != NULL; }\n")
    header = subprocess.run(
        ["cc", "-E", "-include", "Judy.h", "-x", "c", os.devnull], capture_output=True, check=False
    )
    if header.returncode != 0:
        pytest.skip("libJudy is not installed: apt-get install libjudy-dev")
    worker = catalogue.compile_worker(source, tmp_path / "judy")
    assert subprocess.run([worker], input=b"0\n", check=False).returncode == 0


def test_config_leaves_judy_out_where_there_is_no_compiler(monkeypatch):
    monkeypatch.setenv("CC", "/no/such/compiler")
    libs = kvproto_command("config", "--libs").stdout.decode()
    assert libs.endswith("libdisco.a\n")


def test_config_prefix_holds_header_library_and_pkg_config_file():
    prefix = Path(kvproto_command("config", "--prefix").stdout.decode().strip())
    for part in ("include/disco.h", "lib/libdisco.a", "lib/pkgconfig/disco.pc"):
        assert (prefix / part).is_file()


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of their own for the jobs of the test, and a module with a job in the working
    directory.
    """
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "home"))
    (tmp_path / "jobs_here.py").write_text(
        "from kvproto.classic import Job\n"
        "class Lengths(Job):\n"
        "    def map(line, params):\n"
        "        yield line.rstrip(), len(line)\n"
        "class Broken(Job):\n"
        "    def map(line, params):\n"
        "        raise RuntimeError('the map is broken')\n"
    )
    (tmp_path / "input").write_text("one\nthree\n")
    return tmp_path


def test_run_prints_the_results_of_a_job_of_the_working_directory(home):
    done = kvproto_command("run", "jobs_here.Lengths", "input", cwd=home)
    assert (done.returncode, sorted(done.stdout.splitlines())) == (0, [b"one\t4", b"three\t6"])


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["jobs_here.Nothing"], b"Lengths"),
        (["no_such_module.Job"], b"no_such_module"),
        (["jobs_here.Lengths", "no/such/input"], b"no/such/input"),
        (["jobs_here.Broken", "input"], b"the map is broken"),
    ],
)
def test_a_job_that_cannot_run_or_fails_is_status_1_and_says_why(home, arguments, says):
    done = kvproto_command("run", *arguments, cwd=home)
    assert (done.returncode, done.stdout) == (1, b"")
    assert says in done.stderr


def test_demo_counts_the_words_of_its_input(home):
    (home / "input").write_text("to be or not to be to\n")
    done = kvproto_command("demo", "input", cwd=home)
    assert done.returncode == 0, done.stderr
    assert re.findall(rb"^ +(\d+)  (\S+)$", done.stdout, re.MULTILINE)[:2] == [
        (b"3", b"to"),
        (b"2", b"be"),
    ]
    assert re.search(rb"^22 bytes in [0-9.]+ s: [0-9.]+ (bytes|kB)/s$", done.stdout, re.MULTILINE)
