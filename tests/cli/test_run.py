"""`kvproto run`, as a user runs it: its options, and the forms and files of the results."""

import json
import os
import re
import select
import signal
import subprocess

import pytest
from support.command_line import command_line, kvproto_command
from support.jobs import COUNT, program

import kvproto
from kvproto import cli
from kvproto.classic.progress import KINDS
from kvproto.forms import WRITERS

pytestmark = pytest.mark.slow

MODULE = """
import glob, os, time
from kvproto.classic import Job
from kvproto.classic.func import nop_map

class Grep(Job):
    map = staticmethod(nop_map)
    params = r''

    def map_reader(fd, size, url, params):
        import re
        pattern = re.compile(params)
        for line in fd:
            if pattern.match(line):
                yield url, line

def lengths(line, params):
    yield line.rstrip(), len(line)

def total(pairs, params):
    yield "total", sum(value for key, value in pairs)

def to_last(key, n, params):
    return n - 1

def give(line, params):
    yield eval(line)

def swapped(pairs, params):
    return [(value, key) for key, value in pairs]

def wait(path, params):
    with open(path, "w") as file:
        print("it runs", file=file, flush=True)
        while True:
            time.sleep(1)

def meet(pairs, params):
    open(f"met-{os.getpid()}", "w").close()
    end = time.monotonic() + 20
    while len(glob.glob("met-*")) < int(params):
        assert time.monotonic() < end, "the other tasks do not come"
        time.sleep(0.01)
    yield "met", 1

ready = Job("ready")
ready.map = lengths
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The working directory of the commands: a module with jobs, an input; a home of their own for
    the jobs.
    """
    monkeypatch.setenv("KVPROTO_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.py").write_text(MODULE)
    (tmp_path / "input").write_text("one\nthree\n")
    return tmp_path


def run(*arguments):
    return kvproto_command("run", *arguments, cwd=os.getcwd())


def written(*arguments):
    """What comes out of a job that has to be done and to say nothing."""
    done = run("-q", *arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def refused(*arguments, status=1):
    """What stderr says of a run that must not work."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (status, b"")
    return done.stderr.decode()


def when_written(pipe):
    """What somebody writes to a named pipe, as soon as it is there."""
    fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert select.select([fd], [], [], 30)[0], "nobody wrote"
        return os.read(fd, 1000)
    finally:
        os.close(fd)


def jobs(here):
    return sorted(os.listdir(here / "home" / "jobs"))


# --- parameters ----------------------------------------------------------------------------------


def test_grep_runs_as_documented(here):
    path = str(here / "input")
    assert written("here.Grep", "-P", "params", "th.ee", "input") == f"{path}\tthree\n\n".encode()


@pytest.mark.parametrize("value", ["-v", "--out", "--", "-P", "-1"])
def test_a_value_may_begin_with_a_dash(here, value):
    (here / "input").write_text(f"{value}\nother\n")
    assert (
        written("here.Grep", "-P", "params", value, "input")
        == f"{here}/input\t{value}\n\n".encode()
    )


def test_inputs_may_stand_before_and_behind_options(here):
    (here / "other").write_text("other\n")
    assert (
        written("here.ready", "input", "-n", "x", "other").split()
        == b"one 4 three 6 other 6".split()
    )


def test_an_instance_in_the_module_is_a_job_too(here):
    assert written("here.ready", "input") == b"one\t4\nthree\t6\n"
    assert jobs(here)[0].startswith("ready@")


@pytest.mark.parametrize(
    "flags", [(["-m"], ["-r"]), (["--map"], ["--reduce"]), (["-P", "map"], ["-P", "reduce"])]
)
def test_map_and_reduce_are_dotted_names_of_functions(flags):
    options = [*flags[0], "here.lengths", *flags[1], "here.total"]
    assert written("kvproto.classic.Job", *options, "input") == b"total\t10\n"


def test_map_and_reduce_are_paths_of_programs(here):
    program(here, COUNT, "words.py")  # found as a file though it looks like a dotted name
    assert (
        written("kvproto.classic.Job", "-m", "words.py", "-r", "./words.py", "input")
        == b"one\t1\nthree\t1\n"
    )


def test_a_reduce_can_be_taken_away():
    assert (
        written("here.ready", "-r", "here.total", "-P", "reduce", "None", "input")
        == b"one\t4\nthree\t6\n"
    )


def test_numbers_and_functions_are_taken_by_the_kind_of_the_parameter(here):
    written(
        "here.ready",
        "-P",
        "partition",
        "here.to_last",
        "-r",
        "here.total",
        "--partitions",
        "3",
        "-n",
        "three",
        "input",
    )
    results = here / "home" / "jobs" / jobs(here)[0] / "results"
    assert jobs(here)[0].startswith("three@") and len(os.listdir(results)) == 3


def test_as_many_tasks_as_asked_for_run_at_a_time():
    n = os.cpu_count() + 1  # not what it would be unasked
    options = ["-r", "here.meet", "--partitions", n, "-P", "params", n, "-j", n]
    assert written("here.ready", *options, "input") == b"met\t1\n" * n


@pytest.mark.parametrize(
    "arguments, says",
    [
        (
            ["-P", "partition", "lengths"],
            "partition: lengths: write module.function, as in kvproto.classic.func.nop_map",
        ),
        (["-m", "here.nothing"], "has no nothing"),
        (["-m", "here.ready"], "ready in .*here.py is not a function"),
        (["-r", "./no_such"], r"\./no_such: there is no such file"),
        (["--partitions", "many"], "partitions must be a number, True, False or None, not 'many'"),
        (["-P", "partition_s", "1"], "no parameter 'partition_s'; did you mean 'partitions'"),
    ],
)
def test_a_parameter_that_is_wrong_is_one_clear_line(here, arguments, says):
    said = refused("here.ready", *arguments, "input")
    assert re.match(f"kvproto: .*{says}", said) and "Traceback" not in said
    assert not (here / "home").exists()


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["-P", "params"], "'params' is not KEY=VALUE"),
        (["-j", "none"], "0 or more"),
        (["--out", "lines"], "invalid choice"),
        (["--bogus", "input"], "unrecognized arguments: --bogus"),
        (["--quiet", "--progress", "plain"], "not allowed with"),
    ],
)
def test_wrong_usage_is_status_2(arguments, says):
    assert says in refused("here.ready", *arguments, status=2)


def test_a_parameter_without_effect_is_one_plain_line(here):
    done = run("-q", "here.ready", "-P", "nr_maps=3", "input")
    assert done.returncode == 0
    assert re.fullmatch(rb"kvproto: the parameter 'nr_maps' has no effect here: .*\n", done.stderr)


def test_only_the_job_is_required():
    assert refused(status=2).endswith("the following arguments are required: MODULE.CLASS\n")


def test_the_choices_are_those_that_there_are():
    assert (
        KINDS,
        (*WRITERS, "kv"),
    ) == (cli.run.PROGRESS, cli.shared.FORMS)  # said twice, so that `kvproto map` imports no jobs


def test_the_kinds_of_progress(here):
    assert run("here.ready", "--progress", "none", "input").stderr == b""
    assert run("here.ready", "--progress", "plain", "input").stderr.startswith(
        b"map    1/1 tasks  100 %  10 bytes, 2 items"
    )
    events = [
        json.loads(line)
        for line in run("here.ready", "--progress", "jsonl", "input").stderr.splitlines()
    ]
    assert (events[0]["event"], events[-1]["event"]) == ("job", "done")


# --- results -------------------------------------------------------------------------------------

PAIR = "b'k\\xff', {'list': [1, None, True, 'x'], 'bytes': b'y'}"


def given(text, *options):
    return ["kvproto.classic.Job", "-m", "here.give", *options, f"raw://{text}"]


def test_text_shows_any_object():
    assert written(*given("(b'\\xff', {1, (2,)}.__class__)")) == b"\xff\t<class 'set'>\n"


@pytest.mark.parametrize("form", cli.shared.FORMS)
def test_a_job_writes_pairs_as_map_does(here, identity, form):
    texts = [("k", "v"), ("k", "v\n"), ("k\n", "v"), ("\n", ""), ("", "\n"), ("a\tb", "c\td\n")]
    pairs = texts + [(key.encode(), value.encode()) for key, value in texts]
    (here / "input").write_text("".join(f"{pair!r}\n" for pair in pairs))
    mapped = kvproto_command(
        *("map", "--in", "kv", "--out", form, "--", identity), stdin=kvproto.encode_pairs(pairs)
    )
    assert mapped.returncode == 0
    assert (
        written("kvproto.classic.Job", "-m", "here.give", "--out", form, "input") == mapped.stdout
    )


def test_text_has_every_byte_of_a_pair_as_it_is():
    assert written(*given("('k\\n', b'v\\t\\xff\\n')")) == b"k\n\tv\t\xff\n\n"


def test_jsonl_has_json_values_as_they_are_and_bytes_as_text_or_base64():
    lines = written(*given(PAIR, "--out", "jsonl"))
    assert json.loads(lines) == [{"base64": "a/8="}, {"list": [1, None, True, "x"], "bytes": "y"}]


def test_jsonl_has_a_name_for_each_float_that_json_lacks():
    text = "float('inf'), {'list': [float('nan'), 1.5], -float('inf'): (float('nan'), b'x')}"
    lines = written(*given(text, "--out", "jsonl"))
    nan = {"float": "nan"}
    assert json.loads(lines) == [{"float": "inf"}, {"list": [nan, 1.5], "-inf": [nan, "x"]}]


def test_kv_is_frames(here):
    program(here, COUNT, "words")
    data = written("kvproto.classic.Job", "-m", "./words", "--out", "kv", "input")
    assert kvproto.decode_pairs(data) == [(b"one", b"1"), (b"three", b"1")]


@pytest.mark.parametrize("form", ["text", "kv"])
def test_a_str_that_stands_for_other_bytes_is_written_as_these(here, form):
    (here / "latin").write_bytes(b"caf\xe9\n")
    assert b"caf\xe9\n" in written("here.Grep", "--out", form, "latin")


@pytest.mark.parametrize(
    "form, text, says",
    [
        (
            "jsonl",
            "'k', {1}",
            "pair 0 of the results (str, set) cannot be written as jsonl: JSON cannot hold set",
        ),
        (
            "kv",
            "'k', 1",
            "pair 0 of the results (str, int) cannot be written as kv: int is neither "
            "bytes nor str",
        ),
    ],
)
def test_a_pair_that_a_form_cannot_hold_is_named_with_its_types(here, form, text, says):
    (here / "out").write_text("as it was")
    assert says in refused("-q", *given(text, "--out", form, "-o", "out"))
    assert (here / "out").read_text() == "as it was"


def test_results_are_written_to_a_file(here):
    assert written("here.ready", "-o", "out", "input") == b""
    assert (here / "out").read_bytes() == b"one\t4\nthree\t6\n"
    assert written("here.ready", "-o", "-", "input") == b"one\t4\nthree\t6\n"


def test_a_job_that_fails_leaves_no_output(here):
    assert "SyntaxError" in refused("-q", *given("no python", "-o", "out"))
    assert [name for name in os.listdir(here) if name.startswith("out")] == []


def test_a_link_stays_one_and_its_file_is_written(here):
    (here / "link").symlink_to("out")
    written("here.ready", "-o", "link", "input")
    assert (here / "link").is_symlink() and (here / "out").read_bytes() == b"one\t4\nthree\t6\n"


def test_a_pipe_is_written_and_not_replaced(here):
    os.mkfifo(here / "pipe")
    with subprocess.Popen(
        command_line("run", "-q", "here.ready", "input", "-o", "pipe")
    ) as process:
        assert when_written(here / "pipe") == b"one\t4\nthree\t6\n"
    assert process.returncode == 0 and (here / "pipe").is_fifo()


@pytest.mark.parametrize(
    "path, says", [("no/such/out", "No such file or directory"), (".", "Is a directory")]
)
def test_an_output_that_cannot_be_written_is_known_before_the_job_runs(here, path, says):
    assert says in refused("here.ready", "-o", path, "input")
    assert not (here / "home").exists()


def test_a_full_device_is_named():
    assert "/dev/full: No space left on device" in refused(
        "-q", "here.ready", "-o", "/dev/full", "input"
    )


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_a_signal_stops_the_job_and_it_says_where_its_logs_are(here, number):
    os.mkfifo(here / "runs")
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background ignores it
    try:
        with subprocess.Popen(
            command_line("run", "here.ready", "-m", "here.wait", "-o", "out", f"raw://{here}/runs"),
            stderr=subprocess.PIPE,
        ) as process:
            assert when_written(here / "runs") == b"it runs\n"
            process.send_signal(number)
            said = process.stderr.read().decode()
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.returncode == -number
    assert "was stopped; its logs are in" in said and "Traceback" not in said
    assert [name for name in os.listdir(here) if name.startswith("out")] == []
