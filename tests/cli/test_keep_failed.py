"""`kvproto map --keep-failed`: a run that fails is kept, and a script runs it again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import kvproto_command
from support.jobs import program

from kvproto import encode_pairs, encode_params
from kvproto.cli.keeping import Keeper
from kvproto.driver.repro import Repro

pytestmark = pytest.mark.slow

FAILS = """
for key, value in pairs():
    if value.startswith(b"BAD"):
        sys.exit(3)
    answer((key, value))
"""
LINES = b"".join(b"line %d\n" % number for number in range(5000))
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@pytest.fixture
def worker(tmp_path):
    return program(tmp_path, FAILS)


def shell(command, cwd):
    return subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=cwd,
        # A limit on the size of files is one for the bytecode of modules too, which is then cut.
        env={"PATH": PATH, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def last_command(stderr):
    return stderr.rstrip("\n").rpartition(": ")[2]


def test_the_command_of_the_error_keeps_the_run_and_its_script_runs_it_again(worker, tmp_path):
    (tmp_path / "my input").write_bytes(LINES + b"BAD\n" + LINES)
    first = shell(f"kvproto map -p 'a=b c' -- {worker} <'my input'", tmp_path)
    command = last_command(first.stderr)
    options = "-p 'a=b c' -- " + worker
    assert command == f"kvproto map --keep-failed failed-1 {options} <'{tmp_path}/my input'"
    second = shell(command, tmp_path)
    assert second.returncode == 1
    command = last_command(second.stderr)
    assert command == "sh failed-1/repro.sh"
    third = shell(f"env -i {command}", tmp_path)
    assert third.returncode == 3
    assert third.stderr == "exit status 3; its output is in stdout.bin\n"
    kept = (tmp_path / "failed-1" / "stdin.bin").read_bytes()
    params = encode_params({"a": "b c"})
    assert kept.startswith(params)
    lines = (LINES + b"BAD\n" + LINES).splitlines(keepends=True)
    frames = encode_pairs([("", line) for line in lines])
    sent = kept.removeprefix(params)
    assert frames.startswith(sent) and b"BAD" in sent


def test_what_is_kept_ends_with_a_whole_pair(tmp_path):
    repro = Repro(str(tmp_path / "kept"), {"op": b""}, ["map"])
    repro.begin()
    keeper = Keeper(repro, b"0\n")
    pairs = [(b"", b"x" * 100), (b"key", b"value")]
    frames = encode_pairs(pairs)
    assert b"".join(keeper.tee([frames[:50], frames[50:-1]])) == frames[:-1]
    keeper.close()
    assert list(keeper.tee([frames[-1:]])) == []
    keeper.cut()
    assert Path(repro.stdin).read_bytes() == b"0\n" + encode_pairs(pairs[:1])


def test_of_a_pipe_the_error_says_to_send_the_input_again(worker, tmp_path):
    run = kvproto_command("map", "--", worker, cwd=tmp_path, stdin=b"BAD\n")
    said = run.stderr.decode()
    assert said.endswith(
        "\n  to keep its input, and a script that runs it again, send the same input to: "
        f"kvproto map --keep-failed failed-1 -- {worker}\n"
    )


@pytest.mark.parametrize("mode", ["map", "reduce"])
def test_nothing_is_kept_of_a_run_that_succeeds(mode, worker, tmp_path):
    run = kvproto_command(
        *(mode, "--in", "lines", "--keep-failed", "kept", "--", worker), cwd=tmp_path, stdin=LINES
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert run.stdout.count(b"\n") == 2 * 5000
    assert not (tmp_path / "kept").exists()


def test_nothing_is_kept_if_the_input_is_at_fault(worker, tmp_path):
    run = kvproto_command(
        *("map", "--in", "jsonl", "--keep-failed", "kept", "--", worker),
        cwd=tmp_path,
        stdin=b"no json",
    )
    assert run.returncode == 1
    assert re.search(rb"line 1", run.stderr)
    assert not (tmp_path / "kept").exists()


def test_a_disk_without_room_for_the_input_is_an_error(worker, tmp_path):
    (tmp_path / "input").write_bytes(LINES)
    run = shell(f"ulimit -f 16; kvproto map --keep-failed kept -- {worker} <input", tmp_path)
    assert run.returncode == 1
    assert run.stderr == "kvproto: kept/stdin.bin: File too large\n"
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("what", ["program", "params"])
def test_a_disk_without_room_before_the_input_leaves_no_directory(tmp_path, what):
    worker = program(tmp_path, FAILS + f"#{'x' * 50000 * (what == 'program')}\n")
    param = "x" * 50000 * (what == "params")
    command = f"kvproto map -p long={param} --keep-failed kept -- {worker} </dev/null"
    run = shell(f"ulimit -f 16; {command}", tmp_path)
    path = "kept/files/op" if what == "program" else "kept/stdin.bin"
    assert (run.returncode, run.stderr) == (1, f"kvproto: {path}: File too large\n")
    assert not (tmp_path / "kept").exists()
