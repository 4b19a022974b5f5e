"""`kvproto replay`: the command at the end of an error runs the task that failed, alone."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.catalogue import HERE, compile_worker
from support.command_line import kvproto_command
from support.jobs import program

from kvproto import decode_pairs, encode_pair

pytestmark = pytest.mark.slow

ABORTS = """
for key, value in pairs():
    if (value if sys.argv[1] == "map" else key).startswith(b"BAD"):
        sys.stderr.write("**<MSG> about to abort\\n")
        sys.stderr.flush()
        os.abort()
    answer((value, key))
"""


SWAPS = """
for key, value in pairs():
    answer((value, key))
"""


def shell(command, cwd="/", stdin="", **environment):
    """Run a command as a person does who pastes it into a shell."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=cwd,
        env={"PATH": path, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def last_command(text):
    """The command at the end of an error."""
    return re.search(r"\nto run this task alone: (.+)\n$", text)[1]


def failed(directory, *arguments):
    """The error of a job that fails."""
    run = kvproto_command("run", "-q", "kvproto.classic.Job", *arguments, cwd=directory)
    assert run.returncode == 1
    return run.stderr.decode()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A directory with the input, and a home for jobs with a space in its path."""
    directory = tmp_path_factory.mktemp("replay")
    lines = [f"line {number}\n" for number in range(100)]
    (directory / "text").write_text("".join([*lines, "BAD line\n", *lines]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KVPROTO_HOME", str(directory / "my home"))
        yield directory


@pytest.fixture(scope="module")
def command(here):
    """What the error of a job says whose map fails."""
    return last_command(failed(here, "-m", program(here, ABORTS), "text"))


@pytest.fixture(scope="module")
def of_binary(here):
    """The command of a job whose map is a binary that crashes."""
    worker = compile_worker(HERE / "segfaults.c", here / "segfaults")
    return last_command(failed(here, "-m", str(worker), "text"))


@pytest.fixture(scope="module")
def of_reduce(here):
    """The command of a job whose reduce fails."""
    swaps = program(here, SWAPS, "swaps")
    return last_command(failed(here, "-m", swaps, "-r", program(here, ABORTS), "text"))


def test_the_command_at_the_end_of_an_error_runs_the_task_again(command, here):
    home = here / "my home"
    assert re.fullmatch(f"KVPROTO_HOME='{home}' kvproto replay Job@[0-9a-f-]+ map:0", command)
    again = shell(command)
    assert again.returncode == 1
    first, *others = again.stderr.splitlines()
    assert first == "about to abort"
    assert others[:2] == [
        "kvproto: task map:0 failed:",
        f"WorkerCrashed: {here}/op map: killed by SIGABRT",
    ]
    assert "  at the record with number 100 (counted from 0)" in others
    assert others[-1] == f"  in a debugger: {command} --gdb"
    assert not list(home.glob("jobs/*/replay-*"))


def test_a_saved_task_needs_nothing_but_a_shell(command, tmp_path):
    saved = shell(f"{command} --save 'a place'", cwd=tmp_path)
    assert saved.returncode == 0
    again = shell(f"env -i {saved.stderr.partition(': to run the program: ')[2]}")
    assert again.returncode == 128 + 6
    assert "**<MSG> about to abort\n" in again.stderr
    assert f"exit status {128 + 6}; its output is in stdout.bin" in again.stderr
    place = tmp_path / "a place"
    assert sorted(os.listdir(place)) == ["files", "repro.sh", "stdin.bin", "stdout.bin"]
    decoded = kvproto_command("decode", stdin=(place / "stdout.bin").read_bytes())
    assert decoded.stdout.count(b"\n") == 2 * 100


def test_a_record_alone(command, here):
    alone = shell(f"{command} --record 100")
    assert alone.returncode == 1
    assert alone.stderr.startswith(f"about to abort\nkvproto: {here}/op map: killed by SIGABRT\n")
    assert re.search(r"\n  input: record 100 of task map:0\n$", alone.stderr)
    other = shell(f"{command} --record 101")
    assert (other.returncode, other.stdout) == (0, "")
    assert "did not fail on record 101 of task map:0" in other.stderr
    none = shell(f"{command} --record 201")
    assert (none.returncode, none.stderr) == (
        1,
        "kvproto: task map:0 has no record 201: it reads 201, from 0\n",
    )


def test_a_saved_record_is_all_that_the_program_reads(command, tmp_path):
    assert shell(f"{command} --record 100 --save alone", cwd=tmp_path).returncode == 0
    frame = encode_pair(b"", b"BAD line\n")
    assert (tmp_path / "alone" / "stdin.bin").read_bytes() == b"0\n" + frame


def test_of_a_record_that_is_not_there_nothing_is_saved(command, tmp_path):
    assert shell(f"{command} --record 201 --save none", cwd=tmp_path).returncode == 1
    assert not (tmp_path / "none").exists()


def test_a_directory_with_something_in_it_is_left_as_it_is(command, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    saved = shell(f"{command} --save full", cwd=tmp_path)
    assert saved.returncode == 1
    assert saved.stderr == f"kvproto: {tmp_path}/full: Directory not empty\n"
    assert os.listdir(tmp_path / "full") == ["mine"]


# --- tools ---------------------------------------------------------------------------------------

GDB = """#!/bin/sh
# Takes what the real one takes, and does what `run` does there.
printf '%s\\n' "$1" "$2" "$4" "$#"
exec sh -c "exec $4 ${3#set args }"
"""


@pytest.fixture
def path_with_gdb(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gdb").write_text(GDB)
    (tmp_path / "bin" / "gdb").chmod(0o755)
    return f"{tmp_path}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_the_first_run_in_gdb_hits_the_fault_of_a_script_and_of_a_binary(
    command, of_binary, path_with_gdb
):
    script = shell(f"{command} --gdb", PATH=path_with_gdb)
    assert script.stdout.splitlines() == ["-q", "-ex", sys.executable, "4"]
    assert (script.returncode, script.stderr) == (128 + 6, "**<MSG> about to abort\n")
    binary = shell(f"{of_binary} --gdb", PATH=path_with_gdb)
    assert binary.stdout.splitlines() == ["-q", "-ex", "./op", "4"]
    assert binary.returncode == 128 + 11


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")
def test_the_real_gdb_stops_where_the_program_crashes(of_binary):
    debugged = shell(f"{of_binary} --gdb", stdin="run\nquit\n")
    assert "Program received signal SIGSEGV" in debugged.stdout
    assert debugged.returncode == 0


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_valgrind_runs_the_program_on_its_input(of_binary):
    checked = shell(f"{of_binary} --valgrind")
    assert checked.returncode == 128 + 11
    assert "Command: ./op map" in checked.stderr and "SIGSEGV" in checked.stderr
    assert checked.stdout == ""


def test_a_tool_that_is_not_installed_is_named(command):
    assert shell(f"{command} --gdb", PATH=str(Path(sys.executable).parent)).stderr == (
        "kvproto: gdb is not installed, or not in PATH\n"
    )


def test_a_shell_has_the_files_and_the_input(command):
    inside = shell(
        f"{command} --shell", stdin="ls . ..; ./op map <../stdin.bin >/dev/null\n", SHELL="/bin/sh"
    )
    assert inside.stdout == ".:\nop\n\n..:\nfiles\nrepro.sh\nstdin.bin\n"
    assert "**<MSG> about to abort\n" in inside.stderr
    assert inside.returncode == 128 + 6


# --- a reduce ------------------------------------------------------------------------------------


def test_a_reduce_has_the_pairs_of_the_spool(of_reduce, here):
    assert of_reduce.endswith(" reduce:0")
    again = shell(of_reduce)
    assert again.returncode == 1
    assert again.stderr.startswith("about to abort\nkvproto: task reduce:0 failed:\n")
    assert f"\nWorkerCrashed: {here}/op reduce: killed by SIGABRT\n" in again.stderr


def test_a_task_that_has_succeeded_runs_too(of_reduce):
    again = shell(of_reduce.replace("reduce:0", "map:0"))
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == "kvproto: task map:0 did not fail: it read 201 records\n"


def test_the_shortest_input_on_which_a_reduce_fails(of_reduce, tmp_path):
    saved = shell(f"{of_reduce} --shortest --save short", cwd=tmp_path)
    assert saved.returncode == 0
    assert 'the last pair that it needs:\n    key, 9 bytes: "BAD line\\n"\n' in saved.stderr
    frames = (tmp_path / "short" / "stdin.bin").read_bytes().removeprefix(b"0\n")
    pairs = decode_pairs(frames)
    assert len(pairs) == 101 and pairs[-1][0] == b"BAD line\n"
    assert (
        "# This is the first 101 of 201 pairs of task reduce:0 of job Job@"
        in (tmp_path / "short" / "repro.sh").read_text()
    )
    assert shell("short/repro.sh", cwd=tmp_path).returncode == 128 + 6
