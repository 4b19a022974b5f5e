"""The documentation's own examples, as printed but for what Python 3 wants otherwise and the braces
that they lack.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import kvproto_command
from support.jobs import events, program, results

from kvproto.classic import Job, external, result_iterator
from kvproto.errors import JobError

TEXT = "to be or\nnot to be\n"
COUNTS = {"to": 2, "be": 2, "or": 1, "not": 1}


@pytest.fixture
def poem(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text(TEXT)
    return str(path)


# --- the example functions
# --------------------------------------------------------------------------


def fun_map(e, params):
    return [(w, 1) for w in e.split()]


@pytest.mark.documented(
    "2 reduce: has two parameters and returns an iterator, or three and adds to its output",
    "5 map: the example returns the words of a line",
    "5 reduce: iterates over its input stream, adds to its output stream, gets params",
    "5 reduce: the example counts how often each key occurs",
)
def test_the_documented_map_and_its_reduce_with_three_arguments_count_the_keys(poem):
    def fun_reduce(iter, out, params):
        d = {}
        for k, _v in iter:
            d[k] = d.get(k, 0) + 1
        for k, c in d.items():
            out.add(k, c)

    assert dict(results(input=[poem], map=fun_map, reduce=fun_reduce)) == COUNTS


@pytest.mark.documented(
    "2 reduce: has two parameters and returns an iterator, or three and adds to its output",
    "5 reduce2: has two parameters and returns an iterator of pairs, which go to the output stream",
    "5 reduce2: the example, with kvgroup, counts the values of each key",
)
def test_the_documented_reduce_with_two_arguments_counts_the_values(poem):
    def fun_reduce(iter, params):
        from kvproto.classic import kvgroup  # noqa: PLC0415

        for k, vs in kvgroup(sorted(iter)):
            yield k, sum(1 for v in vs)

    assert results(input=[poem], map=fun_map, reduce=fun_reduce) == sorted(COUNTS.items())


# --- external programs
# ------------------------------------------------------------------------------


@pytest.fixture
def bin_directory(tmp_path, monkeypatch):
    """A working directory with bin/external_map, which answers with bin/config.txt."""
    (tmp_path / "bin").mkdir()
    body = "for key, value in pairs():\n    answer((open('config.txt', 'rb').read(), value))\n"
    program(tmp_path / "bin", body, "external_map")
    (tmp_path / "bin" / "config.txt").write_text("configured")
    monkeypatch.chdir(tmp_path)


@pytest.mark.documented(
    '12 a dictionary replaces the function; its key "op" is the executable',
    "12 other keys are names, not paths, of files; the values are their contents",
)
@pytest.mark.filterwarnings(
    "ignore:unclosed file:ResourceWarning"
)  # the files, opened as the documentation does it
def test_an_external_task_is_a_dictionary_of_op_and_its_files(bin_directory):
    fun_map = {
        "op": Path("bin/external_map").read_text(),
        "config.txt": Path("bin/config.txt").read_text(),
    }
    assert results(input=["raw://x"], map=fun_map) == [(b"configured", b"x")]


@pytest.mark.documented(
    "12 external() makes the dictionary of paths",
    "14 a map gets a configuration file in this way",
)
def test_external_makes_that_dictionary_of_paths_whatever_directories_they_are_in(bin_directory):
    assert results(input=["raw://x"], map=external(["bin/external_map", "bin/config.txt"])) == [
        (b"configured", b"x")
    ]


DOCUMENTED_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int read_kv(char **key, char **val)
{
        unsigned int len;
        *key = *val = NULL;
        /* read key */
        if (!fread(&len, 4, 1, stdin))
                return 0;
        if (len){
                *key = malloc(len);
                fread(*key, len, 1, stdin);
        }
        /* read value */
        fread(&len, 4, 1, stdin);
        if (len){
                *val = malloc(len);
                fread(*val, len, 1, stdin);
        }
        return 1;
}

void msg(const char *msg){
     fprintf(stderr, "**<MSG> %s\n", msg);
}

void die(const char *msg){
     fprintf(stderr, "**<ERR> %s\n", msg);
     exit(1);
}

void write_item(const char *data, unsigned int len)
{
        fwrite(&len, 4, 1, stdout);
        fwrite(data, len, 1, stdout);
}

int main(int argc, char **argv)
{
        char *key, *val, parameters[2];
        unsigned int one = 1;
        fread(parameters, 2, 1, stdin);
        if (argc != 2)
                die("started with other than one argument");
        while (read_kv(&key, &val)){
                if (val && *val == '!')
                        die("an exclamation mark");
                fwrite(&one, 4, 1, stdout);
                write_item(argv[1], strlen(argv[1]));
                write_item(val, val ? 1 : 0);
                fflush(stdout);
                free(key);
                free(val);
        }
        msg("all read");
        return 0;
}
"""
"""Answers each pair with its argument and the first byte of the value."""


@pytest.fixture(scope="module")
def documented_c(tmp_path_factory):
    """The documented C functions as a worker that links nothing of ours."""
    directory = tmp_path_factory.mktemp("documented")
    (directory / "worker.c").write_text(DOCUMENTED_C)
    subprocess.run(["cc", "-w", "-o", directory / "worker", directory / "worker.c"], check=True)
    return external([directory / "worker"])


@pytest.mark.documented(
    "7 the C functions as printed read all pairs in a loop, whatever their bytes",
    "10 MSG and ERR lines have the printed form",
)
def test_the_documented_c_functions_are_a_map_and_a_reduce_with_messages(documented_c, poem):
    job = Job("c").run(input=[poem], map=documented_c, reduce=documented_c)
    assert list(result_iterator(job.wait())) == [(b"reduce", b"t"), (b"reduce", b"n")]
    assert [event["text"] for event in events(job) if event["event"] == "message"] == [
        "all read",
        "all read",
    ]


@pytest.mark.documented("10 MSG and ERR lines have the printed form")
def test_the_documented_die_fails_the_job_with_its_message(documented_c):
    job = Job("c").run(input=["raw://!"], map=documented_c)
    with pytest.raises(JobError, match="an exclamation mark"):
        job.wait()


# --- with the imports as printed
# --------------------------------------------------------------------

GREP = """
from disco.job import Job
from disco.worker.classic.func import nop_map

class Grep(Job):
    map = staticmethod(nop_map)
    params = r''

    def map_reader(fd, size, url, params):
        import re
        pattern = re.compile(params)
        for line in fd:
            if pattern.match(line):
                yield url, line
"""


@pytest.mark.slow
@pytest.mark.documented(
    "1 the grep example runs as printed",
    "1 the shell runs a job by its module and class, found on sys.path, with a parameter; "
    "inputs are tags, urls or paths",
)
def test_the_documented_grep_runs_from_the_shell_as_documented(tmp_path, poem):
    (tmp_path / "grep.py").write_text(GREP)
    (tmp_path / "tagged.txt").write_text("no match\nnot this one either\nto match\n")
    put = kvproto_command("tag", "put", "some:text", tmp_path / "tagged.txt")
    assert put.returncode == 0, put.stderr
    done = kvproto_command(
        "run", "grep.Grep", "-P", "params", "to|not to", "tag://some:text", poem, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = [line.partition(b"\t")[2] for line in done.stdout.splitlines() if line]
    assert sorted(lines) == [b"not to be", b"to be or", b"to match"]


WITH_OLD_IMPORTS = """
import sys
from disco.core import Job, result_iterator
from disco.util import external

def fun_map(e, params):
    return [(w, 1) for w in e.split()]

def fun_reduce(iter, params):
    from disco.util import kvgroup
    for k, vs in kvgroup(sorted(iter)):
        yield k, sum(1 for v in vs)

print(*result_iterator(Job().run(input=[sys.argv[1]], map=fun_map, reduce=fun_reduce).wait()))
fun_map = external(["bin/external_map", "bin/config.txt"])
print(*result_iterator(Job().run(input=["raw://x"], map=fun_map).wait()))
"""


@pytest.mark.slow
@pytest.mark.documented("5 reduce2: the example, with kvgroup, counts the values of each key")
def test_the_documented_examples_run_with_their_imports_too(bin_directory, poem):
    Path("script.py").write_text(WITH_OLD_IMPORTS)
    command = [sys.executable, "-m", "kvproto.classic.alias", "script.py", poem]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (
        "('be', 2) ('not', 1) ('or', 1) ('to', 2)\n(b'configured', b'x')\n",
        "",
    )
