"""The streams, readers and init functions of a job, in real tasks."""

import gzip
from pathlib import Path

import pytest
from support.jobs import ECHO, events, program, results, words

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.func import nop_map, nop_reduce
from kvproto.classic.task_io import chain_reader, task_input_stream, task_output_stream
from kvproto.errors import JobError

pytestmark = pytest.mark.slow


@pytest.fixture
def tables(tmp_path):
    """Two files with a head line each."""
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    paths[0].write_text("left\n1 a\n2 b\n")
    paths[1].write_text("right\n3 c\n1 d\n")
    return [str(path) for path in paths]


def split(line, params):
    key, value = line.split()
    yield key, value + getattr(params, "head", "")


def take_head(entries, params):
    """An init: keeps the first line in params."""
    params.head = f" of {next(entries).strip()}"


def upper(stream, size, url, params):
    """An input stream that hands on (stream, size, url)."""
    return (line.upper() for line in stream), size, f"upper:{url}"


def with_url(stream, size, url, params):
    """A reader: each line with the url that the stream before it gave."""
    for line in stream:
        yield line.strip(), url


class Equations:
    """An output stream of text, with a line at its end."""

    def __init__(self, stream, name):
        self.stream, self.name = stream, name

    def add(self, key, value):
        self.stream.write(f"{key}={value}\n".encode())

    def close(self):
        self.stream.write(f"end of {self.name}\n")


def equations(stream, partition, url, params):
    return Equations(stream, f"partition {partition}")


def pairs_of_equations(fd, size, url, params):
    for line in fd:
        if not line.startswith("end of "):
            yield tuple(line.strip().split("="))


@pytest.mark.documented(
    "2 map_init: is called once before the task starts",
    "5 init: gets the iterator of the reader; may load libraries, set params, skip entries",
)
def test_map_init_is_called_once_for_each_input_and_may_take_entries(tables):
    assert sorted(results(input=tables, map=split, map_init=take_head)) == [
        ("1", "a of left"),
        ("1", "d of right"),
        ("2", "b of left"),
        ("3", "c of right"),
    ]


@pytest.mark.documented("2 map_init: is called once before the task starts")
def test_map_init_is_called_before_an_external_map_too(tables, tmp_path):
    given = results(input=tables, map=external([program(tmp_path, ECHO)]), map_init=take_head)
    assert sorted(value for _, value in given) == [b"1 a\n", b"1 d\n", b"2 b\n", b"3 c\n"]


def test_an_init_that_raises_fails_the_job_and_names_the_input(tables):
    def fail(entries, params):
        raise ZeroDivisionError("in init")

    with pytest.raises(JobError, match="in init") as caught:
        results(input=tables[:1], map=split, map_init=fail)
    assert f"input: {tables[0]}" in str(caught.value)


@pytest.mark.documented("2 reduce_init: is called once before the task starts")
def test_reduce_init_is_called_once_and_may_take_pairs(tables):
    def skip(entries, params):
        params.first = next(entries)

    def reduce(entries, params):
        return [(params.first, sum(1 for _ in entries))]

    assert results(
        input=tables, map=split, map_init=take_head, reduce=reduce, reduce_init=skip, sort=True
    ) == [(("1", "a of left"), 3)]


@pytest.mark.documented("2 reduce_init: is called once before the task starts")
def test_reduce_init_is_called_before_an_external_reduce_too(tables, tmp_path):
    def skip(entries, params):
        next(entries)

    given = results(
        input=tables[:1],
        map=split,
        map_init=take_head,
        reduce=external([program(tmp_path, ECHO)]),
        reduce_init=skip,
    )
    assert given == [(b"2", b"b of left")]


@pytest.mark.documented(
    "2 params: each function of a task gets them and can keep state in them",
    "5 map: params keep state from call to call",
)
def test_what_a_task_keeps_in_params_is_not_there_for_the_next_task(tables):
    def count(entry, params):
        params.n = getattr(params, "n", 0) + 1
        yield entry, params.n

    once = {
        "input": tables * 3,
        "map": count,
        "map_init": lambda entries, params: None,
    }  # each input has a task of its own
    given = list(result_iterator(Job("fresh").run(processes=1, **once).wait()))
    assert sorted({n for _, n in given}) == [1, 2, 3]


@pytest.mark.documented(
    "2 map_input_stream: the functions are chained, and the last stream gives the entries",
    "2 map_reader: is the last function of map_input_stream",
    "5 nop_map: returns each entry of the input stream",
)
def test_input_streams_are_chained_and_the_reader_is_the_last_of_them(tables):
    given = results(
        input=tables[:1],
        map=nop_map,
        map_input_stream=[task_input_stream, upper],
        map_reader=with_url,
    )
    assert given == [(line, f"upper:{tables[0]}") for line in ("LEFT", "1 A", "2 B")]


def test_an_input_stream_in_the_place_of_the_usual_one_opens_the_url_itself():
    def opened(stream, size, url, params):
        assert (stream, size) == (None, None)
        return [f"{url} {number}" for number in range(2)]

    given = results(
        input=["numbers://x", ["numbers://y", "numbers://z"]],
        map=nop_map,
        map_input_stream=[opened],
    )
    assert sorted(key for key, _ in given) == [
        "numbers://x 0",
        "numbers://x 1",
        "numbers://y 0",
        "numbers://y 1",
    ]


def test_a_stream_that_gives_no_iterable_is_an_error_that_names_it(tables):
    def nothing(stream, size, url, params):
        pass

    with pytest.raises(JobError, match=r"nothing.*None"):
        results(input=tables, map=nop_map, map_input_stream=[task_input_stream, nothing])


@pytest.mark.documented(
    "2 map_output_stream: the functions are chained, and add() of the last stream gets "
    "the map's pairs"
)
def test_the_results_of_a_map_are_what_its_output_streams_write(tables):
    job = Job("out").run(
        input=tables[:1],
        map=split,
        map_init=take_head,
        map_output_stream=[task_output_stream, equations],
        partitions=2,
    )
    texts = [Path(path).read_text() for path in job.wait()]
    assert sorted("".join(texts).splitlines()) == [
        "1=a of left",
        "2=b of left",
        "end of partition 0",
        "end of partition 1",
    ]


@pytest.mark.documented(
    "2 reduce_output_stream: the functions are chained, and the last stream is the "
    "reduce's second argument"
)
def test_the_results_of_a_reduce_are_what_its_output_streams_write(tables):
    job = Job("out").run(
        input=tables,
        map=split,
        map_init=take_head,
        partitions=2,
        sort=True,
        reduce=nop_reduce,
        reduce_output_stream=(task_output_stream, equations),
    )
    texts = [Path(path).read_text() for path in job.wait()]
    assert [text.splitlines()[-1] for text in texts] == ["end of partition 0", "end of partition 1"]
    assert sum(text.count("=") for text in texts) == 4


def test_the_pairs_of_external_programs_go_through_output_streams(tables, tmp_path):
    echo = external([program(tmp_path, ECHO)])
    job = Job("out").run(
        input=tables[:1],
        map=echo,
        reduce=echo,
        reduce_output_stream=[task_output_stream, equations],
    )
    assert (
        Path(job.wait()[0]).read_text() == r"b''=b'left\n'"
        "\n"
        r"b''=b'1 a\n'"
        "\n"
        r"b''=b'2 b\n'"
        "\nend of partition 0\n"
    )


@pytest.mark.documented("2 reduce_reader: with a map, is the last function of reduce_input_stream")
def test_a_reduce_reads_what_the_maps_output_streams_wrote_with_its_reader(tables):
    given = results(
        input=tables,
        map=split,
        map_init=take_head,
        map_output_stream=[task_output_stream, equations],
        partitions=2,
        reduce=nop_reduce,
        reduce_reader=pairs_of_equations,
    )
    assert sorted(given) == [
        ("1", "a of left"),
        ("1", "d of right"),
        ("2", "b of left"),
        ("3", "c of right"),
    ]


@pytest.mark.documented("2 reduce_reader: with a map, is the last function of reduce_input_stream")
def test_a_reduce_reader_of_the_users_own_reads_the_maps_pairs_through_chain_reader(tables):
    def doubled(fd, size, url, params):
        for key, value in chain_reader(fd, size, url, params):
            yield 2 * key, value

    given = results(
        input=tables[:1], map=split, map_init=take_head, reduce=nop_reduce, reduce_reader=doubled
    )
    assert given == [("11", "a of left"), ("22", "b of left")]


def test_a_reader_of_bytes_takes_them_from_the_buffer_of_its_file(tmp_path):
    path = tmp_path / "packed.gz"
    path.write_bytes(gzip.compress(b"\xff\x00 first\nsecond\n"))

    def packed(fd, size, url, params):
        yield from gzip.open(fd.buffer)  # noqa: SIM115

    assert results(input=[str(path)], map=nop_map, map_reader=packed, unpack=False) == [
        (b"\xff\x00 first\n", ""),
        (b"second\n", ""),
    ]


@pytest.mark.documented(
    '2 status_interval: every Nth entry reports "items mapped" or "items reduced"'
)
def test_each_status_interval_is_told_of_the_map_and_of_the_reduce(tables):
    job = Job("told").run(
        input=tables, map=split, map_init=take_head, reduce=nop_reduce, status_interval=2
    )
    job.wait()
    told = [(event["stage"], event["text"]) for event in events(job) if event["event"] == "status"]
    assert sorted(told) == [
        ("map", "2 items mapped"),
        ("map", "2 items mapped"),
        ("reduce", "2 items reduced"),
        ("reduce", "4 items reduced"),
    ]


@pytest.mark.documented("2 status_interval: 0 turns the reports off")
def test_a_status_interval_of_0_tells_nothing(tables):
    job = Job("told").run(
        input=tables, map=split, map_init=take_head, reduce=nop_reduce, status_interval=0
    )
    job.wait()
    assert "status" not in {event["event"] for event in events(job)}


@pytest.mark.documented(
    '2 status_interval: every Nth entry reports "items mapped" or "items reduced"'
)
def test_the_status_of_external_programs_is_told_too(tmp_path):
    echo = external([program(tmp_path, ECHO)])
    path = tmp_path / "lines.txt"
    path.write_text("line\n" * 5)
    job = Job("told").run(input=[str(path)], map=echo, reduce=echo, status_interval=2)
    job.wait()
    told = [event["text"] for event in events(job) if event["event"] == "status"]
    assert told == ["2 items mapped", "4 items mapped", "2 items reduced", "4 items reduced"]


def test_words_are_counted_with_every_stream_given_as_it_is_by_default(tables):
    given = results(
        input=tables,
        map=words,
        reduce=nop_reduce,
        map_input_stream=[task_input_stream],
        map_output_stream=[task_output_stream],
        reduce_input_stream=[task_input_stream],
        reduce_output_stream=[task_output_stream],
    )
    assert len(given) == 10
