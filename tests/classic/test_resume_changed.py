"""A job that is no longer the same job is not resumed; what has changed is named."""

import functools
import http.server
import os
import re
import threading

import pytest
from support.command_line import kvproto_command
from support.failed_jobs import COUNTED, TEXT, failed, failing, map, reduce, refused, repair
from support.jobs import COUNT, program

from kvproto.classic import Job, external, result_iterator


class Counts(Job):
    map = staticmethod(map)
    reduce = staticmethod(reduce)
    sort = True


def test_the_functions_of_a_class_are_compared_with_those_of_the_job(ran, tmp_path):
    inputs = [f"raw://{line}" for line in TEXT]
    job = failed(Counts("again"), input=inputs, params=ran)

    class Other(Counts):
        sort = False

        @staticmethod
        def reduce(iter, params):
            return iter

    refused(
        Other(name=job.name),
        r"would not be the same job:\n  reduce: .*Other.reduce has changed since the job ran\n"
        r"  sort: False, it was True\nundo the change, or run the job again from its start",
    )
    repair(ran)
    assert list(result_iterator(Counts(name=job.name).resume().wait())) == COUNTED


MODULE = """
from kvproto.classic import Job
import {helper}
class Counts(Job):
    @staticmethod
    def map(line, params):
        return {helper}.pairs(line)
    @staticmethod
    def reduce(iter, params):
        open(params).close()
        return sorted(iter)
"""


def run_of_module(name, ran, tmp_path):
    (tmp_path / f"{name}.py").write_text(MODULE.format(helper=f"{name}_helper"))
    helper = "def pairs(line):\n    return [(line, 1)]\n"
    (tmp_path / f"{name}_helper.py").write_text(helper)
    run = kvproto_command(
        *("run", "-q", f"{name}.Counts", "-P", f"params={ran}.repaired", "raw://a", "raw://b"),
        cwd=tmp_path,
    )
    assert run.returncode == 1, run.stderr
    match = re.search(
        r"keeps [\d.]+ kB to resume: \S+ kvproto run --resume (\S+)\n", run.stderr.decode()
    )
    return match[1]


def test_the_command_resumes_a_job_of_a_module_from_anywhere(ran, tmp_path):
    name = run_of_module("resume_module", ran, tmp_path)
    listed = kvproto_command("jobs", cwd=tmp_path).stdout.decode()
    assert re.search(rf"{name}  dead .* keeps [\d.]+ kB to resume\n", listed)
    repair(ran)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = kvproto_command("run", "-q", "--resume", "@", "-o", "out.tsv", cwd=elsewhere)
    assert (again.returncode, again.stderr) == (0, b"")
    assert (elsewhere / "out.tsv").read_text() == "a\t1\nb\t1\n"
    assert "keeps" not in kvproto_command("jobs", cwd=tmp_path).stdout.decode()
    again = kvproto_command("run", "--resume", name, cwd=elsewhere)
    assert again.returncode == 1 and b"is done: `kvproto results" in again.stderr


@pytest.mark.parametrize("changed", ["", "_helper"])
def test_a_changed_module_or_one_that_it_imports_is_named(ran, tmp_path, changed):
    name = run_of_module(f"changed{changed}_module", ran, tmp_path)
    path = tmp_path / f"changed{changed}_module{changed}.py"
    path.write_text(path.read_text() + "# changed\n")
    again = kvproto_command("run", "--resume", name, cwd=tmp_path)
    assert again.returncode == 1
    assert f": {path} has changed since the job ran\n" in again.stderr.decode()
    assert b"undo the change, or run the job again from its start\n" in again.stderr


def test_a_changed_program_or_supporting_file_is_named(tmp_path):
    table = tmp_path / "table"
    table.write_text("1")
    fails = 'if sys.argv[1] == "reduce": sys.exit(3)\n' + COUNT

    class Counting(Job):
        map = reduce = external([program(tmp_path, fails), str(table)])

    job = failed(Counting("again"), input=["raw://a b"], attempts=1)
    table.write_text("2")
    refused(Job(name=job.name), f"map: {table} has changed since the job ran")
    table.write_text("1")
    path = program(tmp_path, COUNT)
    refused(Job(name=job.name), f"map: {path} has changed since the job ran")

    class Other(Job):
        map = reduce = external([path, str(table)])

    os.unlink(path)
    os.unlink(table)
    refused(
        Other(name=job.name),
        "map: the program has changed since the job ran\n"
        "  reduce: the program has changed since the job ran",
    )


def test_changed_inputs_are_named(ran, tmp_path):
    paths = [tmp_path / name for name in ("size", "time", "gone", "same")]
    for path in paths:
        path.write_text("a b\n")
    job = failing(ran, input=[str(path) for path in paths])
    size, time, gone, _ = paths
    size.write_text("a b c\n")
    os.utime(time, ns=(1, 1))
    gone.unlink()
    refused(
        Job(name=job.name),
        f"input {size}: 6 bytes, it had 4\n"
        f"  input {time}: has changed since the job ran\n"
        f"  input {gone}: No such file or directory\n"
        "undo the change",
    )


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def test_changed_data_on_the_web_is_named_if_a_finished_task_has_read_it(ran, tmp_path):
    (tmp_path / "data").write_text("a b\n")
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path))
    )
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/data"
        try:
            job = failing(ran, input=[url])
            os.utime(tmp_path / "data", (1, 1))
            refused(Job(name=job.name), f"input {url}: has changed since the job ran")
        finally:
            server.shutdown()
            thread.join()
    repair(ran)
    assert sorted(result_iterator(Job(name=job.name).resume().wait())) == [("a", 1), ("b", 1)]


def test_changed_required_files_and_another_working_directory_are_named(ran, tmp_path, monkeypatch):
    needed = tmp_path / "needed"
    needed.write_text("1")
    job = failing(ran, required_files=[str(needed)])
    needed.write_text("2")
    refused(Job(name=job.name), f"required_files: {needed} has changed since the job ran")

    job = failing(ran)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    refused(Job(name=job.name), f"the working directory is {tmp_path}/other, it was {tmp_path}")


def test_another_version_of_kvproto_is_named(ran, monkeypatch):
    job = failing(ran)
    monkeypatch.setattr("kvproto.__version__", "9.9")
    refused(Job(name=job.name), r"this is kvproto 9\.9, and the job ran with kvproto 0\.1\.0")
