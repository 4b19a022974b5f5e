"""Tools that look into this process work in the functions of a job with processes=0."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from kvproto.classic.core import Disco

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent

COUNT = """\
from kvproto.classic import Job, result_iterator

class Count(Job):
    @staticmethod
    def map(line, params):
        {before}
        for word in line.split():
            yield word, 1

if __name__ == "__main__":
    job = Count().run(input=["raw://a b"], processes=0)
    print(dict(result_iterator(job.wait())))
"""


@pytest.fixture
def script(tmp_path):
    def script(before="pass"):
        (tmp_path / "count.py").write_text(COUNT.format(before=before))

    return script


def in_terminal(answers, *command):
    """Run a command in a terminal where each prompt of pdb gets the next of the answers.

    Returns what the terminal shows, and the exit status.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    answers = iter(answers)
    while True:
        try:
            shown += os.read(ours, 1024)
        except OSError:  # all have closed the terminal
            break
        if shown.endswith(b"(Pdb) "):
            os.write(ours, next(answers).encode() + b"\n")
    os.close(ours)
    return shown.decode().replace("\r\n", "\n"), process.wait()


def test_a_breakpoint_in_a_map_stops_there_and_the_job_goes_on(script):
    script("breakpoint()")
    shown, status = in_terminal(["p line, __name__", "c"], sys.executable, "count.py")
    assert "map()\n-> " in shown
    assert "('a b', '__main__')" in shown
    assert shown.endswith("{'a': 1, 'b': 1}\n") and status == 0


def test_a_debugger_that_runs_the_script_stops_at_a_line_of_the_map(script):
    script()
    answers = ["break count.py:8", "continue", "p word", "clear 1", "continue", "quit"]
    shown, _ = in_terminal(answers, sys.executable, "-m", "pdb", "count.py")
    assert "count.py(8)map()\n-> yield word, 1" in shown
    assert "(Pdb) p word\n'a'\n" in shown and "{'a': 1, 'b': 1}\n" in shown


def test_quitting_pdb_ends_the_job_with_a_line_that_says_so(script):
    script("breakpoint()")
    shown, status = in_terminal(["q"], sys.executable, "count.py")
    job, state, _ = Disco().joblist()[-1]
    assert f"kvproto: job {job} was stopped; its logs are in " in shown and state == "dead"
    assert "\nbdb.BdbQuit\n" in shown and status == 1


def test_kvproto_run_has_the_terminal_for_pdb(script):
    script("breakpoint()")
    command = (str(BIN / "kvproto"), "run", "--processes", "0", "count.Count", "raw://a b")
    shown, status = in_terminal(["p line", "c"], *command)
    assert "(Pdb) p line\n'a b'\n" in shown and "\na\t1\nb\t1\n" in shown and status == 0
    assert "map    1/1 tasks" in shown and "\x1b" not in shown
    shown, status = in_terminal(["q"], *command)
    assert "was stopped; its logs are in" in shown and "Traceback" not in shown and status == 1


def test_post_mortem_of_the_cause_is_in_the_job_function(script):
    script("int('none')")
    code = "import count, pdb, sys; job = count.Count().run(input=['raw://a b'], processes=0)"
    code += "\ntry: job.wait()\nexcept Exception as e: pdb.post_mortem(e.cause.__traceback__)"
    shown, _ = in_terminal(["p line", "q"], sys.executable, "-c", code)
    assert "count.py(6)map()\n-> int('none')" in shown and "(Pdb) p line\n'a b'\n" in shown


def test_coverage_measures_job_functions(script):
    script()
    for arguments in (["run", "--include", "count.py", "count.py"], ["json", "-q", "-o", "out"]):
        subprocess.run([sys.executable, "-m", "coverage", *arguments], check=True)
    measured = json.loads(Path("out").read_text())["files"]["count.py"]
    assert measured["missing_lines"] == [] and 8 in measured["executed_lines"]


def test_a_failure_that_nobody_waits_for_is_told(tmp_path):
    code = COUNT.format(before="int('none')").replace(
        "print(dict(result_iterator(job.wait())))", "pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.startswith("kvproto: job Count@") and "invalid literal" in done.stderr


def test_ctrl_c_in_a_task_ends_the_script_as_any_program(script):
    script("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    done = subprocess.run([sys.executable, "count.py"], capture_output=True, text=True, check=False)
    assert done.returncode == -2 and "was stopped; its logs are in" in done.stderr
    script("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    done = subprocess.run([sys.executable, "count.py"], capture_output=True, text=True, check=False)
    assert done.returncode == -15 and done.stderr.startswith("kvproto: job Count@")
    assert done.stderr.count("\n") == 1
