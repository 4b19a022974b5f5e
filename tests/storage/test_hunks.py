"""The original's result formats: files as it wrote them, and every way in which one can be cut or
damaged.
"""

import datetime
import io
import pickle
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto.classic.task_io import (
    chain_reader,
    disco_output_stream,
    old_netstr_reader,
    plain_output_stream,
)
from kvproto.errors import DataError
from kvproto.protocol.frames import MAX_ITEM
from kvproto.storage import hunks


def old_hunk(raw: bytes, *, is_compressed: bool = True) -> bytes:
    """A hunk as the original wrote it, the closing one too: what is empty was compressed like any
    other.
    """
    stored = zlib.compress(raw, 2) if is_compressed else raw
    return struct.pack("<BBIQ", 0x81, is_compressed, zlib.crc32(raw), len(stored)) + stored


# (key, value) pickles, opcode by opcode, as cPickle of Python 2 writes them with protocol 1, which
# the original used: ( mark, U short 8-bit string, X unicode, K 1-byte int, L long, G float, N None,
# q memo, c class, R call, t tuple, . end
WORD = b"(U\x04wordq\x01K\x03tq\x02."
CAFE = b"(U\x05caf\xc3\xa9q\x01X\x05\x00\x00\x00caf\xc3\xa9q\x02tq\x03."
BINARY = b"(U\x04\x00\xff\xfeaq\x01G\x3f\xf8\x00\x00\x00\x00\x00\x00tq\x02."
LONG = b"(NL123456789012345678901L\ntq\x01."
LIST = b"(U\x01kq\x01]q\x02(K\x01U\x01vq\x03etq\x04."
DATE = (
    b"(U\x01dq\x01cdatetime\ndatetime\nq\x02(U\n"
    b"\x07\xda\x0c\x1f\x17;;\x00\x00\x00q\x03tq\x04Rq\x05tq\x06."
)
DAY = b"(U\x01dq\x01cdatetime\ndate\nq\x02(U\x04\x07\xda\x0c\x1fq\x03tq\x04Rq\x05tq\x06."
PROTOCOL_0 = b"(S'w\\xc3\\xb6rd'\np1\nI3\ntp2\n."
PROTOCOL_2 = b"\x80\x02U\x04wordq\x01K\x03\x86q\x02."

CLOSING = old_hunk(b"")
WHOLE = old_hunk(WORD + CAFE) + old_hunk(BINARY) + CLOSING


def read(data: bytes, size=None):
    return list(chain_reader(io.BytesIO(data), size, "http://host/part-0", None, trust=True))


@pytest.mark.parametrize(
    "record, pair",
    [
        (WORD, ("word", 3)),
        (CAFE, ("café", "café")),
        (BINARY, ("\x00\udcff\udcfea", 1.5)),
        (LONG, (None, 123456789012345678901)),
        (LIST, ("k", [1, "v"])),
        (DATE, ("d", datetime.datetime(2010, 12, 31, 23, 59, 59))),
        (DAY, ("d", datetime.date(2010, 12, 31))),
        (PROTOCOL_0, ("wörd", 3)),
        (PROTOCOL_2, ("word", 3)),
    ],
)
def test_what_python_2_pickled_is_read_with_8_bit_strings_as_str(record, pair):
    [(key, value)] = read(old_hunk(record) + CLOSING)
    assert (key, value) == pair and type(value) is type(pair[1])


def test_hunks_come_in_order_compressed_or_not_and_closed_either_way():
    pairs = [("word", 3), ("café", "café"), ("\x00\udcff\udcfea", 1.5)]
    assert read(WHOLE) == pairs
    plain = (
        old_hunk(WORD + CAFE, is_compressed=False)
        + old_hunk(BINARY)
        + old_hunk(b"", is_compressed=False)
    )
    assert read(plain) == pairs


def test_a_result_without_pairs_has_none():
    assert read(CLOSING) == []


def test_files_written_one_behind_the_other_are_read_to_the_end():
    assert read(WHOLE + WHOLE) == 2 * read(WHOLE)


def test_a_file_cut_anywhere_is_refused_with_its_name_and_place():
    ends = [len(old_hunk(WORD + CAFE)), len(WHOLE) - len(CLOSING)]
    for size in range(1, len(WHOLE)):
        with pytest.raises(
            DataError, match=r"http://host/part-0, at byte \d+: is cut short"
        ) as caught:
            read(WHOLE[:size])
        if size in ends:
            assert f"at byte {size}: is cut short: it ends without the hunk that closes it" in str(
                caught.value
            )


def test_a_hunk_in_which_any_byte_is_changed_gives_no_wrong_pair():
    hunk = old_hunk(WORD + CAFE)
    n_refused = 0
    for at in range(1, len(hunk)):
        data = bytearray(hunk + CLOSING)
        data[at] ^= 0x40
        reader = chain_reader(io.BytesIO(data), None, "http://host/part-0", None, trust=True)
        try:
            assert next(reader) == ("word", 3)  # what the byte says does not matter to zlib
        except DataError as e:
            assert str(e).startswith("http://host/part-0, at byte ")
            n_refused += 1
    assert n_refused >= len(hunk) - 4


def test_a_flag_that_says_not_compressed_of_what_is_does_not_have_the_checksum():
    data = bytearray(WHOLE)
    data[1] = 0
    with pytest.raises(DataError, match="at byte 0: the hunk is damaged: its checksum is wrong"):
        read(bytes(data))


def test_a_damaged_hunk_is_told_and_left_out_where_that_is_asked_for(capsys):
    hunk = bytearray(old_hunk(WORD + CAFE))
    hunk[-1] ^= 0x40
    data = old_hunk(WORD) + hunk + old_hunk(CAFE) + CLOSING

    def pairs(**how):
        return chain_reader(io.BytesIO(data), None, "part-0", None, **how)

    with pytest.raises(DataError, match=f"at byte {len(old_hunk(WORD))}: the hunk is damaged"):
        list(pairs())
    assert list(pairs(ignore_corrupt=True)) == [
        *read(old_hunk(WORD) + CLOSING),
        *read(old_hunk(CAFE) + CLOSING),
    ]
    assert f"part-0, at byte {len(old_hunk(WORD))}: the hunk is damaged" in capsys.readouterr().out
    with pytest.raises(DataError, match="is cut short"):
        list(chain_reader(io.BytesIO(data[:-1]), None, "part-0", None, ignore_corrupt=True))


def test_what_is_no_hunk_behind_a_hunk_names_its_place():
    with pytest.raises(DataError, match=f"at byte {len(WHOLE)}: no hunk begins here: 0x61"):
        read(WHOLE + b"and some text")


def test_an_announced_size_is_not_allocated():
    with pytest.raises(
        DataError, match=f"announces {2**60} bytes of a hunk, but the limit is {MAX_ITEM}"
    ):
        read(struct.pack("<BBIQ", 0x81, 1, 0, 2**60) + b"x")


def test_a_pickle_that_cannot_be_read_names_its_record():
    missing = b"(U\x01kq\x01cno_such_module\nThing\nq\x02tq\x03."
    with pytest.raises(
        DataError, match=f"record at byte {len(WORD)} of the hunk that ends here .*no_such_module"
    ):
        read(old_hunk(WORD + missing) + CLOSING)
    with pytest.raises(
        DataError, match=r"holds 3, which is neither a \(key, value\) pair nor a line"
    ):
        read(old_hunk(b"K\x03.") + CLOSING)


@given(
    st.lists(st.tuples(st.text() | st.binary() | st.integers(), st.none() | st.lists(st.text())))
)
def test_what_is_written_is_read_again_of_its_own_type(pairs):
    file = io.BytesIO()
    out = disco_output_stream(file, 0, "url", None)
    for pair in pairs:
        out.add(*pair)
    out.close()
    assert repr(read(file.getvalue())) == repr(pairs)


def test_hunks_are_written_from_1_mib_on_as_python_2_reads_them():
    file = io.BytesIO()
    out = disco_output_stream(file, 0, "url", None)
    for _number in range(3):
        out.add("key", b"x" * (600 << 10))
    assert len(file.getvalue()) > 0
    out.close()
    version, is_compressed, crc, n_bytes = struct.unpack_from("<BBIQ", file.getvalue())
    raw = zlib.decompress(file.getvalue()[14 : 14 + n_bytes])
    assert (version, is_compressed, crc) == (0x81, 1, zlib.crc32(raw)) and 1 << 20 <= len(
        raw
    ) < 2 << 20
    assert raw[:2] == b"\x80\x02"  # pickle's protocol 2, the last that it knows
    assert file.getvalue().endswith(CLOSING)


NETSTRINGS = b"3 key 5 value\n5 caf\xc3\xa9 2 \xff\n\n0  0 \n"
PAIRS = [("key", "value"), ("café", "\udcff\n"), ("", "")]


def test_netstrings_are_read_by_bytes_whatever_is_in_them():
    assert read(NETSTRINGS) == read(NETSTRINGS, len(NETSTRINGS)) == PAIRS
    assert (
        list(old_netstr_reader(io.BytesIO(NETSTRINGS[1:]), len(NETSTRINGS), "url", NETSTRINGS[:1]))
        == PAIRS
    )


def test_plain_output_is_those_netstrings():
    file = io.BytesIO()
    out = plain_output_stream(file, 0, "url", None)
    for pair in [(b"key", "value"), ("café", b"\xff\n"), ("", b""), (1, None)]:
        out.add(*pair)
    out.close()
    assert file.getvalue() == NETSTRINGS + b"1 1 4 None\n"


def test_netstrings_cut_anywhere_but_behind_a_pair_are_refused():
    for size in range(2, len(NETSTRINGS)):
        if NETSTRINGS[:size] not in (
            b"3 key 5 value\n",
            b"3 key 5 value\n5 caf\xc3\xa9 2 \xff\n\n",
        ):
            with pytest.raises(DataError, match=r"^http://host/part-0, at byte \d+: is cut short"):
                read(NETSTRINGS[:size])


def test_netstrings_cut_behind_a_pair_are_refused_where_the_size_is_known():
    with pytest.raises(
        DataError, match=f"at byte 14: is cut short: {len(NETSTRINGS)} bytes expected"
    ):
        read(b"3 key 5 value\n", len(NETSTRINGS))


@pytest.mark.parametrize(
    "data, what",
    [
        (
            b"3 key 5 value\nkey",
            "at byte 14: a length, at most 10 digits and a space, should be here, not b'key'",
        ),
        (b"3 key 5 value\nkey value", "at byte 14: a length, .*not b'key value'"),
        (b"3 key 12345678901 v", "at byte 6: a length.* not b'12345678901'"),
        (b"2 key 5 value\n", "at byte 0: 2 bytes are not followed by b' ', but by b'y'"),
        (b"3 key 9999999999 v", f"announces 10000000000 bytes.*the limit is {MAX_ITEM}"),
    ],
)
def test_what_is_no_netstring_names_its_place(data, what):
    with pytest.raises(DataError, match=what):
        read(data)


def test_a_hunk_that_unpacks_to_more_than_the_limit_is_refused_and_not_unpacked(monkeypatch):
    monkeypatch.setattr(hunks, "MAX_HUNK", 1000)
    with pytest.raises(
        DataError, match="part-0, at byte 0: the hunk unpacks to more than 1000 bytes, the limit"
    ):
        read(old_hunk(b"\0" * 10_000_000))


@pytest.mark.parametrize("spoilt", [lambda stored: stored[:-4], lambda stored: stored + b"more"])
def test_a_hunk_whose_compressed_data_does_not_end_where_it_does_is_damaged(spoilt):
    stored = spoilt(zlib.compress(WORD))
    with pytest.raises(DataError, match="at byte 0: the hunk is damaged"):
        read(struct.pack("<BBIQ", 0x81, 1, zlib.crc32(WORD), len(stored)) + stored + CLOSING)


def test_a_pair_that_could_not_be_read_again_is_not_written(monkeypatch):
    monkeypatch.setattr(hunks, "MAX_ITEM", 1000)
    with pytest.raises(
        ValueError, match=r"a pair of [0-9]+ bytes, pickled: the limit is 1000; its key is 'k'"
    ):
        hunks.HunkWriter(io.BytesIO()).add("k", "v" * 1000)


def test_chunks_of_lines_that_the_original_made_are_read():
    lines = b"".join(pickle.dumps(line, 2) for line in ("b a\n", b"\xff\n"))
    assert read(old_hunk(lines) + CLOSING) == ["b a\n", b"\xff\n"]
