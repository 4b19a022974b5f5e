"""Compressed inputs: unpacked by what they are, whole or with an error."""

import bz2
import gzip
import io
import lzma
import os
import re
import sys
import threading
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.command_line import kvproto_command
from support.compressed import PROGRAMS, compressed
from support.jobs import ECHO, events, program, results
from support.web_server import page, serving

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.ddfs import DDFS
from kvproto.classic.func import nop_map
from kvproto.classic.task_io import gzip_line_reader, gzip_reader, task_input_stream
from kvproto.errors import DataError, JobError
from kvproto.inputs import unpacking
from kvproto.inputs.unpacking import ahead, unpack, unpack_pieces

TEXT = b"".join(b"line %d of the text\n" % number for number in range(3000))
SMALL = b"to be or\nnot to be\n"

every_format = pytest.mark.parametrize("name", PROGRAMS)


def content(data):
    with unpack(io.BufferedReader(io.BytesIO(data)), "input x") as file:
        return file.read()


def keys(**jobargs):
    return [key for key, _ in results(map=nop_map, **jobargs)]


def lines_of(data):
    return data.decode().splitlines(keepends=True)


# --- jobs ------------------------------------------------------------------------------------


@every_format
def test_a_job_reads_the_lines_whatever_the_name_of_the_file_is(tmp_path, name):
    (tmp_path / "data.txt").write_bytes(compressed(name, TEXT))
    path = str(tmp_path / "data.txt")
    assert keys(input=path) == lines_of(TEXT)
    assert keys(input=path, text=False) == TEXT.splitlines(keepends=True)
    frames = results(input=path, map=external([program(tmp_path, ECHO)]))
    assert b"".join(value for _, value in frames) == TEXT
    assert list(result_iterator(path, reader=None)) == lines_of(TEXT)


@every_format
def test_a_reader_gets_the_unpacked_stream_or_with_unpack_false_the_data(tmp_path, name):
    data = compressed(name, TEXT)
    (tmp_path / "data").write_bytes(data)

    def whole(fd, size, url, params):
        return [(fd.buffer.read(), size)]

    def of_bytes(fd, size, url, params):
        return [(fd.read(), size)]

    for jobargs in ({"map_reader": whole}, {"map_reader": of_bytes, "text": False}):
        jobargs |= {"input": str(tmp_path / "data"), "map": nop_map}
        assert results(**jobargs) == [(TEXT, None)]
        assert results(**jobargs, unpack=False) == [(data, len(data))]


def test_readers_of_gzip_take_what_is_unpacked_already(tmp_path):
    (tmp_path / "text").write_bytes(compressed("gzip", TEXT))
    chain = {"map_input_stream": [task_input_stream, gzip_reader]}
    for jobargs in ({"map_reader": gzip_line_reader}, chain):
        for is_unpacked in (True, False):
            jobargs |= {"input": str(tmp_path / "text"), "unpack": is_unpacked}
            assert keys(**jobargs) == lines_of(TEXT)


def test_inputs_of_all_kinds_are_unpacked(tmp_path):
    data = compressed("xz", TEXT)
    (tmp_path / "data").write_bytes(data)
    assert (
        kvproto_command("tag", "put", "x", tmp_path / "data", "--chunk-size", "9").returncode == 0
    )
    with serving({"/data": page(data)}) as server:
        for url in ("tag://x", f"{server.url}/data", f"file://{tmp_path}/data"):
            assert keys(input=url) == lines_of(TEXT)
    assert DDFS().urls("x")[0][0].rpartition("$")[2].isalnum()  # a whole blob, not .lines
    raw = "raw://" + gzip.compress(SMALL).decode("utf-8", "surrogateescape")
    assert keys(input=raw) == lines_of(SMALL)


def test_a_reduce_without_a_map_reads_compressed_results(tmp_path):
    [path] = Job().run(input="raw://a b a", map=lambda line, params: [(line, 1)]).wait()
    with open(path, "rb") as file:
        (tmp_path / "result.zst").write_bytes(compressed("zstd", file.read()))
    pairs = results(input=str(tmp_path / "result.zst"), reduce=lambda pairs, params: pairs)
    assert pairs == [("a b a", 1)]


def test_what_the_maps_write_is_not_unpacked(tmp_path):
    def gzipped(stream, partition, url, params):
        return Gzipped(stream)

    pairs = results(
        input="raw://x",
        map=lambda line, params: [(line, "1")],
        map_output_stream=[gzipped],
        reduce=lambda pairs, params: ((data, "") for data in pairs),
        reduce_reader=lambda fd, size, url, params: [fd.buffer.read()],
    )
    assert [gzip.decompress(data) for data, _ in pairs] == [b"x=1\n"]


class Gzipped:
    """An output stream that compresses pairs."""

    def __init__(self, stream):
        self.stream = stream

    def add(self, key, value):
        self.stream.write(gzip.compress(f"{key}={value}\n".encode()))

    def close(self):
        pass


def test_a_large_compressed_file_is_one_task_and_plain_ones_beside_it_are_cut(tmp_path):
    noise = os.urandom(3 << 20).hex().encode()
    text = b"".join(noise[at : at + 99] + b"\n" for at in range(0, len(noise), 99))
    (tmp_path / "a.gz").write_bytes(gzip.compress(text, 1))
    (tmp_path / "b").write_bytes(text)
    job = Job("mixed").run(
        input=[str(tmp_path / "a.gz"), str(tmp_path / "b")],
        map=lambda line, params: [(line, "")],
        text=False,
        processes=2,
    )
    assert b"".join(key for key, _ in result_iterator(job.wait())) == text + text
    assert next(event["tasks"] for event in events(job) if event["event"] == "stage") > 2


def stop(entry, params):
    raise ArithmeticError("enough")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("jobargs", "reason"),
    [({}, "compressed data"), ({"map_reader": lambda fd, size, url, params: [fd]}, "a reader")],
)
def test_what_one_task_reads_is_said_when_it_is_large(tmp_path, jobargs, reason):
    with open(tmp_path / "large", "wb") as file:
        file.write(bz2.compress(b"a\n" * (1 << 20)))
        file.truncate((1 << 30) + 1)
    job = Job("large").run(input=str(tmp_path / "large"), map=stop, **jobargs)  # reads little of it
    with pytest.raises(JobError, match="enough"):
        job.wait()
    [note] = [event["text"] for event in events(job) if "one task reads" in event.get("text", "")]
    assert f"{tmp_path}/large: one task reads all of its 1.0 GiB" in note and reason in note


def test_large_plain_inputs_are_not_said_to_be_one_task(tmp_path):
    (tmp_path / "small.gz").write_bytes(compressed("gzip", TEXT))
    job = Job("small").run(input=str(tmp_path / "small.gz"), map=nop_map)
    job.wait()
    assert not [event for event in events(job) if "one task" in event.get("text", "")]


# --- cut and damaged -------------------------------------------------------------------------


@every_format
def test_a_cut_input_fails_the_job_at_once_with_its_name_and_the_offset(tmp_path, name):
    data = compressed(name, os.urandom(200_000).hex().encode())[:150_000]
    path = tmp_path / "cut"
    path.write_bytes(data)
    for map in (nop_map, external([program(tmp_path, ECHO)])):
        job = Job("cut").run(input=str(path), map=map)
        with pytest.raises(JobError, match=f"input {path}: {name} data is cut short.* byte 150000"):
            job.wait()
        assert "retry" not in {event["event"] for event in events(job)}


@every_format
def test_a_reader_that_catches_the_error_does_not_hide_it(tmp_path, name):
    (tmp_path / "cut").write_bytes(compressed(name, TEXT)[:-1])

    def careless(fd, size, url, params):
        try:
            yield from fd
        except DataError:
            return

    with pytest.raises(JobError, match=f"{name} data is cut short"):
        keys(input=str(tmp_path / "cut"), map_reader=careless)


@pytest.mark.slow
@every_format
def test_a_replica_goes_on_where_a_cut_one_ended(tmp_path, name):
    text = os.urandom(1 << 20).hex(" ").replace(" 77", "\n").encode()
    (tmp_path / "cut").write_bytes(compressed(name, text)[: 1 << 20])
    (tmp_path / "whole").write_bytes(text)
    replicas = [[str(tmp_path / "cut"), str(tmp_path / "whole")]]
    assert b"".join(keys(input=replicas, text=False)) == text
    frames = results(input=replicas, map=external([program(tmp_path, ECHO)]))
    assert b"".join(value for _, value in frames) == text
    whole = keys(input=replicas, map_reader=lambda fd, size, url, params: fd, text=False)
    assert b"".join(whole) == text


@pytest.mark.slow
@pytest.mark.parametrize("place", [3000, -8])  # in a block that is stored, and in the checksum
def test_of_a_damaged_replica_nothing_is_used_though_its_end_tells(tmp_path, place):
    text = b"".join(b"%099d\n" % number for number in range(60_000))
    damaged = bytearray(gzip.compress(text, 0))
    damaged[place] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    (tmp_path / "whole").write_bytes(text)
    replicas = [[str(tmp_path / "damaged"), str(tmp_path / "whole")]]
    for map in (nop_map, external([program(tmp_path, ECHO)])):
        job = Job("damaged").run(input=replicas, map=map, text=False)
        pairs = result_iterator(job.wait())
        assert b"".join(key or value for key, value in pairs) == text
        told = [event["text"] for event in events(job) if "next replica" in event.get("text", "")]
        assert len(told) == 1 and "at or before byte" in told[0]
    assert b"".join(keys(input=replicas, map_reader=whole_file)) == text
    assert "".join(result_iterator(replicas, reader=None)).encode() == text


def whole_file(fd, size, url, params):
    yield fd.buffer.read()


def test_a_reader_that_unpacks_for_itself_gets_advice(tmp_path):
    (tmp_path / "text").write_bytes(compressed("gzip", TEXT))
    with pytest.raises(JobError, match="with unpack=False the reader gets it as it is"):
        keys(
            input=str(tmp_path / "text"),
            map_reader=lambda fd, size, url, params: gzip.open(fd.buffer),  # noqa: SIM115
        )


def is_text(head):
    """One or two printable characters may be a text."""
    return len(head) < 3 and head.decode("latin-1").isprintable()


@every_format
def test_data_that_is_cut_anywhere_is_an_error(name):
    data = compressed(name, SMALL)
    for size in range(1, len(data)):
        if is_text(data[:size]):
            continue
        with pytest.raises(
            DataError, match=f"input x: .* data is cut short.* byte {size}"
        ) as caught:
            content(data[:size])
        assert caught.value.is_final
        with pytest.raises(DataError, match="cut short"):
            list(unpack_pieces([data[:size]], "x"))


@every_format
def test_a_changed_byte_is_an_error_or_changes_nothing(name):
    data = compressed(name, SMALL)
    for at in range(len(data)):
        for change in (1, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= change
            if unpacking.compression_of(bytes(damaged)) is not None:
                assert content_or_error(bytes(damaged)) in (SMALL, None)


def content_or_error(data):
    try:
        return content(data)
    except DataError:
        return None


@every_format
@given(
    text=st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\0", b"def" * 999])).map(b"".join),
    more=st.binary(max_size=30),
    n_members=st.integers(1, 4),
    n_zeros=st.sampled_from([0, 4, 512, 70_000]),
    at=st.integers(0, 10_000),
    change=st.integers(1, 255),
)
def test_members_of_any_size_are_joined_and_never_less_than_all_of_them(
    name, text, more, n_members, n_zeros, at, change
):
    pack = PROGRAMS[name]
    data = b"".join(pack(text * number) + bytes(n_zeros) for number in range(n_members))
    whole = b"".join(text * number for number in range(n_members))
    assert content(data) == whole
    pieces = [data[start : start + 7] for start in range(0, min(len(data), 700), 7)] + [data[700:]]
    assert b"".join(unpack_pieces(pieces, "x")) == whole
    assert content_or_error(data + more) in (whole, None) or more.strip(b"\0") == b""
    damaged = bytearray(data)
    damaged[at % len(data)] ^= change
    if unpacking.compression_of(bytes(damaged)) is not None:
        assert content_or_error(bytes(damaged)) in (whole, None)


@every_format
def test_other_bytes_at_the_end_are_an_error(name):
    for more in (b"x", b"\0\0x", SMALL, compressed(name, SMALL)[:-1]):
        with pytest.raises(DataError, match=f"input x: {name} data is cut short or damaged"):
            content(compressed(name, SMALL) + more)


def test_zlib_and_isal_give_the_same(monkeypatch):
    data = b"".join(gzip.compress(TEXT * n) for n in range(9)) + bytes(100)
    with_isal = content(data)
    monkeypatch.setitem(sys.modules, "isal", None)
    assert content(data) == with_isal == TEXT * 36
    with pytest.raises(DataError, match=r"at or before byte .*incorrect"):
        content(data[:-200] + b"\1" + data[-199:])


def test_zlib_finds_what_isal_finds(monkeypatch):
    monkeypatch.setitem(sys.modules, "isal", None)
    test_data_that_is_cut_anywhere_is_an_error("gzip")
    test_a_changed_byte_is_an_error_or_changes_nothing("gzip")
    test_other_bytes_at_the_end_are_an_error("gzip")


def test_a_library_that_is_missing_is_an_error_with_advice(monkeypatch):
    for module in ("backports", "compression"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(JobError, match=r"x: is compressed; for zstd, .*pip install"):
        content(PROGRAMS["zstd"](SMALL))


# --- in advance ------------------------------------------------------------------------------


def test_pieces_are_made_in_advance_and_their_error_comes_after_them():
    has_begun = threading.Event()

    def pieces():
        yield b"a"
        has_begun.set()
        yield b"b"
        raise DataError("here")

    made = ahead(pieces())
    assert next(made) == b"a"
    assert has_begun.wait(60)
    assert next(made) == b"b"
    with pytest.raises(DataError, match="here"):
        next(made)


def test_a_thread_that_makes_pieces_ends_when_nobody_wants_more():
    before = set(threading.enumerate())
    made = ahead(iter(lambda: b"more", b""))
    assert next(made) == b"more"
    [thread] = set(threading.enumerate()) - before
    made.close()
    assert not thread.is_alive()


# --- memory ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, PROGRAMS["zstd"]])
def test_content_comes_in_blocks_however_much_it_is(pack):
    data = pack(bytes(50_000_000))
    pieces = unpack_pieces([data], "x")
    assert max(map(len, pieces)) <= 1 << 20


def test_a_window_over_the_limit_is_refused():
    data = bytearray(lzma.compress(b"a"))
    data[16] = 36  # the size of the dictionary: 1 GiB
    data[20:24] = zlib.crc32(data[12:20]).to_bytes(4, "little")
    with pytest.raises(DataError, match="Memory usage limit"):
        content(bytes(data))


# --- stdin and -o ----------------------------------------------------------------------------


@every_format
def test_kvproto_map_and_reduce_unpack_stdin(identity, name):
    done = kvproto_command("map", "--", identity, stdin=compressed(name, b"a\nb\n"))
    assert (done.returncode, done.stdout) == (0, b"\ta\n\n\tb\n\n")
    for form, text in (("text", b"k\tv\n"), ("jsonl", b'["k", "v"]\n')):
        packed = compressed(name, text)
        done = kvproto_command("reduce", "--in", form, "--", identity, stdin=packed)
        assert (done.returncode, done.stdout) == (0, b"k\tv\n")
    done = kvproto_command("map", "--", identity, stdin=compressed(name, TEXT)[:-1])
    assert done.returncode == 1
    assert re.search(rf"the input: {name} data is cut short".encode(), done.stderr)


@pytest.mark.parametrize(
    ("ending", "unpacked"),
    [
        (".gz", gzip.decompress),
        (".bz2", bz2.decompress),
        (".xz", lzma.decompress),
        (".zst", content),
        (".tsv", bytes),
    ],
)
def test_results_are_compressed_if_the_name_says_so(tmp_path, ending, unpacked):
    out = tmp_path / f"out{ending}"
    out.write_bytes(b"before")
    job = "kvproto.examples.wordcount.WordCount"
    (tmp_path / "text").write_bytes(b"to be or not to be\n" * 1000)
    assert kvproto_command("run", "-q", job, tmp_path / "nothing", "-o", out).returncode == 1
    assert out.read_bytes() == b"before"
    assert kvproto_command("run", "-q", job, tmp_path / "text", "-o", out).returncode == 0
    assert sorted(unpacked(out.read_bytes()).splitlines()) == [
        b"be\t2000",
        b"not\t1000",
        b"or\t1000",
        b"to\t2000",
    ]
    assert keys(input=str(out)) == lines_of(unpacked(out.read_bytes()))
