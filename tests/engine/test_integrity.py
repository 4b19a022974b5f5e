"""What is cut, damaged or lost between its writer and its reader is an error that names it, never a
shorter result.
"""

import os
from pathlib import Path

import pytest
from support.jobs import results, words

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.ddfs import DDFS
from kvproto.classic.func import nop_map
from kvproto.classic.putting import opened
from kvproto.classic.task_io import chain_reader, plain_output_stream
from kvproto.errors import DataError, FilesError, JobError
from kvproto.inputs.schemes import find_inputs
from kvproto.storage.manifest import entry_of, write_manifest
from kvproto.storage.results import Result

pytestmark = pytest.mark.slow

LINE = f"{'x' * 99}\n"


@pytest.mark.parametrize("reader", [None, lambda fd, size, url, params: fd])
@pytest.mark.parametrize("n_lines", [10_000, 60_000])
def test_a_file_that_is_cut_while_the_job_reads_it_is_an_error(tmp_path, n_lines, reader):
    path = tmp_path / "log"
    path.write_text(LINE * n_lines)

    def map(line, params):
        os.truncate(path, len(LINE) * 100)
        return [(line, 1)]

    with pytest.raises(JobError, match=f"input {path}: was cut short after the job began"):
        results(input=[str(path)], map=map, map_reader=reader, processes=1)


def test_a_file_that_is_cut_under_its_reader_is_an_error_in_the_same_attempt(tmp_path):
    path = tmp_path / "log"
    path.write_text(LINE * 10_000)

    def reader(fd, size, url, params):
        for line in fd:
            yield line
            os.truncate(path, len(LINE) * 100)

    job = Job("cut").run(input=[str(path)], map=nop_map, map_reader=reader)
    with pytest.raises(JobError):
        job.wait()
    first = next(event["text"] for _, event in job.events() if event["event"] == "retry")
    assert f"input {path}: was cut short while it was read: " in first


def test_lines_that_are_added_meanwhile_harm_nothing(tmp_path):
    path = tmp_path / "log"
    path.write_text(LINE * 60_000)

    def map(line, params):
        if line == LINE and not os.path.exists(f"{path}.grown"):
            Path(f"{path}.grown").touch()
            with open(path, "a") as file:
                file.write("new\n" * 10)
        return [(line, 1)] if line == LINE else []

    assert len(results(input=[str(path)], map=map, processes=1)) == 60_000


def plain(text="a b"):
    """The one result of a job that writes netstrings."""
    [path] = (
        Job("plain")
        .run(input=[f"raw://{text}"], map=words, map_output_stream=[plain_output_stream])
        .wait()
    )
    return Path(path)


def test_a_result_of_an_output_stream_that_was_cut_is_no_input_of_another_job():
    path = plain()
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(JobError, match=f"result file {path} has 8 bytes, but 16 were written"):
        results(input=[str(path)], map=nop_map, map_reader=chain_reader)


def test_a_result_of_an_output_stream_with_a_changed_byte_is_no_input_of_another_job():
    path = plain()
    path.write_bytes(path.read_bytes().replace(b"a", b"z"))
    with pytest.raises(JobError, match=f"result file {path} is damaged: its checksum is wrong"):
        results(input=[str(path)], map=nop_map, map_reader=chain_reader)


def test_a_result_without_pairs_of_an_output_stream_is_read_and_one_that_was_emptied_is_not():
    path = plain("")
    assert (
        list(result_iterator([path]))
        == results(input=[path], map=nop_map, map_reader=chain_reader)
        == []
    )
    path = plain()
    path.write_bytes(b"")
    with pytest.raises(DataError, match=f"result file {path} has 0 bytes, but 16 were written"):
        list(result_iterator([path]))


def test_a_change_of_any_byte_of_a_manifest_is_noticed(tmp_path):
    directory = str(tmp_path / "results")
    write_manifest(
        directory, [Result(f"{directory}/result-{number}", 10, 2, 77) for number in range(2)]
    )
    (tmp_path / "events.jsonl").touch()
    path = tmp_path / "results.jsonl"
    data = path.read_bytes()
    assert entry_of(f"{directory}/result-1").n_bytes == 10
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(DataError, match="damaged"):
            entry_of(f"{directory}/result-1")
    for end in range(len(data)):
        path.write_bytes(data[:end])
        with pytest.raises(DataError, match="damaged"):
            entry_of(f"{directory}/result-1")


@pytest.mark.parametrize("manifest", ["", "{", "[1]\n", '{"path": "result-00000-00000"}\n', None])
def test_a_manifest_that_is_damaged_is_named(manifest):
    path = plain()
    lost = path.parent.with_name("results.jsonl")
    lost.unlink() if manifest is None else lost.write_text(manifest)
    with pytest.raises(DataError, match=str(lost)):
        list(result_iterator([path]))


def test_a_directory_of_anybody_may_be_called_results(tmp_path):
    path = tmp_path / "results" / "part"
    path.parent.mkdir()
    path.write_text("a line\n")
    (tmp_path / "results.jsonl").write_text('{"other": 1}\n')
    assert list(result_iterator([path], reader=None)) == ["a line\n"]


def swallowing(fd, size, url, params):
    """A reader that takes every error for the end."""
    while True:
        try:
            line = fd.readline()
        except Exception:
            line = ""
        if not line:
            return
        yield line
        if os.path.exists(f"{url}.to cut"):
            os.truncate(url, 30_000)


@pytest.fixture
def to_cut(tmp_path):
    """A file that `swallowing` cuts."""
    path = tmp_path / "log"
    path.write_text(LINE * 10_000)
    (tmp_path / "log.to cut").touch()
    return str(path)


def test_an_input_that_failed_fails_the_job_though_its_reader_caught_the_error(to_cut):
    job = Job("caught").run(input=[to_cut], map=nop_map, map_reader=swallowing)
    with pytest.raises(JobError):
        job.wait()
    first = next(event["text"] for _, event in job.events() if event["event"] == "retry")
    assert f"input {to_cut}: was cut short while it was read: " in first


def test_the_next_replica_is_read_though_the_reader_caught_the_error_of_the_first(to_cut, tmp_path):
    other = tmp_path / "other"
    other.write_text(LINE * 10_000)
    assert (
        results(input=[[to_cut, str(other)]], map=nop_map, map_reader=swallowing)
        == [(LINE, "")] * 10_000
    )


@pytest.mark.parametrize(
    "functions", [{}, {"sort": True}, {"map_output_stream": [plain_output_stream]}]
)
def test_a_spool_that_is_damaged_fails_the_job_though_the_reduce_caught_the_error(functions):
    def reduce(iter, out, params):
        [path] = this_inputs()  # noqa: F821
        data = Path(path).read_bytes()
        Path(path).write_bytes(data.replace(b"damaged", b"healthy"))
        try:
            for key, _ in iter:
                out.add(key, 1)
        except Exception:
            pass

    with pytest.raises(
        JobError,
        match=r"spool file .* is damaged: the checksum of the .* bytes from offset 0 on is wrong",
    ):
        results(input=["raw://a damaged b"], map=words, reduce=reduce, **functions)


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: os.truncate(path, 1000), "is cut short: "),
        (lambda path: path.write_bytes(path.read_bytes()[::-1]), "is damaged: the checksum of "),
    ],
    ids=["cut", "changed"],
)
def test_a_spool_that_is_damaged_fails_a_job_of_external_programs(
    home, identity, damage, said, sort
):
    def on_event(event):
        if event["event"] == "stage" and event["stage"] == "reduce":
            [path] = home.glob("jobs/*/spool/map-*")
            damage(path)

    job = Job("external").run(
        input=["raw://" + LINE * 100],
        map=external([identity]),
        reduce=external([identity]),
        sort=sort,
        on_event=on_event,
    )
    with pytest.raises(JobError, match=rf"spool file .*/map-.* {said}"):
        job.wait()
    assert job.results(timeout=0) == ("dead", [])


@pytest.mark.parametrize("line", [b"\xff\n", b"{\0\n", b"[]\n", b"1\n", b"{}\n"])
def test_events_that_are_damaged_are_named_with_the_place(line):
    job = Job("told").run(input=["raw://x"], map=words)
    job.wait()
    path = Path(job.directory, "events.jsonl")
    told = path.read_bytes()
    path.write_bytes(told + line)
    assert job.results(timeout=0) == ("dead", [])
    with pytest.raises(JobError, match=f"{path} is damaged at byte {len(told)}: "):
        list(job.events())


@pytest.mark.parametrize(
    "document, says",
    [
        (b"[" * 100_000, "not the document of a tag"),
        (b'{"urls": [["raw://x"]], "user-data": 5}', "`user-data` is not an object"),
    ],
)
def test_a_tag_whose_document_is_damaged_is_named(home, document, says):
    ddfs = DDFS()
    ddfs.put("some", ["raw://x"])
    directory = home / "ddfs" / "tag" / "some"
    (directory / "notes.json").write_text("what somebody else put there")
    assert ddfs.urls("some") == [["raw://x"]]
    (directory / "0000000001.json").write_bytes(document)
    with pytest.raises(DataError, match=f"{directory}/0000000001.json: .*{says}"):
        ddfs.attrs("some")


def test_an_index_with_a_label_beyond_reason_costs_no_memory(tmp_path):
    (tmp_path / "data").write_text("a line\n")
    index = tmp_path / "index"
    index.write_text("99999999999 data 7\n")
    with pytest.raises(DataError, match=f"index {index}, line 1: .*at most 999999"):
        Job("labels").run(input=[f"dir://{index}"], reduce=nop_map, partitions=None)


@pytest.mark.parametrize("pattern", ["", "/*"])
def test_a_link_to_what_is_not_there_is_named_and_not_passed_over(tmp_path, pattern):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("a line\n")
    (folder / "b").symlink_to(folder / "a")
    assert len(results(input=[f"{folder}{pattern}"], map=nop_map)) == 2
    (folder / "c").symlink_to(tmp_path / "moved")
    with pytest.raises(DataError, match=f"input {folder}/c: a broken link to {tmp_path}/moved"):
        results(input=[f"{folder}{pattern}"], map=nop_map)


def test_a_directory_of_results_from_which_one_was_removed_is_an_error():
    paths = (
        Job("lost")
        .run(input=["raw://a b c"], map=words, reduce=lambda iter, params: iter, partitions=3)
        .wait()
    )
    directory = str(Path(paths[0]).parent)
    assert sorted(result_iterator(directory)) == [("a", 1), ("b", 1), ("c", 1)]
    os.unlink(paths[1])
    with pytest.raises(DataError, match=f"result file {paths[1]} no longer exists"):
        list(result_iterator(directory))


@pytest.mark.parametrize(
    "name", ["../events.jsonl", "a/../../b", "/a", "a//b", "a/", "", "..", "./a", "a\0"]
)
def test_required_files_lie_below_the_working_directory(name, home):
    with pytest.raises(
        FilesError, match=r"required_files: .* does not name a file below the working directory"
    ):
        Job("files").run(input=["raw://x"], map=nop_map, required_files={name: b"data"})
    assert not home.exists()


def yields(iter, out, params):
    yield from iter


async def awaits(iter, out, params):
    for pair in iter:
        out.add(*pair)


def lazily(iter, out, params):
    return map(out.add, iter)


def yields_before(iter, params):
    yield next(iter)


@pytest.mark.parametrize(
    "functions, name",
    [
        ({"reduce": yields}, "yields"),
        ({"reduce": yields, "reduce_output_stream": [plain_output_stream]}, "yields"),
        ({"reduce": awaits}, "awaits"),
        ({"reduce": lazily}, "lazily"),
        ({"map_init": yields_before}, "yields_before"),
        ({"reduce_init": yields_before, "reduce": lambda iter, params: iter}, "yields_before"),
    ],
)
def test_a_function_whose_work_nobody_would_do_is_named(functions, name):
    with pytest.raises(
        JobError,
        match=f"TypeError: .*{name} returned .*, which is never run: it must do its work when",
    ):
        results(input=["raw://a b"], map=words, **functions)


def test_what_such_functions_return_else_means_nothing():
    functions = {
        "map_init": lambda iter, params: iter,
        "reduce_init": lambda iter, params: iter,
        "reduce": lambda iter, out, params: [out.add(*pair) for pair in iter],
    }
    assert results(input=["raw://a b"], map=words, **functions) == [("a", 1), ("b", 1)]


def test_a_file_that_is_cut_while_it_is_put_under_a_tag_is_an_error(tmp_path):
    path = tmp_path / "large"
    path.write_text(LINE * 50_000)
    [found] = find_inputs([path])
    with (
        opened(found) as file,
        pytest.raises(DataError, match=f"input {path}: was cut short while it was read"),
    ):
        file.read(10)
        os.truncate(path, 1000)
        while file.read(1 << 16):
            pass
