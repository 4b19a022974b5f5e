"""`kvproto replay` of a task that runs functions of Python, and of tasks that cannot run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import kvproto_command

from kvproto.storage.home import home

pytestmark = pytest.mark.slow

MODULE = """
import os
from kvproto.classic import Job

class Fails(Job):
    input = ["words"]

    @staticmethod
    def map(line, params):
        word = line.strip()
        print("maps", word)
        if word == "BAD":
            raise ValueError("it is bad")
        yield word, len(word)

class SkipsTwo(Fails):
    @staticmethod
    def map_init(lines, params):
        next(lines)
        next(lines)

class FailsInReduce(Fails):
    input = ["raw://a", "raw://b", "raw://c"]
    keep_map = True

    @staticmethod
    def reduce(pairs, params):
        raise RuntimeError(f"the pairs are {sorted(pairs)}")

class ReadsFile(Fails):
    required_files = ["needed"]

    @staticmethod
    def map(entry, params):
        raise ValueError(open("needed").read())

class FailsInProgram(Fails):
    map = {"op": b"#!/bin/sh\\nexit 3\\n"}

class Works(Fails):
    input = ["raw://a"]

class Tolerant(Fails):
    max_bad_records = 1
    input = ["raw://BAD", "raw://BAD", "raw://BAD"]

class Crashes(Fails):
    @staticmethod
    def map(entry, params):
        os.abort()
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "home"))
    (tmp_path / "here.py").write_text(MODULE)
    (tmp_path / "words").write_text("a\nb\nc\nBAD\nd\n")
    (tmp_path / "needed").write_text("what it says")
    return tmp_path


def failed(here, name, *options):
    """The last line of the error of a job that fails."""
    run = kvproto_command("run", "-q", f"here.{name}", *options, cwd=here)
    assert run.returncode == 1
    return run.stderr.decode().splitlines()[-1]


def replay(*arguments, stdin=b""):
    run = kvproto_command("replay", *arguments, stdin=stdin)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


def shell(command, stdin=""):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd="/",
        env={"PATH": path},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_traceback_has_the_code_of_the_job_and_the_next_command_opens_pdb(here):
    last = failed(here, "Fails")
    again = shell(last.partition("alone: ")[2])
    assert again.returncode == 1
    assert again.stdout == "maps a\nmaps b\nmaps c\nmaps BAD\n"
    lines = again.stderr.splitlines()
    assert lines[:2] == ["kvproto: task map:0 failed:", "Traceback (most recent call last):"]
    assert lines[-4] == "ValueError: it is bad"
    assert f'File "{here}/here.py"' in again.stderr and "/kvproto/engine/" not in again.stderr
    debugged = shell(lines[-1].partition("in a debugger: ")[2], stdin="p word + '!'\nq\n")
    assert debugged.returncode == 1
    assert "\n(Pdb) 'BAD!'\n" in debugged.stdout


def test_a_record_has_its_number_of_the_error_though_init_takes_some(here):
    run = kvproto_command("run", "-q", "here.SkipsTwo", cwd=here)
    assert b"entry: number 3 of this task, counted from 0: 'BAD\\n'" in run.stderr
    status, printed, said = replay("@", "--record", "3")
    assert (status, printed) == (1, "maps BAD\n")
    assert "ValueError: it is bad\n" in said
    assert replay("@", "--record", "2")[:2] == (0, "maps c\n")


def test_a_changed_module_is_noted_and_used(here):
    failed(here, "Fails")
    (here / "here.py").write_text(MODULE.replace("raise ValueError", "word or ValueError"))
    status, _, said = replay("@")
    assert status == 0
    note, end = said.splitlines()
    assert note == f"kvproto: note: map: {here}/here.py has changed since the job ran"
    assert end == "kvproto: task map:0 did not fail: it read 5 records"


def test_a_reduce_gets_its_pairs_and_what_the_job_keeps_is_not_written_again(here):
    assert failed(here, "FailsInReduce").endswith(" reduce:0")
    (job,) = Path(home(), "jobs").iterdir()
    before = sorted((path, path.stat().st_mtime_ns) for path in job.rglob("*") if path.is_file())
    status, _, said = replay("@")
    assert status == 1
    assert "RuntimeError: the pairs are [('a', 1), ('b', 1), ('c', 1)]\n" in said
    after = sorted((path, path.stat().st_mtime_ns) for path in job.rglob("*") if path.is_file())
    new = {str(path) for path, _ in after} - {str(path) for path, _ in before}
    assert new == {str(job / "logs" / "replay.txt")}
    assert set(before) <= set(after)


def test_an_input_that_has_changed_is_noted_if_the_task_reads_it(here):
    (here / "other").write_text("x\n")
    failed(here, "FailsInReduce", "other")
    (here / "other").write_text("x\ny\n")
    assert replay("@")[2].startswith("kvproto: task reduce:0 failed:\n")
    note = f"kvproto: note: input {here}/other: 4 bytes, it had 2\n"
    assert replay("@", "map:0")[2].startswith(note)


def test_a_job_with_a_store_of_its_own(here):
    last = failed(here, "FailsInReduce", "--store", str(here / "store"))
    again = shell(last.partition("alone: ")[2])
    assert "RuntimeError: the pairs are [('a', 1), ('b', 1), ('c', 1)]\n" in again.stderr


def test_a_job_in_an_object_store(here, bucket):
    failed(here, "FailsInReduce", "--store", bucket)
    assert "RuntimeError: the pairs are [('a', 1), ('b', 1), ('c', 1)]\n" in replay("@")[2]


def test_required_files_are_there(here):
    failed(here, "ReadsFile")
    (here / "needed").unlink()
    assert "ValueError: what it says\n" in replay("@")[2]


def test_a_record_that_the_job_would_set_aside_is_the_error(here):
    failed(here, "Tolerant")
    status, printed, said = replay("@", "map:0")
    assert (status, printed) == (1, "maps BAD\n")
    assert "ValueError: it is bad\n" in said


def test_a_job_may_have_any_name(here):
    last = failed(here, "Fails", "-n", "--it's my job")
    assert "kvproto replay it_s_my_job@" in last
    assert "ValueError: it is bad\n" in shell(last.partition("alone: ")[2]).stderr


def test_a_crash_shows_the_frames_of_python(here):
    last = failed(here, "Crashes")
    again = shell(last.partition("alone: ")[2])
    assert again.returncode == 128 + 6
    assert "Fatal Python error: Aborted" in again.stderr
    assert f'File "{here}/here.py", line ' in again.stderr


@pytest.mark.parametrize(
    ("job", "arguments", "error"),
    [
        ("Works", [], r"job Works@\S+ is done: only the tasks of a job that failed run again"),
        ("Fails", ["17"], "'17' is not the name of a task, which is map:NUMBER or reduce:NUMBER"),
        ("Fails", ["map:4"], "there is no task map:4: the map of the job has 1 task, from 0"),
        (
            "Fails",
            ["reduce:0"],
            "task reduce:0 cannot run: it needs the map, of which 1 task did not finish",
        ),
        ("Fails", ["--record", "5"], "task map:0 has no record 5: it reads 5, from 0"),
        (
            "Fails",
            ["--gdb"],
            "task map:0 runs a function of Python: only --record and --pdb are for that",
        ),
        (
            "FailsInProgram",
            ["--pdb"],
            "--pdb is for functions of Python, and task map:0 runs a program",
        ),
        (
            "FailsInReduce",
            ["--shortest"],
            "task reduce:0 runs a function of Python: only --pdb is for that",
        ),
        (
            "FailsInReduce",
            ["--record", "1"],
            "--record is for a map, and this is task reduce:0",
        ),
        (
            "Fails",
            ["--shortest"],
            "--shortest is for a reduce, and this is task map:0: see --record",
        ),
    ],
)
def test_what_cannot_run_is_an_error(here, job, arguments, error):
    kvproto_command("run", "-q", f"here.{job}", cwd=here)
    status, _, said = replay("@", *arguments)
    assert status == 1
    assert re.fullmatch(f"kvproto: {error}\n", said)


def test_a_job_that_was_cleaned_keeps_nothing(here):
    failed(here, "Fails")
    name = os.listdir(here / "home" / "jobs")[0]
    code = f"from kvproto.classic import Job; Job(name={name!r}).clean()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "keeps nothing to run its tasks again" in replay("@", "map:0")[2]
    waited = kvproto_command("wait", "-q", "@")
    assert b"replay" not in waited.stderr


def test_other_commands_end_with_the_command_too(here):
    last = failed(here, "Fails")
    assert kvproto_command("wait", "-q", "@").stderr.decode().splitlines()[-1] == last
