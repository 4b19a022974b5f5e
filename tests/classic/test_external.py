"""Jobs with external programs where functions may stand: real programs, good and bad."""

import collections
import os
import pickle
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.jobs import COUNT, ECHO, LIBRARY, counted, events, program, results

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import nop_map, nop_reduce
from kvproto.errors import DataError, JobError, WorkerCrashed, WorkerReported

pytestmark = pytest.mark.slow

TEXT = sorted(map(str, LIBRARY.glob("*.py")))[:12]


@pytest.fixture
def worker(tmp_path):
    """Package a worker program given by its body."""
    return lambda body, name="op": external([program(tmp_path, body, name)])


def failure(**jobargs):
    job = Job("bad").run(**jobargs)
    with pytest.raises(JobError) as caught:
        job.wait()
    return job, caught.value


@pytest.mark.documented(
    "6 map, reduce or both are programs, with Python between them",
    '7 the only argument is "map" or "reduce", so that one program can be both',
)
@pytest.mark.parametrize("pure", ["", "1"])
@pytest.mark.parametrize("partitions", [1, 3])
def test_map_and_reduce_of_one_program_count_as_a_counter_does(
    worker, monkeypatch, pure, partitions
):
    monkeypatch.setenv("KVPROTO_PURE", pure)  # for the task processes
    count = worker(COUNT)
    files = Job("count").run(input=TEXT, map=count, reduce=count, partitions=partitions).wait()
    assert len(files) == partitions
    assert {word: int(n) for word, n in result_iterator(files)} == counted(TEXT)


def test_a_python_reduce_gets_bytes_from_an_external_map(worker):
    def reduce(iter, params):
        counts = collections.Counter()
        for word, n in iter:
            counts[word] += int(n)
        return counts.items()

    assert dict(results(input=TEXT, map=worker(COUNT), reduce=reduce, partitions=2)) == counted(
        TEXT
    )


@pytest.mark.documented("5 reduce: may be an external program")
def test_an_external_reduce_gets_the_str_and_bytes_of_a_python_map(worker):
    def map(line, params):
        return [("caf\xe9", b"2"), (b"caf\xc3\xa9", "3"), (line, "1")]

    data = b"\xff line\n"
    got = results(
        input=["raw://" + data.decode("utf-8", "surrogateescape")],
        map=map,
        reduce=worker(COUNT),
        partitions=3,
    )
    assert sorted(got) == [("caf\xe9".encode(), b"5"), (data, b"1")]


def test_a_pair_of_a_python_map_that_is_not_bytes_is_refused_with_its_type_and_the_function(worker):
    def numbers(line, params):
        return [("fine", "1"), ("wrong", 1)]

    _, error = failure(input=["raw://x"], map=numbers, reduce=worker(COUNT))
    said = str(error)
    assert "numbers returned a pair that cannot be sent to an external program" in said
    assert "the value of pair 1 must be bytes or str, not int" in said
    assert "input: raw://x" in said and "entry: at or before number 0 of" in said


@pytest.mark.documented("5 map: may be an external program")
def test_an_external_map_without_reduce_gives_bytes(worker):
    assert sorted(results(input=["raw://b a b"], map=worker(COUNT))) == [
        (b"a", b"1"),
        (b"b", b"1"),
        (b"b", b"1"),
    ]


@pytest.mark.documented("6 map, reduce or both are programs, with Python between them")
def test_a_python_combiner_stands_between_external_programs(worker):
    def combiner(key, value, buffer, done, params):
        if done:
            return [(key, b"%d" % n) for key, n in buffer.items()]
        buffer[key] = buffer.get(key, 0) + int(value)

    count = worker(COUNT)
    told = []
    job = Job("between").run(
        input=TEXT, map=count, combiner=combiner, reduce=count, partitions=2, on_event=told.append
    )
    assert {word: int(n) for word, n in result_iterator(job.wait())} == counted(TEXT)
    assert told[-2]["stage"] == "reduce" and told[-2]["records"] < sum(counted(TEXT).values()) / 2


@pytest.mark.documented("6 map, reduce or both are programs, with Python between them")
def test_a_python_partition_stands_between_external_programs(worker):
    def by_first_byte(key, nr_partitions, params):
        return key[0] % nr_partitions

    count = worker(COUNT)
    files = (
        Job("between")
        .run(input=TEXT, map=count, partition=by_first_byte, reduce=count, partitions=2)
        .wait()
    )
    assert {word: int(n) for word, n in result_iterator(files)} == counted(TEXT)
    assert [{key[0] % 2 for key, _ in result_iterator(path)} for path in files] == [{0}, {1}]


@pytest.mark.documented(
    "8 inputs are read with the map_reader",
    "8 a reader may give pairs, with key and value",
)
def test_a_reader_gives_entries_or_pairs_to_an_external_map(worker):
    def reader(fd, size, url, params):
        yield "text"
        yield b"bytes"
        yield "key", b"value"

    got = results(input=["raw://x"], map=worker(ECHO), map_reader=reader)
    assert got == [(b"", b"text"), (b"", b"bytes"), (b"key", b"value")]


def test_lines_reach_an_external_map_whole_whatever_their_length(worker, tmp_path):
    path = tmp_path / "long"
    lines = [b"a" * 3_000_000 + b"\n", b"\n", b"\xff\x00\r\n", b"b" * 2_500_000]
    path.write_bytes(b"".join(lines))
    swap = "for key, value in pairs():\n    answer((value, key))\n"
    got = results(input=[str(path)], map=worker(swap), partitions=3)
    assert sorted(key for key, _ in got) == sorted(lines)


@pytest.mark.documented(
    "2 ext_params: are delivered to external programs",
    "11 ext_params go to the programs of map and reduce",
)
def test_ext_params_go_to_map_and_reduce(worker):
    of_map = worker("for key, value in pairs():\n    answer((value, params))\n")
    of_reduce = worker("for key, value in pairs():\n    answer((value, params))\n")
    got = results(input=["raw://x"], map=of_map, reduce=of_reduce, ext_params={"a": "b"})
    assert got == [(b"1 a 1 b\n", b"1 a 1 b\n")]


@pytest.mark.documented("12 one executable and any number of supporting files")
def test_a_supporting_file_lies_beside_the_program(tmp_path):
    (tmp_path / "words.conf").write_text("configured")
    body = "for key, value in pairs():\n    answer((open('words.conf', 'rb').read(), value))\n"
    packaged = external([program(tmp_path, body), tmp_path / "words.conf"])
    assert results(input=["raw://x"], map=packaged) == [(b"configured", b"x")]


class Tripwire:
    def __reduce__(self):
        return (os._exit, (3,))


def test_what_an_external_program_writes_is_never_unpickled(worker):
    poison = pickle.dumps(Tripwire())
    body = f"for key, value in pairs():\n    answer(({poison!r}, {poison!r}))\n"
    assert results(input=["raw://x"], map=worker(body), reduce=nop_reduce) == [(poison, poison)]
    assert results(input=["raw://x"], map=worker(body), reduce=worker(body)) == [(poison, poison)]


def test_no_input_is_no_map_and_an_empty_reduce(worker):
    assert results(input=[], map=worker(COUNT), reduce=worker(COUNT), partitions=2) == []


@pytest.mark.documented("10 the messages of a job's programs are shown")
def test_messages_of_a_program_become_events(worker):
    body = "sys.stderr.write('**<MSG> hello\\nplain words\\n')\n" + ECHO
    job = Job("talk").run(input=["raw://x"], map=worker(body))
    job.wait()
    said = [
        (e["stage"], e["task"], e["kind"], e["text"])
        for e in events(job)
        if e["event"] == "message"
    ]
    assert said == [("map", 0, "MSG", "hello"), ("map", 0, "", "plain words")]


# --- failing ------------------------------------------------------------------------------------

FAILS_ONCE = """
import os
for key, value in pairs():
    answer((b"seen", value))
    try:
        os.close(os.open({mark!r}, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        continue
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("reduce", [None, nop_reduce])
def test_a_program_that_crashes_once_is_run_again_and_counts_once(worker, tmp_path, reduce):
    path = tmp_path / "text"
    path.write_text("a\nb\n")
    body = FAILS_ONCE.format(mark=str(tmp_path / "mark"))
    job = Job("once").run(input=[str(path)], map=worker(body), reduce=reduce)
    assert list(result_iterator(job.wait())) == [(b"seen", b"a\n"), (b"seen", b"b\n")]
    [retry] = [event for event in events(job) if event["event"] == "retry"]
    assert "SIGKILL" in retry["text"]


@pytest.mark.parametrize("stage", ["map", "reduce"])
def test_a_program_that_always_fails_fails_the_job_with_its_report_whole(worker, stage):
    body = "sys.stderr.write('I was here\\n')\nsys.stderr.flush()\nimport os\nos.abort()\n"
    programs = {"map": nop_map, "reduce": worker(ECHO), stage: worker(body)}
    job, error = failure(input=["raw://x"], **programs)
    said = str(error)
    assert f"task {stage}:0 failed after 3 attempts" in said
    assert "WorkerCrashed" in said and "SIGABRT" in said and "I was here" in said
    assert ("input: raw://x" if stage == "map" else "partition: 0") in said
    assert isinstance(error.__cause__, WorkerCrashed)
    assert not Path(job.directory, "results").exists()


@pytest.mark.documented(
    "10 an ERR line fails the job",
    "13 die(): ends the job with its message",
)
def test_an_err_line_fails_the_job_at_once(worker):
    job, error = failure(
        input=["raw://x"], map=worker("sys.stderr.write('**<ERR> no licence\\n')\n" + ECHO)
    )
    assert isinstance(error.__cause__, WorkerReported)
    assert "no licence" in str(error) and "task map:0 failed:" in str(error)
    assert "retry" not in [event["event"] for event in events(job)]


@pytest.mark.documented("7 a program reads as long as there is data; to exit earlier is an error")
def test_a_program_that_stops_early_with_status_0_is_a_failure(worker):
    _, error = failure(
        input=TEXT, map=worker("for key, value in pairs():\n    answer()\n    sys.exit(0)\n")
    )
    assert "WorkerExitedEarly" in str(error)


def test_a_spool_file_damaged_between_map_and_reduce_fails_the_job_by_name(worker, home):
    spool = home / "jobs"

    def damage(event):
        if event["event"] == "stage" and event["stage"] == "reduce":
            [path] = spool.glob("*/spool/map-*")
            with open(path, "r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"!")

    job, error = failure(
        input=["raw://a b"], map=worker(COUNT), reduce=worker(COUNT), on_event=damage
    )
    assert isinstance(error.__cause__, DataError)
    assert f"spool file {job.directory}/spool/map-00000." in str(error) and "is damaged" in str(
        error
    )


INTERRUPTED = """
import sys
from kvproto.classic import Job, external
Job("stopped").run(input=["raw://x"], map=external([sys.argv[1]])).wait()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_and_a_killed_driver_leave_no_external_program(tmp_path, number):
    told, never = tmp_path / "told", tmp_path / "never"
    os.mkfifo(told)
    os.mkfifo(never)
    reader = os.open(told, os.O_RDONLY | os.O_NONBLOCK)
    body = (
        f"import os\nwith open({str(told)!r}, 'w') as f:\n    f.write(str(os.getpid()))\n"
        f"open({str(never)!r}).read()\n"
    )
    argv = [sys.executable, "-c", INTERRUPTED, program(tmp_path, body)]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as driver:
        ended = os.pidfd_open(driver.pid)
        assert select.select([reader, ended], [], [], 60)[0] == [reader], (
            "the driver ended before its program began"
        )
        watch = os.pidfd_open(int(os.read(reader, 100)))
        driver.send_signal(number)
    os.close(reader)
    os.close(ended)
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    try:
        assert poll.poll(60_000), "the external program still runs"
    finally:
        os.close(watch)


def test_how_long_an_external_program_may_stand_still_is_the_jobs_to_say(tmp_path):
    hang = program(tmp_path, "import time\ntime.sleep(60)\n")
    with pytest.raises(JobError, match=r"for 0.2 s .idle."):
        results(input=["raw://x"], map=external([hang]), ext_limits={"idle": 0.2}, attempts=1)


@pytest.mark.parametrize(
    "limits, error",
    [
        ({"idel": 3}, TypeError),
        (3, TypeError),
        ({"idle": 0}, ValueError),
        ({"total": "1"}, ValueError),
    ],
)
def test_limits_that_are_none_are_refused_at_once(limits, error):
    with pytest.raises(error, match="ext_limits"):
        Job("limits").run(input=["raw://x"], map={"op": b""}, ext_limits=limits)


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_task_is_tried_as_often_as_the_job_says(tmp_path, attempts):
    fail = program(tmp_path, "import sys\nsys.exit(3)\n")
    job = Job("attempts").run(input=["raw://x"], map=external([fail]), attempts=attempts)
    with pytest.raises(JobError):
        job.wait()
    assert [event["event"] for event in events(job)].count("retry") == attempts - 1


def test_a_number_of_attempts_that_is_none_is_refused_at_once():
    with pytest.raises(ValueError, match="attempts must be a number from 1"):
        Job("attempts").run(input=["raw://x"], map=lambda e, params: [], attempts=0)
