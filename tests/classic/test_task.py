"""What a job function finds in its task: out-of-band values, the facts of the task, free names,
required modules and files.
"""

import ctypes
import functools
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.jobs import results

from kvproto.classic import Job, result_iterator
from kvproto.classic import task as of_task
from kvproto.classic.func import nop_map, nop_reduce
from kvproto.classic.params import Params
from kvproto.errors import FilesError, JobError

get = "a global of this module that is called like a free name"


def facts(entry, params):
    yield "name", this_name()  # noqa: F821
    yield "host", this_host()  # noqa: F821
    yield "inputs", this_inputs()  # noqa: F821
    yield "partition", this_partition()  # noqa: F821
    yield "master", this_master()  # noqa: F821


@pytest.mark.documented(
    "4 the host that runs the task, its inputs, the master's host and port, the job's name"
)
def test_a_map_knows_its_job_and_its_task():
    job = Job("facts").run(input=["raw://a"], map=facts)
    found = dict(result_iterator(job.wait()))
    assert found == {
        "name": job.job,
        "host": socket.gethostname(),
        "inputs": ["raw://a"],
        "partition": 0,
        "master": f"{socket.gethostname()}:0",
    }


def test_a_map_is_told_which_of_its_inputs_is_being_read(tmp_path):
    paths = [str(tmp_path / name) for name in ("one", "two", "three")]
    for path in paths:
        Path(path).write_text(f"{path}\n" * 2)  # small: they share a task
    given = results(input=paths, map=lambda line, params: [(line.rstrip(), this_inputs())])  # noqa: F821
    assert given == [(path, [path]) for path in paths for _ in range(2)]


@pytest.mark.documented(
    "4 in a map, each task has a number, which makes ids unique",
    "4 in a reduce, the number of the partition, which the partition function decides for a pair",
)
def test_this_partition_is_the_number_of_the_map_task_or_the_partition_of_the_reduce():
    def numbered(entry, params):
        return [(partition, this_partition()) for partition in range(3)]  # noqa: F821

    def reduce(entries, params):
        for key, value in entries:
            yield key, (value, this_partition())  # noqa: F821

    given = results(
        input=["raw://a", "raw://b"],
        map=numbered,
        map_init=lambda entries, params: None,
        reduce=reduce,
        partitions=3,
        partition=lambda key, n, params: key,
    )
    assert sorted(given) == [(key, (task, key)) for key in range(3) for task in range(2)]


@pytest.mark.documented("4 get and put: out-of-band values")
def test_what_a_map_puts_is_seen_by_the_reduce_and_by_the_client():
    def map(entry, params):
        put("seen", f"from {entry}")  # noqa: F821
        put("raw", b"\x00\xff")  # noqa: F821
        yield of_task.get("seen"), ""  # a task sees its own values at once

    def reduce(entries, params):
        yield of_task.get("seen"), [key for key, _ in entries]

    job = Job("oob").run(input=["raw://a"], map=map, reduce=reduce)
    assert list(result_iterator(job.wait())) == [("from a", ["from a"])]
    assert (job.oob_get("seen"), job.oob_get("raw")) == ("from a", b"\x00\xff")
    assert sorted(job.oob_list()) == ["raw", "seen"]


@pytest.mark.documented("4 get and put: out-of-band values")
def test_a_task_gets_the_values_of_another_job():
    first = Job("first").run(input=["raw://a"], map=lambda e, params: of_task.put("n", "7") or [])
    first.wait()
    job = first.job
    assert results(input=["raw://a"], map=lambda e, params: [(of_task.get("n", job), "")]) == [
        ("7", "")
    ]


def test_a_value_that_nobody_put_is_an_error_that_names_it():
    with pytest.raises(JobError, match="nowhere"):
        results(input=["raw://a"], map=lambda e, params: [(of_task.get("nowhere"), "")])


def test_a_failed_attempt_leaves_no_values(tmp_path):
    flag = tmp_path / "tried"

    def map(entry, params):
        if not flag.exists():
            flag.touch()
            of_task.put("of-attempt-1", "x")
            os.kill(os.getpid(), 9)
        of_task.put("of-attempt-2", "x")
        return []

    job = Job("attempts").run(input=["raw://a"], map=map)
    job.wait()
    assert list(job.oob_list()) == ["of-attempt-2"]


@pytest.mark.parametrize("name", sorted(of_task.NAMES))
def test_outside_of_a_task_each_of_these_says_so(name):
    arguments = {"count": ("name",), "get": ("key",), "put": ("key", "value")}.get(name, ())
    with pytest.raises(JobError, match="in a job function"):
        of_task.NAMES[name](*arguments)


def test_a_global_of_the_users_own_is_not_lost_to_a_free_name():
    def map(entry, params):
        yield get, json  # noqa: F821

    space = {"json": "mine"}
    exec("def mine(entry, params): yield json, get('k')", space)
    assert results(input=["raw://a"], map=lambda e, params: [(get, "")]) == [(get, "")]
    space["get"] = str.upper
    assert results(input=["raw://a"], map=space["mine"], required_modules=["json"]) == [
        ("mine", "K")
    ]


@pytest.mark.documented(
    "6 required_modules are found without an import",
    "15 required_modules: are found without an import",
)
def test_required_modules_are_found_without_an_import():
    space = {}
    exec("def uses(entry, params): yield json.dumps([entry]), path.basename('/a/b')", space)
    assert results(input=["raw://a"], map=space["uses"], required_modules=["json", "os.path"]) == [
        ('["a"]', "b")
    ]


@pytest.mark.slow
def test_the_free_names_are_found_in_functions_of_every_kind():
    space = {}
    exec(
        "def helper(): return this_partition()\n"
        "def plain(entry, params): yield 'plain', helper()\n"
        "def more(entry, params, extra): yield extra, this_partition()\n"
        "class K:\n"
        "    def method(self, entry, params): yield 'method', this_partition()\n"
        "in_lambda = lambda entry, params: [('lambda', this_partition())]\n",
        space,
    )
    functions = [
        space["plain"],
        functools.partial(space["more"], extra="partial"),
        space["K"]().method,
        space["in_lambda"],
    ]
    assert [results(input=["raw://a"], map=function)[0] for function in functions] == [
        ("plain", 0),
        ("partial", 0),
        ("method", 0),
        ("lambda", 0),
    ]


def test_a_required_module_that_is_not_there_is_an_error_that_names_it():
    with pytest.raises(JobError, match="required_modules: importing no_such_module failed"):
        results(input=["raw://a"], map=nop_map, required_modules=["no_such_module"])


def test_a_required_module_is_given_by_name():
    with pytest.raises(TypeError, match="required_modules must be names"):
        Job("modules").run(input=["raw://a"], map=nop_map, required_modules=[os])


def test_a_required_module_may_come_with_its_file(tmp_path):
    path = tmp_path / "helpers_of_mine.py"
    path.write_text("def shout(text): return text.upper()\n")
    space = {}
    exec("def uses(entry, params): yield helpers_of_mine.shout(entry), ''", space)
    given = results(
        input=["raw://a"], map=space["uses"], required_modules=[("helpers_of_mine", str(path))]
    )
    assert given == [("A", "")]


@pytest.mark.documented(
    "6 required_files are in the directory of the tasks",
    "15 required_files: are in the directory of the tasks",
)
def test_required_files_are_in_the_working_directory(tmp_path):
    (tmp_path / "config.txt").write_text("told")
    read = lambda entry, params: [(Path("config.txt").read_text(), Path("more.bin").read_bytes())]  # noqa: E731
    with pytest.raises(JobError):
        results(input=["raw://a"], map=read, required_files=[str(tmp_path / "config.txt")])
    (tmp_path / "more.bin").write_bytes(b"\x00")
    for files in (
        [str(tmp_path / "config.txt"), tmp_path / "more.bin"],
        {"config.txt": "told", "more.bin": b"\x00"},
    ):
        assert results(input=["raw://a"], map=read, required_files=files) == [("told", b"\x00")]


def test_required_files_that_are_not_there_or_have_one_name_are_refused_at_once(tmp_path):
    with pytest.raises(Exception, match=r"required_files: .*nowhere.txt is not a file"):
        Job("files").run(
            input=["raw://a"], map=nop_map, required_files=[str(tmp_path / "nowhere.txt")]
        )
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "same").touch()
    with pytest.raises(FilesError, match="same"):
        Job("files").run(
            input=["raw://a"],
            map=nop_map,
            required_files=[tmp_path / "a" / "same", tmp_path / "b" / "same"],
        )


RECIPE = """
from kvproto.classic import Job, result_iterator

def fast_map(e, params):
        return [("", params.mylib.fast_function(e))]

def map_init(iter, params):
        params.mylib = ctypes.CDLL("mylib.so")

job = Job().run(
        name = "mylib_job",
        input = ["raw://a line"],
        map = fast_map,
        map_init = map_init,
        required_files = ["mylib.so"],
        required_modules = ["ctypes"])
print(*result_iterator(job.wait()))
"""


@pytest.mark.slow
@pytest.mark.documented(
    "5 init: gets the iterator of the reader; may load libraries, set params, skip entries",
    "6 the ctypes recipe runs as printed: a library in required_files, loaded by map_init "
    "into params",
)
def test_the_ctypes_recipe_of_the_documentation_runs_as_printed(tmp_path):
    source = tmp_path / "mylib.c"
    source.write_text(
        "#include <string.h>\nint fast_function(const char *e) { return (int)strlen(e); }\n"
    )
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / "mylib.so", source], check=True)
    assert ctypes.CDLL(str(tmp_path / "mylib.so"))
    done = subprocess.run(
        [sys.executable, "-c", RECIPE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("('', 6)\n", "")


@pytest.mark.documented("2 params: Params holds a set of them, which may include functions")
def test_params_are_an_object_to_keep_things_in_unless_others_are_given():
    def init(entries, params):
        params.said = params.name.upper() if hasattr(params, "name") else "nothing"

    assert results(input=["raw://a"], map=lambda e, params: [(params.said, "")], map_init=init) == [
        ("nothing", "")
    ]
    given = Params(name="x", shout=lambda text: text + "!")
    assert results(
        input=["raw://a"],
        map=lambda e, params: [(params.shout(params.said), "")],
        map_init=init,
        params=given,
    ) == [("X!", "")]
    assert not hasattr(given, "said")


def test_a_function_in_params_finds_free_names():
    space = {}
    exec("def number(): return this_partition()", space)
    assert results(
        input=["raw://a"],
        map=lambda e, params: [(params.number(), "")],
        params=Params(number=space["number"]),
    ) == [(0, "")]


@pytest.mark.documented("15 profile: leaves a profile of each task")
def test_a_profiled_job_leaves_a_profile_of_each_task():
    job = Job("profiled").run(input=["raw://a"], map=nop_map, reduce=nop_reduce, profile=True)
    job.wait()
    assert sorted(os.listdir(os.path.join(job.directory, "profile"))) == [
        "map-00000",
        "reduce-00000",
    ]
    assert any(name == "nop_reduce" for _file, _line, name in job.profile_stats().stats)
