"""Jobs and the command beside files that have the names of the standard library's modules."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest
from support import jobs
from support.web_server import page, serving

pytestmark = pytest.mark.slow

KVPROTO = str(Path(sys.executable).with_name("kvproto"))

JOBS = """
import kvproto.classic as c
from kvproto.classic.task_io import gzip_line_reader

class Words(c.Job):
    partitions, sort, profile, save = 2, True, True, True
    def map(line, params):
        return [(word, 1) for word in line.split()]
    def reduce(pairs, params):
        return [(word, sum(ones)) for word, ones in c.kvgroup(pairs)]

class Zipped(Words):
    map_reader = gzip_line_reader

class Fails(c.Job):
    def map(line, params):
        return 1 / 0

if __name__ == "__main__":
    print(sorted(c.result_iterator(Words().run(input=["text"]).wait(show="nocolor"))))
    print(sorted(c.result_iterator(Zipped().run(input=["text.gz"]).wait())))
    print(sorted(c.result_iterator(Words().run(input=[URL]).wait())))
    try:
        Fails().run(input=["text"]).wait()
    except Exception as e:
        print(e)
"""


@pytest.fixture
def beside(tmp_path):
    """A directory with a file for each name of the standard library, each of which fails when it is
    imported.
    """
    for name in sys.stdlib_module_names - {"_frozen_importlib", "_frozen_importlib_external"}:
        (tmp_path / f"{name}.py").write_text(
            f"raise ImportError('this is the {name} of the user')\n"
        )
    (tmp_path / "text").write_text("a b a\n")
    with gzip.open(tmp_path / "text.gz", "wt") as file:
        file.write("a b a\n")
    return tmp_path


def run(beside, *command):
    done = subprocess.run(
        command, cwd=beside, capture_output=True, text=True, timeout=60, check=False
    )
    assert "of the user" not in done.stdout + done.stderr
    return done


def test_a_script_runs_its_jobs(beside):
    with serving({"/text": page(b"a b a\n")}) as server:
        (beside / "script.py").write_text(JOBS.replace("URL", repr(f"{server.url}/text")))
        done = run(beside, sys.executable, "script.py")
    assert done.stdout.splitlines()[:3] == ["[('a', 2), ('b', 1)]"] * 3, done.stderr
    assert "ZeroDivisionError" in done.stdout


def test_so_does_the_command(beside):
    (beside / "words.py").write_text(JOBS)
    assert "ZeroDivisionError" in run(beside, KVPROTO, "run", "words.Fails", "text").stderr
    assert sorted(run(beside, KVPROTO, "run", "words.Words", "text").stdout.split()) == [
        "1",
        "2",
        "a",
        "b",
    ]
    for command in (
        ["jobs"],
        ["events", "@"],
        ["results", "@"],
        ["pstats", "@"],
        ["tag", "put", "t", "text"],
        ["purge", "@"],
    ):
        done = run(beside, KVPROTO, *command)
        assert done.returncode == 0, done.stderr


def test_so_does_the_check_of_a_worker(beside):
    jobs.program(beside, jobs.ECHO, "echo")
    reports = ("--json", "r.json", "--html", "r.html", "--junit", "r.xml")
    done = run(
        beside,
        KVPROTO,
        "check",
        "--mode",
        "map",
        "--examples",
        "1",
        "-k",
        "MAP-lock*",
        *reports,
        "--",
        "./echo",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_module_of_that_name_is_the_users_for_the_users_own_imports(tmp_path):
    (tmp_path / "profile.py").write_text("def m(e, params): return [(e, 'mine')]\n")
    code = (
        "import profile; from kvproto.classic import Job, result_iterator\n"
        "print(*result_iterator(Job().run(input=['raw://x'], map=profile.m, profile=True).wait()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("('x', 'mine')\n", "")
