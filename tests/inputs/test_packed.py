"""Data without lines: recognized by its first bytes, refused with advice; kept whole in a tag."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib

import pytest
from support.command_line import kvproto_command
from support.jobs import ECHO, events, program, results
from support.web_server import page, serving

from kvproto.classic import Job, external, result_iterator
from kvproto.classic.ddfs import DDFS
from kvproto.classic.task_io import chain_reader, default_stream, gzip_line_reader, map_line_reader
from kvproto.errors import DataError, JobError
from kvproto.inputs.lines import checked_lines

TEXT = b"".join(b"line %d of the text\n" % number for number in range(3000))


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("text", TEXT)
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("text"), io.BytesIO())
    return file.getvalue()


UNPACKED = {
    "gzip": (gzip.compress(TEXT), "is compressed with gzip; unpack it first with `gunzip`"),
    "bzip2": (bz2.compress(TEXT), "is compressed with bzip2; unpack it first with `bunzip2`"),
    "bzip2 of nothing": (bz2.compress(b""), "is compressed with bzip2"),
    "xz": (lzma.compress(TEXT), "is compressed with xz; unpack it first with `unxz`"),
    "zstd": (
        bytes.fromhex("28b52ffd0458c90000") + TEXT,
        "is compressed with zstd; unpack it first with `unzstd`",
    ),
    "zstd after a frame to skip": (
        bytes.fromhex("502a4d1804000000") + bytes(20),
        "is compressed with zstd",
    ),
}
"""What jobs unpack; with unpack=False, and where data is unpacked already, it is not."""

PACKED = {
    "lzma": (lzma.compress(TEXT, lzma.FORMAT_ALONE), "is compressed with lzma"),
    "zip": (zipped(), "is a zip archive; unpack it first with `unzip`"),
    "empty zip": (b"PK\x05\x06" + bytes(18), "is a zip archive"),
    "lz4": (bytes.fromhex("04224d186440a7") + TEXT, "is compressed with lz4"),
    "lz4 of old": (bytes.fromhex("02214c18") + TEXT, "is compressed with lz4"),
    "tar": (tarred(), "is a tar archive; unpack it first with `tar -x`"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24), "is a 7z archive"),
    "compress": (
        b"\x1f\x9d\x90" + bytes(30),
        "is compressed with compress; unpack it first with `gzip -d`",
    ),
    "lzip": (b"LZIP\x01" + bytes(30), "is compressed with lzip"),
    "UTF-16": ("a text\n".encode("utf-16"), "is text in UTF-16; make it UTF-8 first"),
    "UTF-16, big end first": (b"\xfe\xff" + "a text\n".encode("utf-16-be"), "is text in UTF-16"),
    "a hunk": (
        struct.pack("<BBIQ", 0x81, 1, 7, 9) + bytes(9),
        "is a result of a job, .*map_reader=chain_reader",
    ),
}


@pytest.mark.parametrize("name", [*PACKED, *UNPACKED])
def test_data_without_lines_is_named_in_a_job_and_tried_once(tmp_path, name):
    data, says = (PACKED | UNPACKED)[name]
    (tmp_path / "data").write_bytes(data)
    job = Job("packed").run(
        input=[str(tmp_path / "data")], map=lambda line, params: [], unpack=name in PACKED
    )
    with pytest.raises(JobError, match=f"input {tmp_path}/data: {says}"):
        job.wait()
    assert [event for event in events(job) if event["event"] == "retry"] == []


@pytest.mark.parametrize(
    "data", [zipped(), tarred(), gzip.compress(TEXT), "text\n".encode("utf-16")]
)
def test_data_without_lines_is_named_when_it_was_compressed(tmp_path, data):
    (tmp_path / "data").write_bytes(lzma.compress(data))
    for map in (lambda line, params: [], external([program(tmp_path, ECHO)])):
        with pytest.raises(JobError, match=r"/data: is (a zip|a tar|compressed with gzip|text in)"):
            results(input=[str(tmp_path / "data")], map=map)


@pytest.mark.parametrize(
    "jobargs",
    [
        {},
        {"map_reader": map_line_reader},
        {"map_input_stream": default_stream},
        {"map_reader": lambda fd, size, url, params: fd},
        {
            "map_reader": lambda fd, size, url, params: (
                gzip_line_reader(fd, size, url) if url.endswith(".gz") else fd
            )
        },
    ],
)
@pytest.mark.parametrize("text", [True, False])
def test_data_without_lines_is_named_whoever_reads_the_lines(tmp_path, jobargs, text):
    (tmp_path / "data").write_bytes(PACKED["zip"][0])
    with pytest.raises(JobError, match="is a zip archive"):
        results(input=[str(tmp_path / "data")], map=lambda line, params: [], text=text, **jobargs)
    (tmp_path / "data").write_bytes(UNPACKED["xz"][0])
    with pytest.raises(JobError, match="is compressed with xz"):
        results(
            input=[str(tmp_path / "data")],
            map=lambda line, params: [],
            text=text,
            unpack=False,
            **jobargs,
        )


def test_data_without_lines_is_named_for_an_external_program(tmp_path):
    (tmp_path / "data").write_bytes(PACKED["7z"][0])
    with pytest.raises(JobError, match="is a 7z archive"):
        results(input=[str(tmp_path / "data")], map=external([program(tmp_path, ECHO)]))


def test_lines_that_only_look_like_packed_data_are_read(tmp_path):
    texts = [
        b"BZh9 is no magic\n",
        b"PK is a name\n",
        b"7z x a.7z\n",
        b"\xff\xfe\n",
        b"LZIP\n",
        b"Rar!\n",
        b"]\n",
    ]
    for text in texts:
        (tmp_path / "data").write_bytes(text)
        [line] = result_iterator([str(tmp_path / "data")], reader=None)
        assert line.encode("utf-8", "surrogateescape") == text


def test_a_part_of_a_large_file_that_begins_like_packed_data_is_read(tmp_path):
    line = b"\x1f\x8b\x08 packed?\n"
    (tmp_path / "data").write_bytes(b"text\n" + line * 300_000)
    found = results(
        input=[str(tmp_path / "data")],
        map=lambda line, params: [("n", 1)],
        combiner=count,
        reduce=lambda pairs, params: [("n", sum(n for _, n in pairs))],
    )
    assert found == [("n", 300_001)]


def count(key, value, buffer, done, params):
    if done:
        return buffer.items()
    buffer[key] = buffer.get(key, 0) + value


@pytest.mark.parametrize("name", ["gzip", "xz", "a result"])
def test_data_without_lines_is_kept_whole_in_a_tag_whatever_the_size_of_chunks(tmp_path, name):
    data = UNPACKED[name][0] if name in UNPACKED else result(tmp_path)
    (tmp_path / "data").write_bytes(data)
    assert (
        kvproto_command("tag", "put", "x", tmp_path / "data", "--chunk-size", "100").returncode == 0
    )
    [[_url]] = DDFS().urls("x")
    assert kvproto_command("tag", "get", "x").stdout == data
    if name == "gzip":
        for reader in (None, gzip_line_reader):
            lines = result_iterator(["tag://x"], reader=reader)
            assert "".join(lines).encode() == TEXT
    if name == "a result":
        assert len(list(result_iterator(["tag://x"]))) == 3000


def result(tmp_path):
    (tmp_path / "text").write_bytes(TEXT)
    [path] = Job().run(input=[str(tmp_path / "text")], map=lambda line, params: [(line, "")]).wait()
    with open(path, "rb") as file:
        return file.read()


def test_a_reader_may_tell_gzip_files_from_plain_ones_by_their_bytes_in_a_tag_too(tmp_path):
    def reader(fd, size, url, params):
        return gzip_line_reader(fd, size, url) if fd.buffer.peek(2)[:2] == b"\x1f\x8b" else fd

    (tmp_path / "a").write_bytes(b"plain\n")
    (tmp_path / "b").write_bytes(gzip.compress(b"packed\n"))
    DDFS().chunk("x", [str(tmp_path / "a"), str(tmp_path / "b")])
    for url in (f"{tmp_path}/[ab]", "tag://x"):
        lines = results(input=[url], map_reader=reader, map=lambda line, params: [(line, "")])
        assert [line for line, _ in lines] == ["plain\n", "packed\n"]


# --- chunks ----------------------------------------------------------------------------------


def test_chunks_are_read_by_chain_reader_and_as_lines(tmp_path):
    text = b"10 looks like a netstring\n\xff no UTF-8\n\xc3\xa9\nno newline"
    (tmp_path / "text").write_bytes(text)
    DDFS().chunk("words", [str(tmp_path / "text")], chunk_size=20)
    assert len(DDFS().urls("words")) > 1
    expected = text.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    assert list(result_iterator(["tag://words"])) == expected
    assert list(result_iterator(["tag://words"], reader=None)) == expected
    for reader in (chain_reader, None):
        lines = results(
            input=["tag://words"], map_reader=reader, map=lambda line, params: [(line, "")]
        )
        assert [line for line, _ in lines] == expected


def test_what_is_pushed_is_no_chunk_though_it_has_lines(tmp_path):
    DDFS().push("x", [(io.BytesIO(b"a line\n"), "text-0")])
    with pytest.raises(DataError, match="is not a result of a job"):
        list(result_iterator(["tag://x"]))


# --- the web ---------------------------------------------------------------------------------


ENCODED = {
    "deflate": page(zlib.compress(TEXT), Content_Encoding="deflate"),
    "br": page(TEXT, Content_Encoding="br"),
    "zstd": page(TEXT, Content_Encoding="zstd"),
    "twice": page(TEXT, Content_Encoding="gzip, gzip"),
    "part": page(TEXT[:100], 206, Content_Range=f"bytes 0-99/{len(TEXT)}"),
    "part-as-200": page(TEXT[:100], Content_Range=f"bytes 0-99/{len(TEXT)}"),
    "parts": page(TEXT, Content_Type="multipart/byteranges; boundary=x"),
    "accepted": page(TEXT, 202),
    "nothing": page(b"", 204, length=False),
    "transfer": page(TEXT, length=False, Transfer_Encoding="gzip, chunked"),
    "no-size": page(TEXT, length="-1"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_an_answer_that_is_not_the_whole_body_as_it_is_fails_the_job_at_once(name):
    says = {
        "twice": "in Content-Encoding: gzip, gzip",
        "part": "status 206 .*not the whole",
        "parts": "a part of the",
    }
    with serving({"/": ENCODED[name]}) as server:
        with pytest.raises(
            JobError, match=f"input {server.url}/: the server answered .*{says.get(name, '')}"
        ):
            results(input=[f"{server.url}/"], map=lambda line, params: [])
        assert len(server.requests) == 1


def test_a_whole_body_that_says_so_in_odd_words_is_read():
    pages = {
        "/range": page(TEXT, Content_Range=f"bytes 0-{len(TEXT) - 1}/{len(TEXT)}"),
        "/identity": page(TEXT, Content_Encoding="identity"),
        "/203": page(TEXT, 203),
    }
    with serving(pages) as server:
        for name in pages:
            assert "".join(result_iterator([f"{server.url}{name}"], reader=None)).encode() == TEXT


def test_a_body_encoded_with_gzip_is_unpacked_by_jobs_and_gzip_line_reader():
    with serving({"/": page(gzip.compress(TEXT), Content_Encoding="gzip")}) as server:
        for reader in (None, gzip_line_reader):
            lines = result_iterator([f"{server.url}/"], reader=reader)
            assert "".join(lines).encode() == TEXT
            pairs = results(
                input=[f"{server.url}/"], map_reader=reader, map=lambda line, params: [(line, "")]
            )
            assert "".join(line for line, _ in pairs).encode() == TEXT


def test_packed_data_of_a_server_that_sends_a_byte_at_a_time_is_recognized():
    def give(handler, number):
        handler.send_response(200)
        handler.end_headers()
        for byte in PACKED["lz4"][0][:40] if handler.path == "/lz4" else gzip.compress(b"one\n"):
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()

    with serving({"/lz4": give, "/gzip": give}) as server:
        with pytest.raises(DataError, match="is compressed with lz4"):
            list(result_iterator([f"{server.url}/lz4"], reader=None))
        assert list(result_iterator([f"{server.url}/gzip"], reader=None)) == ["one\n"]


# --- the byte order mark ---------------------------------------------------------------------

MARK = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path):
    (tmp_path / "data").write_bytes(MARK + b"one\n" + MARK + b"two\n")
    path, second = str(tmp_path / "data"), "\ufefftwo\n"
    assert list(result_iterator([path], reader=None)) == ["one\n", second]
    assert results(input=[path], map=lambda line, params: [(line, "")]) == [
        ("one\n", ""),
        (second, ""),
    ]
    bytes_of_lines = results(input=[path], map=external([program(tmp_path, ECHO)]))
    assert [line for _, line in bytes_of_lines] == [b"one\n", MARK + b"two\n"]
    DDFS().chunk("x", [path])
    assert list(result_iterator(["tag://x"])) == ["one\n", second]
    (tmp_path / "data.gz").write_bytes(gzip.compress(MARK + b"one\n"))
    assert list(result_iterator([f"{path}.gz"], reader=gzip_line_reader)) == ["one\n"]


def test_a_byte_order_mark_is_there_for_who_reads_the_bytes(tmp_path):
    (tmp_path / "data").write_bytes(MARK + b"one\n")
    reader = lambda fd, size, url, params: [fd.buffer.read()]  # noqa: E731
    assert list(result_iterator([str(tmp_path / "data")], reader=reader)) == [MARK + b"one\n"]


@pytest.mark.slow
def test_a_file_that_is_cut_loses_its_byte_order_mark_at_its_start_alone(tmp_path):
    (tmp_path / "data").write_bytes((MARK + b"line\n") * 400_000)
    for map in (external([program(tmp_path, ECHO)]), lambda line, params: [("", line.encode())]):
        lines = [line for _, line in results(input=[str(tmp_path / "data")], map=map)]
        assert lines[0] == b"line\n"
        assert lines[1:] == [MARK + b"line\n"] * 399_999


# --- a shell pipe ----------------------------------------------------------------------------


def test_kvproto_map_names_data_without_lines_and_drops_a_byte_order_mark(identity):
    done = kvproto_command("map", "--", identity, stdin=PACKED["lz4"][0])
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"the input: is compressed with lz4; " in done.stderr
    done = kvproto_command("map", "--", identity, stdin=MARK + b"one\n" + MARK + b"two\n")
    assert done.stdout == b"\tone\n\n\t" + MARK + b"two\n\n"


@pytest.mark.parametrize("n_bytes", [1, 2, 3, 5, 100])
def test_lines_cut_anywhere_are_the_same(n_bytes):
    def pieces(data):
        return [data[start : start + n_bytes] for start in range(0, len(data), n_bytes)]

    for data in (b"", b"a", b"\xef", b"\xef\xbb", b"\xef\xbb\xbe\n", TEXT[:100], b"\xefX" + MARK):
        assert b"".join(checked_lines(pieces(data), "x")) == data
        assert b"".join(checked_lines(pieces(MARK + data), "x")) == data
    for data, says in (PACKED | UNPACKED).values():
        with pytest.raises(DataError, match=f"x: {says}"):
            list(checked_lines(pieces(data), "x"))


def test_lines_are_given_as_soon_as_they_are_there():
    given = checked_lines(iter([b"a\n", b"b\n", None]), "x")
    assert (next(given), next(given)) == (b"a\n", b"b\n")


# --- bytes -----------------------------------------------------------------------------------


def test_a_job_that_asks_for_bytes_has_the_same_errors_and_no_mark(tmp_path):
    (tmp_path / "packed").write_bytes(PACKED["zip"][0])
    with pytest.raises(JobError, match="is a zip archive"):
        results(input=[str(tmp_path / "packed")], map=lambda line, params: [], text=False)
    (tmp_path / "data").write_bytes(MARK + b"one\n\xff\n")
    lines = results(
        input=[str(tmp_path / "data")], map=lambda line, params: [(line, "")], text=False
    )
    assert [line for line, _ in lines] == [b"one\n", b"\xff\n"]
