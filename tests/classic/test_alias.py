"""The old names: what imports, what says that it is gone, who wins, and scripts written for the
original.
"""

import json
import os
import subprocess
import sys

import pytest
from support.command_line import kvproto_command

from kvproto.classic.disco_names.names import GONE, MODULES, exports

pytestmark = pytest.mark.slow

INSTALL = "from kvproto.classic import alias\nalias.install()\n"


def python(*arguments, cwd="/", **environment):
    """Run Python; returns the finished process, its stdout and stderr as str."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **environment},
        check=False,
    )


def printed(code, cwd="/", **environment):
    """What code prints, with the old names installed."""
    done = python("-c", INSTALL + code, cwd=cwd, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def aliased(*arguments, cwd="/", **environment):
    return python("-m", "kvproto.classic.alias", *arguments, cwd=cwd, **environment)


# --- what there is, and what there is not ------------------------------------------------------


def test_every_module_of_the_table_has_the_very_objects_of_its_new_modules():
    code = (
        "import importlib\n"
        "from kvproto.classic.disco_names.names import MODULES, exports\n"
        "for name in MODULES:\n"
        "    module = importlib.import_module(name)\n"
        "    names = exports(name)\n"
        "    assert module.__all__ == sorted(names)\n"
        "    for export, source in names.items():\n"
        "        assert getattr(module, export) is getattr(source, export), (name, export)\n"
        "print('all of', len(MODULES))"
    )
    assert printed(code) == f"all of {len(MODULES)}\n"


@pytest.mark.parametrize(
    "statement",
    [
        "from disco.core import Disco, DiscoError, Job, JobError, Params, "
        "result_iterator, classic_iterator",
        "from disco.ddfs import DDFS, canonizetag, istag, tagname",
        "from disco.task import Task, get, put, this_partition",
        "from disco.job import Job, JobChain",
        "from disco.worker import Worker",
        "from disco.worker.classic.worker import Params, Worker, get, put, this_host, this_name",
        "from disco.worker.classic.func import chain_reader, nop_map, nop_reduce, "
        "sum_combiner, sum_reduce",
        "from disco.func import chain_reader, default_partition, map_line_reader, "
        "notifier, nop_reduce, re_reader",
        "from disco.worker.task_io import gzip_reader, task_input_stream, "
        "task_output_stream, InputStream",
        "from disco.util import external, iterify, jobname, kvgroup, parse_dir, "
        "schemesplit, shuffled, urlsplit",
        "from disco.error import CommError, DataError, DiscoError, JobError",
        "from disco.compat import BytesIO, StringIO, bytes_to_str, http_server, "
        "pickle_loads, str_to_bytes",
        "from disco.fileutils import DiscoOutputStream",
        "from disco.settings import DiscoSettings",
        "from disco.schemes import open, scheme_file, scheme_raw; "
        "scheme_raw.input_stream; open('raw://x')",
        "from disco.test import FailedReply, TestCase, TestJob, TestServer",
        "from disco.worker.classic import external, func, modutil, netstring, worker; "
        "external.package",
        "from disco.worker.classic.func import *; nop_map, chain_reader",
        "import disco, disco.worker.classic.func as func; "
        "disco.worker.classic.func.nop_map; disco.external",
        "from disco import func, util, worker; worker.Worker",
    ],
)
def test_the_imports_of_old_code_work(statement):
    printed(statement)


def test_everything_that_is_gone_says_so_by_name_with_what_to_use():
    code = (
        "import json\n"
        "from kvproto.classic.disco_names.names import GONE, MODULES\n"
        "PACKAGES = {'', *(module.rpartition('.')[0] for module in MODULES)}\n"
        "said = {}\n"
        "for name in GONE:\n"
        "    parent, dot, child = name.rpartition('.')\n"
        "    hows = ['import ' + name] * (child == child.lower() and parent in PACKAGES) "
        "+ [f'from {parent} import {child}'] * bool(dot)\n"
        "    for how in hows:\n"
        "        try:\n"
        "            exec(how)\n"
        "        except ImportError as e:\n"
        "            said[how] = str(e), e.name\n"
        "print(json.dumps(said))"
    )
    said = json.loads(printed(code))
    assert {
        ".".join(how.replace("from ", "").replace("import ", "").split()) for how in said
    } == set(GONE)
    for how, (text, name) in said.items():
        words = how.replace("from ", "").replace("import ", "").split()
        assert name == ".".join(words)
        assert text == f"{name} is not part of kvproto; {GONE[name]}"


def test_nothing_is_both_there_and_gone():
    assert set(MODULES) & set(GONE) == set()
    for name in GONE:
        parent, _, child = name.rpartition(".")
        if parent in MODULES:
            assert child not in exports(parent), name


def test_what_is_below_something_gone_is_gone_with_it():
    done = python("-c", INSTALL + "from disco.worker.pipeline.worker import Worker")
    assert "disco.worker.pipeline is not part of kvproto" in done.stderr


def test_a_name_that_never_was_there_is_an_error_with_those_that_are():
    done = python("-c", INSTALL + "from disco.error import DisoError")
    assert done.stderr.endswith(
        "ImportError: kvproto has no 'DisoError' in disco.error; it has CommError, "
        "DataError, DiscoError, JobError\n"
    )
    done = python("-c", INSTALL + "from disco import jobs")
    assert "kvproto has no 'jobs' in disco; it has compat, core, " in done.stderr


def test_an_attribute_that_is_gone_is_an_attribute_error_that_says_so():
    code = "import disco.util\nassert not hasattr(disco.util, 'proxy_url')\ndisco.util.proxy_url"
    done = python("-c", INSTALL + code)
    assert done.stderr.splitlines()[-1].startswith(
        "AttributeError: disco.util.proxy_url is not part of kvproto; "
    )


def test_the_errors_of_kvproto_are_caught_by_their_old_names():
    code = (
        "from disco.error import CommError, DataError, DiscoError\n"
        "from disco.job import Job\n"
        "for error in (DataError, DiscoError, CommError):\n"
        "    try:\n"
        "        Job().run(input=['/no/such/file'], map=lambda e, params: [])\n"
        "    except error as e:\n"
        "        print(type(e).__name__)\n"
        "e = DataError('was cut', 'http://here', 404)\n"
        "print(e, e.url, e.code, e.msg)"
    )
    assert printed(code).splitlines() == ["DataError"] * 3 + [
        "was cut: http://here http://here 404 was cut"
    ]


# --- who wins -----------------------------------------------------------------------------------


def test_a_real_package_wins_with_all_its_modules(tmp_path):
    (tmp_path / "disco").mkdir()
    (tmp_path / "disco" / "__init__.py").write_text("")
    (tmp_path / "disco" / "util.py").write_text("there = 'the real one'\n")
    assert printed("import disco.util\nprint(disco.util.there)", cwd=tmp_path) == "the real one\n"
    done = python("-c", INSTALL + "import disco.core", cwd=tmp_path)
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'disco.core'\n")


def test_a_mere_directory_of_that_name_is_no_package(tmp_path):
    (tmp_path / "disco").mkdir()
    assert (
        printed("import disco.util\nprint(disco.util.kvgroup.__module__)", cwd=tmp_path)
        == "kvproto.classic.util\n"
    )


def test_without_install_there_are_no_old_names():
    assert python("-c", "import kvproto.classic.disco_names, disco").stderr.endswith(
        "No module named 'disco'\n"
    )


# --- whole scripts ------------------------------------------------------------------------------

SCRIPT = """
import sys
from disco.core import Job, result_iterator
import beside

def map(line, params):
    from disco.compat import bytes_to_str
    for word in bytes_to_str(line).split():
        yield beside.folded(word), 1

def reduce(iter, params):
    from disco.util import kvgroup
    for word, counts in kvgroup(sorted(iter)):
        yield word, sum(counts)

if __name__ == '__main__':
    job = Job().run(input=sys.argv[1:], map=map, reduce=reduce)
    for word, count in result_iterator(job.wait()):
        print(word, count)
"""
BESIDE = "from disco.util import identity\ndef folded(word):\n    return identity(word.lower())\n"


@pytest.fixture
def old_script(tmp_path):
    """A script for the original, and a module beside it that imports from disco too; returns their
    directory.
    """
    directory = tmp_path / "old"
    directory.mkdir()
    (directory / "count.py").write_text(SCRIPT)
    (directory / "beside.py").write_text(BESIDE)
    return directory


def test_a_script_runs_unchanged_with_its_arguments_and_the_modules_beside_it(old_script):
    done = aliased(old_script / "count.py", "raw://The rain", "raw://the snow")
    assert (done.stdout, done.stderr) == ("rain 1\nsnow 1\nthe 2\n", "")


def test_a_module_runs_unchanged(old_script):
    done = aliased("-m", "count", "raw://The rain", "raw://the snow", cwd=old_script)
    assert (done.stdout, done.stderr) == ("rain 1\nsnow 1\nthe 2\n", "")


def test_a_script_or_module_is_main_with_its_own_arguments_and_path(tmp_path):
    (tmp_path / "me.py").write_text(
        "import sys, __main__\n"
        "print(__name__, __file__, sys.argv, sys.path[0], __main__.__dict__ is "
        "globals())\nsys.exit(3)\n"
    )
    done = aliased(tmp_path / "me.py", "-m", "x")
    path = str(tmp_path / "me.py")
    assert (done.stdout, done.returncode) == (
        f"__main__ {path} {[path, '-m', 'x']} {tmp_path} True\n",
        3,
    )
    done = aliased("-m", "me", "-m", "x", cwd=tmp_path)
    assert (done.stdout, done.returncode) == (
        f"__main__ {path} {[path, '-m', 'x']} {tmp_path} True\n",
        3,
    )


def test_without_a_script_there_is_a_usage():
    for arguments in ((), ("-m",), ("-x",)):
        done = aliased(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("usage: python -m kvproto.classic.alias [--bytes] SCRIPT.py")


def test_a_script_that_is_not_there_is_one_line():
    done = aliased("no_such.py")
    assert (done.returncode, done.stderr) == (1, "kvproto: there is no script no_such.py\n")


def test_run_finds_jobs_that_import_the_old_names(tmp_path):
    (tmp_path / "grep.py").write_text(
        "from disco.job import Job\n"
        "from disco.worker.classic.func import nop_map\n"
        "class Grep(Job):\n"
        "    map = staticmethod(nop_map)\n"
        "    def map_reader(fd, size, url, params):\n"
        "        for line in fd:\n"
        "            if 'rain' in line:\n"
        "                yield url, line\n"
    )
    done = kvproto_command("run", "grep.Grep", "raw://the rain", "raw://the snow", cwd=tmp_path)
    assert done.stdout == b"raw://the rain\tthe rain\n"
