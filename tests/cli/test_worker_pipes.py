"""`kvproto map` and `kvproto reduce` in a shell: stderr, pipes, signals, a record that fails."""

import os
import select
import signal
import subprocess
import sys

import pytest
from support import catalogue
from support.command_line import ECHO, command_line, kvproto_command
from support.scripts import script

import kvproto

pytestmark = pytest.mark.slow


def test_messages_go_to_stderr_without_tag_and_other_lines_as_they_are():
    files = ["-f", catalogue.HERE / "raw.py"]
    tagged = kvproto_command(
        "map", *files, "--", catalogue.HERE / "stderr_not_utf8.py", stdin=b"x\n"
    )
    assert (tagged.returncode, tagged.stderr) == (0, b"caf\xe9 \xff\n")
    untagged = kvproto_command(
        "map", *files, "--", catalogue.HERE / "stderr_unended.py", stdin=b"x\n"
    )
    assert (untagged.returncode, untagged.stderr) == (0, b"no newline here\n")


def test_what_a_worker_said_is_shown_once_and_not_again_in_the_report(tmp_path):
    worker = script(
        tmp_path,
        "import sys\nprint('**<MSG> one', file=sys.stderr)\nsys.stdin.read()\nsys.exit('plain')",
    )
    said = kvproto_command("map", "--", worker, stdin=b"x\n").stderr
    assert said.startswith(b"one\nplain\nkvproto: ") and (
        said.count(b"one"),
        said.count(b"plain"),
    ) == (1, 1)
    silent = script(tmp_path, "import sys\nsys.stdin.read()\nsys.exit(1)")
    assert (
        b"it wrote nothing to stderr" in kvproto_command("map", "--", silent, stdin=b"x\n").stderr
    )


def test_a_line_of_stderr_that_was_cut_says_so():
    files = ["-f", catalogue.HERE / "raw.py"]
    done = kvproto_command("map", *files, "--", catalogue.HERE / "floods_untagged.py", stdin=b"x\n")
    assert (done.returncode, done.stderr) == (0, b"y" * 65536 + b" [39934464 more bytes cut]\n")


def test_a_reader_that_goes_away_ends_it_quietly_and_the_worker_with_it(tmp_path):
    worker = tmp_path / "endless"
    worker.write_text(
        "#!/usr/bin/env python3\nimport os, sys\nsys.stdin.buffer.read(2)\n"
        "os.write(2, b'%d\\n' % os.getpid())\n"
        "while True: "
        "sys.stdout.buffer.write(b'\\x01\\0\\0\\0\\x01\\0\\0\\0k\\x01\\0\\0\\0v' * 1000)\n"
    )
    worker.chmod(0o755)
    with subprocess.Popen(
        command_line("reduce", "--", worker),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        watched = os.pidfd_open(int(process.stderr.readline()))
        assert process.stdout.read(10) == b"k\tv\nk\tv\nk\t"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == -signal.SIGPIPE
    assert select.select([watched], [], [], 60)[0]
    os.close(watched)


def test_head_of_a_shell_pipe_gets_its_bytes_and_no_complaint(tmp_path):
    data = tmp_path / "input"
    data.write_bytes(b"line\n" * 1_000_000)
    line = f'"{sys.executable}" -m kvproto map -- "{ECHO}" < "{data}" | head -c 10'
    done = subprocess.run(["sh", "-c", line], capture_output=True, cwd="/", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\tline\n\n\tli", b"")


def test_an_answer_comes_out_before_the_input_ends():
    """As in `tail -f log | kvproto map`: a pair is answered when it is there, not when the next one
    is.
    """
    for form, pair in ("kv", kvproto.encode_pair(b"", b"one\n")), ("lines", b"one\n"):
        with subprocess.Popen(
            command_line("map", "--in", form, "--", ECHO),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            process.stdin.write(pair)
            process.stdin.flush()
            assert select.select([process.stdout], [], [], 60)[0], (
                f"--in {form}: no answer while stdin is open"
            )
            assert process.communicate()[0] == b"\tone\n\n"


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_a_signal_ends_it_as_it_ends_any_program(number):
    with subprocess.Popen(
        command_line(
            "map", "-f", catalogue.HERE / "raw.py", "--", catalogue.HERE / "stderr_not_utf8.py"
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr.readline() == b"caf\xe9 \xff\n"
        process.send_signal(number)
        assert process.stderr.read() == b""
    assert process.returncode == -number


@pytest.mark.parametrize("form", ["kv", "lines"])
@pytest.mark.parametrize(
    "closed, says",
    [("<&-", b"Bad file descriptor"), (">&-", b"stdout"), ("> /dev/full", b"stdout")],
)
def test_stdin_or_stdout_that_cannot_be_used_is_an_error(form, closed, says):
    data = {"kv": kvproto.encode_pair(b"", b"one\n"), "lines": b"one\n"}[form]
    line = f'"{sys.executable}" -m kvproto map --in {form} -- "{ECHO}" {closed}'
    done = subprocess.run(
        ["sh", "-c", line], input=data, capture_output=True, cwd="/", timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert says in done.stderr and b"Traceback" not in done.stderr


def test_without_stderr_nothing_of_it_gets_into_the_output():
    line = (
        f'"{sys.executable}" -m kvproto map -f "{catalogue.HERE}/raw.py" -- '
        f'"{catalogue.HERE}/stderr_not_utf8.py" 2>&-'
    )
    done = subprocess.run(
        ["sh", "-c", line], input=b"one\n", capture_output=True, cwd="/", timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"\tone\n\n")


FAILS_ON_BAD = """
    import os, struct, sys
    stdin = sys.stdin.buffer
    stdin.read(int(stdin.readline()))
    while size := stdin.read(4):
        stdin.read(*struct.unpack("<I", size))
        value = stdin.read(*struct.unpack("<I", stdin.read(4)))
        if value == b"bad\\n":
            open("core", "w").write("memory")
            os.abort()
        os.write(1, bytes(4))
"""


def test_the_record_at_which_a_map_fails_is_shown_and_its_core_file_is_kept(tmp_path):
    worker = script(tmp_path, FAILS_ON_BAD)
    run = subprocess.run(
        command_line("map", "--", str(worker)),
        input=b"good\n" * 30 + b"bad\n" + b"good\n" * 30,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 1
    shown = run.stderr.decode()
    assert "at the record with number 30 (counted from 0)\n" in shown
    assert 'value, 4 bytes: "bad\\n"\n' in shown
    assert "played again: a fresh worker fails on this record alone, in the same way\n" in shown
    (core,) = tmp_path.glob("core.*")
    assert core.read_text() == "memory"
    assert f"its core file: {core}\n" in shown
    assert f"gdb {worker} {core} shows where it crashed" in shown


def test_no_input_is_played_again_with_pinpoint_0(tmp_path):
    worker = script(tmp_path, FAILS_ON_BAD)
    run = kvproto_command("map", "--pinpoint", "0", "--", str(worker), stdin=b"bad\n")
    assert run.returncode == 1
    assert b"first input pair without an answer: number 0 " in run.stderr
    assert b"played again" not in run.stderr
