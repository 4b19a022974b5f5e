"""How `kvproto run` finds a job and tells what is wrong with it; the demo."""

import re
import subprocess
import sys

import pytest
from support.jobs import LIBRARY, counted

from kvproto.cli.run_job import find_job
from kvproto.errors import JobError
from kvproto.examples import demo

pytestmark = pytest.mark.slow

MODULE = """
from kvproto.classic import Job

class Words(Job):
    input = ["raw://own input"]
    def map(line, params):
        return [(word, 1) for word in line.split()]

class Bytes(Words):
    def map(line, params):
        return [(b"\\xff", "caf\\u00e9")]

class Wrong(Words):
    map = "good"

class Unmade(Words):
    def __init__(self, factor):
        pass

class Bad(Words):
    def map(line, params):
        raise ValueError("it is bad")

NotAJob = 3
"""


@pytest.fixture(autouse=True)
def in_a_directory_with_jobs(tmp_path, monkeypatch):
    (tmp_path / "myjobs.py").write_text(MODULE)
    (tmp_path / "needs.py").write_text("import no_such_module_at_all\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "home"))
    yield tmp_path
    sys.modules.pop("myjobs", None)


def kvproto(*argv):
    return subprocess.run(
        [sys.executable, "-m", "kvproto", *argv], capture_output=True, check=False
    )


@pytest.mark.documented(
    "1 the shell runs a job by its module and class, found on sys.path, with a parameter; "
    "inputs are tags, urls or paths"
)
def test_run_finds_the_job_in_the_current_directory_and_prints_its_results():
    done = kvproto("run", "myjobs.Words", "raw://a b")
    assert (done.returncode, done.stdout) == (0, b"a\t1\nb\t1\n")
    assert b"map    1/1 tasks" in done.stderr


def test_run_without_inputs_takes_those_of_the_job():
    assert kvproto("run", "myjobs.Words").stdout == b"own\t1\ninput\t1\n"


def test_bytes_are_printed_as_they_are_and_str_as_utf8():
    assert kvproto("run", "myjobs.Bytes").stdout == b"\xff\tcaf\xc3\xa9\n"


def test_a_job_that_fails_is_exit_status_1_and_the_error_whole_on_stderr():
    done = kvproto("run", "myjobs.Bad")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"ValueError: it is bad" in done.stderr and b"in map" in done.stderr


def test_a_missing_input_is_exit_status_1_and_named():
    done = kvproto("run", "myjobs.Words", "/no/such/file")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"input /no/such/file: No such file" in done.stderr


@pytest.mark.parametrize(
    "spec, says",
    [
        *[
            (spec, "write module.Class, as in grep.Grep")
            for spec in ("Words", ".", "./myjobs.Words", "..myjobs.Words", "")
        ],
        ("myjobs.", "write module.Class"),
        ("nowhere.Words", "there is no module nowhere in the current directory"),
        ("kvproto.nowhere.Words", "there is no module kvproto.nowhere"),
        ("needs.Words", "the module needs needs the module no_such_module_at_all"),
        ("myjobs.Missing", "has no Missing; its jobs: Words, Bytes, Wrong, Unmade, Bad"),
        ("kvproto.examples.pi", "kvproto.examples.pi is a module; its jobs: Pi$"),
        ("myjobs.NotAJob", "NotAJob in .* is neither a subclass"),
    ],
)
def test_a_job_that_cannot_be_found_says_what_is_missing(spec, says):
    with pytest.raises(JobError, match=says):
        find_job(spec)


@pytest.mark.parametrize(
    "file, says",
    [
        ("some.txt", "some.txt is a file; write module.Class, .* and the inputs after it$"),
        (
            "some/jobs.py",
            "some/jobs.py is a file; write module.Class, .*; for a name in that module, "
            "write some.jobs.NAME",
        ),
    ],
)
def test_a_file_in_the_place_of_the_job_says_what_belongs_there(
    in_a_directory_with_jobs, file, says
):
    path = in_a_directory_with_jobs / file
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(JobError, match=says):
        find_job(file)


@pytest.mark.parametrize(
    "body, says",
    [
        ("def f(:\n", 'bad.py", line 1\n    def f(:\n          ^\nSyntaxError: invalid syntax\n'),
        ("def f():\n    return 1 / 0\nf()\n", 'bad.py", line 2, in f\n'),
        ("import sys\nsys.exit('not as a script')\n", "SystemExit: not as a script\n"),
    ],
)
def test_a_module_that_fails_is_shown_with_its_own_frames_alone(
    in_a_directory_with_jobs, body, says
):
    (in_a_directory_with_jobs / "bad.py").write_text(body)
    done = kvproto("run", "bad.Job")
    said = done.stderr.decode()
    assert done.returncode == 1 and said.startswith("kvproto: bad.Job: importing bad failed:\n")
    assert says in said
    assert "importlib" not in said and "command.py" not in said


def test_a_wrong_parameter_is_one_line():
    done = kvproto("run", "myjobs.Wrong")
    said = (
        b"kvproto: myjobs.Wrong: map must be a function or an external program, not 'good'; "
        b"external([path]) packages a program\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", said)


def test_a_job_that_cannot_be_made_says_why():
    said = kvproto("run", "myjobs.Unmade").stderr.decode()
    assert (
        said.startswith("kvproto: myjobs.Unmade: creating the job failed:\nTypeError: ")
        and "'factor'" in said
    )


def test_the_demo_counts_the_words_of_the_inputs_given(capfd):
    paths = sorted(map(str, LIBRARY.glob("*.py")))[:20]
    assert demo.main(paths) == 0
    shown = re.findall(r"^ *([\d,]+)  (\S+)$", capfd.readouterr().out, re.MULTILINE)
    counts = counted(paths, rb"[A-Za-z0-9_\x80-\xff]+")
    assert [int(n.replace(",", "")) for n, _ in shown] == [n for _, n in counts.most_common(20)]
    assert all(counts[word.encode()] == int(n.replace(",", "")) for n, word in shown)


def test_the_demo_takes_a_file_a_directory_and_says_time_and_speed(capfd, in_a_directory_with_jobs):
    assert demo.main([str(in_a_directory_with_jobs / "myjobs.py"), "."]) == 0
    said = capfd.readouterr().out
    assert re.search(r"^ +\d+  import$", said, re.MULTILINE)
    assert re.search(
        r"^[1-9]\d*(\.\d kB| bytes) in \d+\.\d\d s: [1-9][\d.]* (bytes|kB|MB)/s$",
        said,
        re.MULTILINE,
    )


def test_the_demos_own_input_is_tens_of_megabytes_of_source():
    sources = demo.library_sources()
    assert len(sources) > 500 and all(path.endswith(".py") for path in sources)
