"""Jobs that a module starts at its top level, imported instead of run."""

import subprocess
import sys

import pytest
from support.jobs import ECHO, program, results

from kvproto.errors import JobError

pytestmark = pytest.mark.slow

TOP_LEVEL = """
from kvproto.classic import Job, result_iterator
class Seen:
    def __init__(self, entry): self.entry = entry
def helper(entry): return Seen(entry).entry
def m(e, params): return [(helper(e), 1)]
job = Job().run(input=["raw://x"], map=m)
print(*result_iterator(job.wait()))
"""


def run(tmp_path, code, **modules):
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout, done.stderr


def test_a_module_that_starts_a_job_at_its_top_level_can_be_imported(tmp_path):
    assert run(tmp_path, "import job", job=TOP_LEVEL) == ("('x', 1)\n", "")


def test_so_can_one_that_another_module_imports_and_its_functions_serve_later_jobs(tmp_path):
    later = (
        "import other\nfrom kvproto.classic import Job\n"
        "print(len(Job().run(input=['raw://y'], map=other.job.m).wait()))"
    )
    assert run(tmp_path, later, job=TOP_LEVEL, other="import job") == ("('x', 1)\n1\n", "")


def test_a_task_that_imports_such_a_module_fails_with_what_to_do(tmp_path):
    code = """
import other
from kvproto.classic import Job
try:
    Job().run(input=["raw://x"], map=other.m).wait()
except Exception as e:
    print(e)
"""
    other = (
        "import kvproto.classic\nif 'job' not in __name__:\n    def m(e, params):\n"
        "        import job\n        return [(e, 1)]"
    )
    out, err = run(tmp_path, code, job=TOP_LEVEL, other=other)
    assert f"{tmp_path}/job.py, line 7: the module job starts a job when it is imported" in out
    assert '`if __name__ == "__main__":`' in out
    assert err == ""


def test_kvproto_run_takes_a_job_from_such_a_module(tmp_path):
    (tmp_path / "jobs.py").write_text(TOP_LEVEL + "class Again(Job):\n    map = m\n")
    command = [sys.executable, "-m", "kvproto", "run", "-q", "jobs.Again", "raw://y"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("('x', 1)\ny\t1\n", "")


WITH_PROGRAM = """
from kvproto.classic import Job, external

class Echo(Job):
    map = external(["op"])
    required_files = ["suffix"]
    @staticmethod
    def reduce(pairs, params):
        for key, value in pairs:
            yield key, value.decode() + open("suffix").read()

class Reads(Job):
    program = external(["op"])
    required_files = ["suffix"]
    @staticmethod
    def map(line, params):
        return [(line, len(Reads.program))]
"""


def test_a_task_does_not_read_the_programs_of_a_module_that_it_imports(tmp_path):
    """The task works in the directory of the required files, where the program is not."""
    program(tmp_path, ECHO)
    (tmp_path / "suffix").write_text("!")
    code = """
import far
from kvproto.classic import result_iterator
print(*result_iterator(far.Echo().run(input=["raw://x"]).wait()))
far.Reads().run(input=["raw://x"]).wait()
"""
    out, err = run(tmp_path, code, far=WITH_PROGRAM)
    assert out == "(b'', 'x!')\n"
    assert "WorkerNotStarted: op: there is no such file" in err


def test_a_module_that_the_tasks_cannot_import_is_named_with_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "far_away.py"
    path.write_text("def map(entry, params):\n    yield entry, 1\n")
    with monkeypatch.context() as only_here:
        only_here.syspath_prepend(str(tmp_path))
        from far_away import map  # noqa: PLC0415
    with pytest.raises(
        JobError, match=r"cannot import: No module named 'far_away'; put it on sys.path"
    ):
        results(input=["raw://a"], map=map)
    assert results(input=["raw://a"], map=map, required_modules=[("far_away", str(path))]) == [
        ("a", 1)
    ]
