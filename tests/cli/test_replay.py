"""`kvproto replay`: the command at the end of an error runs the task that failed, alone."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import kvproto_command
from support.jobs import program

pytestmark = pytest.mark.slow

ABORTS = """
for key, value in pairs():
    if (value if sys.argv[1] == "map" else key).startswith(b"BAD"):
        sys.stderr.write("**<MSG> about to abort\\n")
        sys.stderr.flush()
        os.abort()
    answer((value, key))
"""


def shell(command, cwd="/", stdin="", **environment):
    """Run a command as a person does who pastes it into a shell."""
    kept = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environment}
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=cwd,
        env=kept,
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


@pytest.fixture
def home(tmp_path, monkeypatch):
    directory = tmp_path / "my home"
    monkeypatch.setenv("KVPROTO_HOME", str(directory))
    return directory


@pytest.fixture
def text(tmp_path):
    lines = [f"line {number}\n" for number in range(100)]
    (tmp_path / "text").write_text("".join([*lines, "BAD line\n", *lines]))
    return tmp_path / "text"


@pytest.fixture
def command(home, text, tmp_path):
    """What the error of a job says whose map fails."""
    return last_command(failed(tmp_path, "-m", program(tmp_path, ABORTS), "text"))


def test_the_command_at_the_end_of_an_error_runs_the_task_again(command, home):
    name = os.listdir(home / "jobs")[0]
    assert command == f"KVPROTO_HOME='{home}' kvproto replay {name} map:0"
    again = shell(command)
    assert again.returncode == 1
    first, *others = again.stderr.splitlines()
    assert first == "about to abort"
    assert "killed by SIGABRT" in others[0]
    assert "  at the record with number 100 (counted from 0)" in others
    assert not list(home.glob("jobs/*/replay-*"))


def test_a_saved_task_needs_nothing_but_a_shell(command, home, tmp_path):
    saved = shell(f"{command} --save 'a place'", cwd=tmp_path)
    assert saved.returncode == 0
    shutil.rmtree(home)
    again = shell(f"env -i {saved.stderr.partition(': to run the program: ')[2]}")
    assert again.returncode == 128 + 6
    assert "**<MSG> about to abort\n" in again.stderr
    assert f"exit status {128 + 6}; its output is in stdout.bin" in again.stderr
    place = tmp_path / "a place"
    assert sorted(os.listdir(place)) == ["files", "repro.sh", "stdin.bin", "stdout.bin"]
    decoded = kvproto_command("decode", stdin=(place / "stdout.bin").read_bytes())
    assert decoded.stdout.count(b"\n") == 2 * 100
