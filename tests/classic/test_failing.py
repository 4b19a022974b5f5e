"""How a job of Python functions fails: what the error names, and what is left of the job."""

import faulthandler
import http.server
import os
import re
import signal
import sys
import threading
from pathlib import Path

import pytest
from support.jobs import KEPT, events, words

from kvproto.classic import Job, result_iterator
from kvproto.classic.func import nop_map, sum_reduce
from kvproto.errors import DataError, FilesError, JobError

pytestmark = pytest.mark.slow


def failure(**jobargs):
    job = Job("bad").run(**jobargs)
    with pytest.raises(JobError) as caught:
        job.wait()
    return job, caught.value


@pytest.mark.parametrize("status_interval", [0, 7, 5000])
def test_an_error_names_its_entry_though_others_are_read_ahead(tmp_path, status_interval):
    def map(line, params):
        yield int(line), 1

    path = tmp_path / "text"
    path.write_text("".join(f"{number}\n" for number in range(5000)) + "none\n" + "1\n" * 5000)
    _, error = failure(input=[str(path)], map=map, status_interval=status_interval)
    assert "entry: number 5000 of this task, counted from 0: 'none\\n'" in str(error)
    assert f"input: {path}, line 5001, bytes 23890 to 23895\n" in str(error)


def test_a_map_that_raises_fails_the_job_with_traceback_input_and_entry(tmp_path):
    path = tmp_path / "text"
    path.write_text("1\n2\nthree\n")

    def number(line, params):
        return [(int(line), 1)]

    job, error = failure(input=[str(path)], map=number)
    said = str(error)
    assert f"job {job.job} failed: task map:0 failed:" in said
    assert "in number" in said and "ValueError: invalid literal for int()" in said
    assert (
        f"input: {path}, line 3, bytes 4 to 10\n" in said
        and "entry: number 2 of this task, counted from 0: 'three\\n'" in said
    )
    assert job.directory in said
    assert isinstance(error.__cause__, ValueError)
    assert (error.task, error.input, error.line) == (("map", 0), str(path), 3)


def test_a_crash_in_a_job_function_shows_its_stack():
    def crash(line, params):
        faulthandler._sigsegv()

    _, error = failure(input=["raw://a"], map=crash, attempts=1)
    assert "was killed by SIGSEGV; the end of its log" in str(error)
    assert re.search(r'File ".*", line \d+ in crash\n', str(error))


def test_the_exit_of_a_job_function_is_an_error_at_its_entry():
    def leave(line, params):
        sys.exit("no")

    _, error = failure(input=["raw://a"], map=leave)
    assert "SystemExit: no\ninput: raw://a" in str(error)
    assert "entry: number 0 of this task, counted from 0: 'a'" in str(error)


def test_the_types_that_kvproto_takes_are_no_advice_about_text():
    _, error = failure(input=["raw://a"], map=lambda line, params: [([line], 1)], partitions=2)
    assert "takes keys that are str, bytes" in str(error) and "text=False" not in str(error)


def fails_at_777(line, params):
    if int(line) == 777:
        raise ValueError("it is 777")
    yield line, 1


def gives_three_at_777(line, params):
    yield (line, 1, 2) if int(line) == 777 else (line, 1)


def has_no_777(key, n, params):
    return n if int(key) == 777 else 0


EXACTLY = r"entry: number 777 of this task, counted from 0: '777\\n'"
BEFORE = r"input: .*/text\nentry: at or before number (\d+) of this task, counted from 0\n"


@pytest.mark.parametrize(
    "functions, place",
    [
        ({"map": fails_at_777}, EXACTLY),
        (
            {"map": lambda line, params: fails_at_777(line, params) if line == "777\n" else []},
            EXACTLY,
        ),
        ({"map": lambda line, params: 7 if line == "777\n" else [(line, 1)]}, EXACTLY),
        ({"map": gives_three_at_777}, BEFORE),
        ({"map": nop_map, "partition": has_no_777}, BEFORE),
        ({"map": nop_map, "combiner": lambda key, *_: [1] if key == "777\n" else None}, BEFORE),
        (
            {
                "map": lambda line, params: [
                    (line, os.chdir if line != "777\n" else (_ for _ in ()))
                ]
            },
            BEFORE,
        ),
    ],
)
def test_the_entry_that_an_error_names_is_the_one_or_said_to_be_at_most_behind_it(
    tmp_path, functions, place
):
    path = tmp_path / "text"
    path.write_text("".join(f"{number}\n" for number in range(100_000)))
    _, error = failure(input=[str(path)], partitions=2, **functions)
    found = re.search(place, str(error))
    assert found, str(error)
    if found.groups():
        assert 777 <= int(found[1]) < 3000


def test_a_reader_that_raises_says_behind_how_many_entries():
    def reader(fd, size, url, params):
        yield from "abc"
        raise KeyError("no d")

    _, error = failure(input=["raw://x"], map=nop_map, map_reader=reader)
    assert "KeyError: 'no d'\ninput: raw://x, after 3 entries of this task" in str(error)


def test_an_output_that_cannot_be_written_blames_no_entry():
    def map(line, params):
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        for number in range(100_000):
            yield number, f"{number:100}"

    _, error = failure(input=["raw://x"], map=map)
    assert (
        "File too large" in str(error) and "entry" not in str(error) and "raw://x" not in str(error)
    )


def test_a_reduce_that_raises_names_its_partition():
    def faulty(iter, params):
        raise KeyError("lost")

    _, error = failure(input=["raw://x"], map=words, reduce=faulty)
    assert "task reduce:0 failed" in str(error) and "KeyError: 'lost'\npartition: 0" in str(error)


def test_a_failed_job_leaves_no_results_but_its_events_and_logs():
    def half(line, params):
        yield line, 1
        raise ValueError("half way")

    job, _ = failure(input=["raw://x"], map=half)
    assert sorted(os.listdir(job.directory)) == sorted([*KEPT, "failed"])
    assert [event["event"] for event in events(job)] == ["job", "stage", "failed"]
    assert "half way" in events(job)[-1]["text"]


def test_an_input_that_fails_once_is_tried_again(tmp_path):
    mark = tmp_path / "mark"

    def reader(fd, size, url, params):
        yield "first"
        if not mark.exists():
            mark.touch()
            raise DataError("the disk hiccuped")
        yield "second"

    job = Job("again").run(input=["raw://x"], map=nop_map, map_reader=reader)
    assert [key for key, _ in result_iterator(job.wait())] == ["first", "second"]


def test_an_input_that_always_fails_fails_the_job_after_three_attempts():
    def reader(fd, size, url, params):
        raise DataError("unreadable")
        yield

    job, error = failure(input=["raw://x"], map=nop_map, map_reader=reader)
    assert (
        "failed after 3 attempts; the error of the last one:\nDataError: unreadable\ninput: raw://x"
        in str(error)
    )
    assert [event["event"] for event in events(job)].count("retry") == 2


def test_a_page_that_is_not_there_is_asked_for_once():
    asked = []

    class Missing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Missing) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        url = f"http://127.0.0.1:{server.server_port}/page"
        _, error = failure(input=[url], map=words)
        server.shutdown()
        serving.join()
    assert f"task map:0 failed:\nJobError: input {url}: HTTP Error 404" in str(error)
    assert asked == ["/page"]


def test_an_input_that_cannot_be_read_is_named():
    _, error = failure(input=["/proc/self/mem"], map=words)  # its first page gives EIO
    assert "failed after 3 attempts" in str(
        error
    ) and "DataError: input /proc/self/mem: Input/output error" in str(error)


def test_a_missing_input_is_named_before_anything_runs(home):
    with pytest.raises(DataError, match="input /no/such/file: No such file"):
        Job("missing").run(input=["raw://x", "/no/such/file"], map=words)
    assert not home.exists()


@pytest.mark.documented('12 a dictionary replaces the function; its key "op" is the executable')
@pytest.mark.parametrize(
    "jobargs, error, says",
    [
        (
            {"map": words, "redcue": sum_reduce},
            TypeError,
            "no parameter 'redcue'; did you mean 'reduce'",
        ),
        ({"map": words, "partitions": 0}, ValueError, "partitions must be a number from 1"),
        (
            {"map": "words"},
            TypeError,
            "map must be a function or an external program, not 'words'; "
            "external\\(\\[path\\]\\) packages a program",
        ),
        ({"map": words, "partition": 3}, TypeError, "partition must be a function, not 3"),
        ({"map": {"program": b""}}, FilesError, "without 'op'"),
        (
            {"map": {"op": b""}, "ext_params": 3},
            TypeError,
            "ext_params: parameters must be a dict, str, bytes or None, not int",
        ),
        (
            {"map": {"op": b""}, "ext_params": {"n": 3}},
            TypeError,
            "ext_params: the value of parameter 'n' must be",
        ),
        (
            {"map": {"op": b""}, "ext_params": {"a": "1", b"a": "2"}},
            ValueError,
            "ext_params: .* occurs twice",
        ),
        ({}, JobError, "neither map nor reduce"),
        (
            {"map": lambda line: []},
            TypeError,
            r"map is called as map\(entry, params\), but .*<lambda> takes \(line\)",
        ),
        (
            {"map": words, "combiner": lambda k, v, p: []},
            TypeError,
            r"combiner is called as .* takes \(k, v, p\)",
        ),
        (
            {"reduce": lambda pairs: []},
            TypeError,
            r"reduce\(iter, params\) or reduce\(iter, out, params\), but .* takes \(pairs\)",
        ),
        (
            {"map": words, "input": ["raw://x", 3]},
            TypeError,
            r"input must be a list of urls, .* not \['raw://x', 3\]",
        ),
        ({"map": words, "input": ["raw://x", ""]}, DataError, "an input is an empty str"),
    ],
)
def test_a_wrong_parameter_is_refused_at_once(jobargs, error, says, home):
    with pytest.raises(error, match=says):
        Job("wrong").run(**{"input": ["raw://x"], **jobargs})
    assert not home.exists()


def test_a_job_without_input_says_so():
    with pytest.raises(JobError, match="job test has no input"):
        Job("test").run(map=words)


@pytest.mark.documented(
    "5 partition: gets key, number and params, and returns an integer below the number"
)
@pytest.mark.parametrize(
    "functions, says",
    [
        (
            {"map": lambda line, params: ["word"]},
            "returned 'word', which is not a \\(key, value\\) pair",
        ),
        ({"map": lambda line, params: [("a", 1, 2)]}, "returned \\('a', 1, 2\\), which is not a"),
        (
            {"map": lambda line, params: None},
            r"lambda> returned None: it must yield \(key, value\) pairs, or return a list",
        ),
        ({"map": nop_map, "map_reader": lambda *_: None}, r"lambda> returned None for the input"),
        (
            {"map": words, "combiner": lambda *_: 7},
            r"lambda> returned 7: it must yield \(key, value\) pairs",
        ),
        (
            {"map": words, "reduce": lambda iter, params: 5},
            r"lambda> returned 5: it must yield \(key, value\) pairs",
        ),
        (
            {"map": words, "partition": lambda key, n, params: n},
            "returned 2 for the key 'x': a partition must be an int from 0 to 1",
        ),
        (
            {"map": words, "reduce": lambda iter, params: None},
            r"lambda> returned None: it must yield \(key, value\) pairs",
        ),
        (
            {"map": lambda line, params: [("k", (x for x in ()))]},
            "returned a pair that cannot be pickled: pair 0: .'k', <generator",
        ),
        ({"map": lambda line, params: [(["x"], 1)]}, "not list: give the job a partition function"),
    ],
)
def test_a_function_that_gives_the_wrong_thing_is_named(functions, says):
    job, error = failure(input=["raw://x"], partitions=2, **functions)
    assert re.search(says, str(error))
    assert "Traceback" not in str(error)  # it would show nothing of the user's own
    assert any("Traceback" in log.read_text() for log in Path(job.directory, "logs").iterdir())


@pytest.mark.documented("2 params: are sent pickled; an error names what cannot be pickled")
def test_what_cannot_travel_to_a_task_says_so():
    lock = threading.Lock()
    _, error = failure(input=["raw://x"], map=lambda line, params: [(lock, 1)])
    assert "cannot be sent to its task processes" in str(error)


def test_a_killed_reduce_process_is_told_with_its_partition(tmp_path):
    def reduce(entries, params):
        os.kill(os.getpid(), signal.SIGKILL)

    _, error = failure(input=["raw://a"], map=words, reduce=reduce, attempts=1)
    assert "was killed by SIGKILL" in str(error) and "\npartition: 0\n" in str(error)
