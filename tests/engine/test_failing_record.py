"""The error of a job whose external map fails shows the record: its input, line and bytes."""

import gzip
from pathlib import Path

import pytest
from support.catalogue import compile_worker
from support.jobs import program

from kvproto.classic import Job, external
from kvproto.errors import JobError, WorkerCrashed

pytestmark = pytest.mark.slow

LINES = [b"line number %d of the input\n" % number for number in range(100_000)]
BAD = b"BAD and so it crashes\n"

SOURCE = r"""
#include <disco.h>
#include <string.h>

int main(void)
{
    p_entry *key = NULL, *value = NULL;
    volatile char *nothing = NULL;
    disco_params_free(disco_params_read());
    while (read_kv(&key, &value)) {
        if (value->len >= 3 && memcmp(value->data, "BAD", 3) == 0)
            *nothing = 1;
        write_num_prefix(1);
        write_kv(value, key);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def fails_on_bad(tmp_path_factory):
    directory = tmp_path_factory.mktemp("fails_on_bad")
    (directory / "source.c").write_text(SOURCE)
    return external([compile_worker(directory / "source.c", directory / "op")])


def numbered(fd, size, url, params):
    for number, line in enumerate(fd):
        yield str(number), line


def take_two(entries, params):
    next(entries)
    next(entries)


def failure(worker, *inputs, **jobargs):
    job = Job("record").run(input=[str(path) for path in inputs], map=worker, **jobargs)
    with pytest.raises(JobError) as caught:
        job.wait()
    return caught.value


def with_bad(at, lines=LINES):
    return [*lines[:at], BAD, *lines[at:]]


def test_the_line_of_a_file_that_was_cut_for_several_tasks(fails_on_bad, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(with_bad(77_777)))
    error = failure(fails_on_bad, path, attempts=1)
    assert error.task is not None and error.task > ("map", 0)
    assert isinstance(error.cause, WorkerCrashed)
    assert (error.input, error.line) == (str(path), 77_778)
    assert error.record is not None and (error.record.key, error.record.value) == (b"", BAD)
    place = error.record.place
    assert path.read_bytes()[place.start : place.end] == BAD
    assert f"input: {path}, line 77778, bytes {place.start} to {place.end}\n" in str(error)
    assert f'value, {len(BAD)} bytes: "BAD and so it crashes\\n"\n' in str(error)
    assert "fails on this record alone" in str(error)
    assert "or one of the" not in str(error)


def test_the_first_line_after_a_byte_order_mark_and_a_last_one_without_newline(
    fails_on_bad, tmp_path
):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbf" + BAD)
    assert failure(fails_on_bad, path, attempts=1).record.place[3:6] == (1, 3, 3 + len(BAD))
    path.write_bytes(b"one\nBAD")
    assert failure(fails_on_bad, path, attempts=1).record.place[3:6] == (2, 4, 7)


def test_the_line_of_a_compressed_file_is_that_of_its_content(fails_on_bad, tmp_path):
    path = tmp_path / "text.gz"
    content = b"".join(with_bad(5_000))
    path.write_bytes(gzip.compress(content, 1))
    error = failure(fails_on_bad, path, attempts=1)
    assert error.line == 5_001
    place = error.record.place
    assert content[place.start : place.end] == BAD
    assert f"bytes {place.start} to {place.end} of its content\n" in str(error)


def test_the_input_is_named_where_a_task_reads_several(fails_on_bad, tmp_path):
    paths = [tmp_path / name for name in ("one", "two", "three")]
    for path in paths:
        path.write_bytes(b"".join(with_bad(7, LINES[:20]) if path.name == "two" else LINES[:20]))
    error = failure(fails_on_bad, *paths, attempts=1)
    assert (error.task, error.input, error.line) == (("map", 0), str(paths[1]), 8)
    assert error.record.number == 27


def test_with_a_reader_the_entry_of_the_input_is_shown(fails_on_bad, tmp_path):
    paths = [tmp_path / name for name in ("one", "two")]
    paths[0].write_bytes(b"".join(LINES[:20]))
    paths[1].write_bytes(b"".join(with_bad(3, LINES[:20])))
    error = failure(fails_on_bad, *paths, map_reader=numbered, attempts=1)
    assert (error.input, error.line) == (str(paths[1]), None)
    assert error.record[:3] == (23, b"3", BAD)
    assert f"input: {paths[1]}, entry 3 (counted from 0)\n" in str(error)


def test_the_lines_that_an_init_took_are_counted(fails_on_bad, tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"".join(with_bad(5, LINES[:20])))
    error = failure(fails_on_bad, path, map_init=take_two, attempts=1)
    assert (error.line, error.record.number) == (6, 3)


def test_without_a_record_the_line_of_the_first_pair_without_an_answer_is_named(tmp_path):
    body = "for key, line in pairs(): os.abort() if b'1500' in line else answer()\n"
    path = tmp_path / "text"
    path.write_bytes(b"".join(LINES[:2000]))
    worker = external([program(tmp_path, body)])
    error = failure(worker, path, attempts=1, ext_limits={"pinpoint": 0})
    assert (error.cause.pair_index, error.record, error.line) == (1500, None, None)
    assert f"input: {path}, line 1501, bytes " in str(error)
    assert " (the first pair without an answer)\n" in str(error)


@pytest.mark.parametrize("pinpoint", [0, False])
def test_the_search_can_be_turned_off(fails_on_bad, tmp_path, pinpoint):
    path = tmp_path / "text"
    path.write_bytes(b"".join(with_bad(5, LINES[:20])))
    error = failure(fails_on_bad, path, ext_limits={"pinpoint": pinpoint}, attempts=1)
    assert "played again" not in str(error)


def test_a_core_file_is_kept_with_the_logs_of_the_job(tmp_path):
    body = "import os\nopen('core.17', 'w').write('memory')\nos.abort()\n"
    error = failure(external([program(tmp_path, body)]), "raw://x", attempts=1)
    core = Path(error.cause.core)
    assert core.read_text() == "memory"
    assert core.parent.name == "logs"
    assert f"its core file: {core}\n" in str(error)
    assert f"gdb {tmp_path}/op {core} shows where it crashed" in str(error)
