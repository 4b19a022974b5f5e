"""Counters: what job functions and programs count, summed over the attempts that succeeded."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command_line import kvproto_command
from support.jobs import ECHO, events, program

from kvproto.classic import Job, external
from kvproto.engine.counters import MAX_COUNTERS
from kvproto.errors import JobError
from kvproto.protocol.messages import Message, parse_count

NUMBERS = st.integers(min_value=-(2**63), max_value=2**63 - 1)


@pytest.mark.slow
@pytest.mark.clause("STDERR-9")
@given(name=st.from_regex(r"[A-Za-z0-9_.:-]{1,128}", fullmatch=True), n=NUMBERS)
def test_a_count_is_a_name_and_a_number(name, n):
    assert parse_count(Message("MSG", f"count {name} {n}".encode())) == (name, n)


@pytest.mark.clause("STDERR-9")
@pytest.mark.parametrize(
    "text",
    [
        *("count", "count x", "count x ", "count x y", "count x 1 ", "count  x 1", " count x 1"),
        *("count x +1", "count x 1.5", "count x --1", "count x/y 1", "count x 1\r", "Count x 1"),
        *(f"count {'x' * 129} 1", f"count x {2**63}", f"count x {'0' * 19}1", "count x \u0661"),
    ],
)
def test_what_is_not_quite_a_count_is_an_ordinary_message(text):
    assert parse_count(Message("MSG", text.encode())) is None


@pytest.mark.parametrize("kind", ["", "ERR"])
def test_only_a_message_counts(kind):
    assert parse_count(Message(kind, b"count x 1")) is None


def count_lines(line, params):
    count("lines")  # noqa: F821
    count("letters", len(line.rstrip()))  # noqa: F821
    count("debt", -2)  # noqa: F821
    yield line, 1


def test_functions_count_in_all_tasks_and_the_command_prints_the_sums():
    def reduce(iter, params):
        for key, n in iter:
            count("reduced", n)  # noqa: F821
            yield key, n

    job = Job("counts").run(input=["raw://ab", "raw://cde"], map=count_lines, reduce=reduce)
    job.wait()
    sums = {"lines": 2, "letters": 5, "debt": -4, "reduced": 2}
    assert job.counters() == sums
    assert [e["counters"] for e in events(job) if e["event"] == "counters"] == [sums]
    done = kvproto_command("counters", job.name)
    assert done.stdout == b"debt\t-4\nletters\t5\nlines\t2\nreduced\t2\n"


def test_a_program_counts_by_messages_that_are_not_shown(tmp_path):
    counts = "**<MSG> count x 3\n**<MSG> count x -1\n**<MSG> count y\n"
    body = f"sys.stderr.write({counts!r})\n" + ECHO
    job = Job("program").run(input=["raw://x"], map=external([program(tmp_path, body)]))
    job.wait()
    assert job.counters() == {"x": 2}
    assert [e["text"] for e in events(job) if e["event"] == "message"] == ["count y"]


def test_an_attempt_that_fails_does_not_count(tmp_path):
    body = (
        f"first = not os.path.exists({str(tmp_path / 'ran')!r})\n"
        f"open({str(tmp_path / 'ran')!r}, 'w').close()\n"
        "sys.stderr.write('**<MSG> count attempts 1\\n')\n"
        "sys.stderr.flush()\n"
        "if first: os._exit(3)\n" + ECHO
    )
    worker = external([program(tmp_path, "import os\n" + body)])
    job = Job("again").run(input=["raw://x"], map=worker, attempts=2)
    job.wait()
    assert [e["attempt"] for e in events(job) if e["event"] == "retry"] == [1]
    assert job.counters() == {"attempts": 1}


def test_a_job_that_is_resumed_counts_each_task_once(tmp_path):
    (tmp_path / "broken").touch()

    def reduce(iter, params):
        count("reduces")  # noqa: F821
        if os.path.exists(params):
            raise RuntimeError("the reduce is broken")
        yield from iter

    job = Job("resumed").run(
        input=["raw://ab", "raw://cde"],
        map=count_lines,
        reduce=reduce,
        params=str(tmp_path / "broken"),
    )
    with pytest.raises(JobError, match="the reduce is broken"):
        job.wait()
    of_maps = {"lines": 2, "letters": 5, "debt": -4}
    assert job.counters() == of_maps
    (tmp_path / "broken").unlink()
    again = Job(name=job.name).resume()
    again.wait()
    assert again.counters() == {**of_maps, "reduces": 1}


def test_a_job_without_counters_has_none():
    job = Job("none").run(input=["raw://x"], map=lambda line, params: [(line, 1)])
    job.wait()
    assert job.counters() == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("two words",), "ValueError: 'two words' cannot be the name of a counter"),
        (("x" * 129,), "cannot be the name of a counter"),
        (("x", 2**63), f"ValueError: counter x: {2**63} does not fit in 64 bits"),
        (("x", 0.5), "TypeError: count(name, n) needs a str and an int, not 'x' and 0.5"),
    ],
)
def test_a_wrong_count_is_an_error(arguments, says):
    job = Job("wrong").run(input=["raw://x"], map=lambda line, params: count(*arguments))  # noqa: F821
    with pytest.raises(JobError) as caught:
        job.wait()
    assert says in str(caught.value)


def test_a_name_for_each_record_is_an_error():
    def names(line, params):
        for number in range(MAX_COUNTERS):
            count(f"{line}-{number}")  # noqa: F821
        return []

    job = Job("many").run(input=["raw://a"], map=names)
    job.wait()
    assert len(job.counters()) == MAX_COUNTERS
    job = Job("more").run(input=["raw://a", "raw://b"], map=names)
    with pytest.raises(JobError, match="is one too many: a job can have 1,000 counters"):
        job.wait()
