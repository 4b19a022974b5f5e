"""The sort of a reduce's input: order, stability, any bytes and types, memory, errors, and nothing
left behind.
"""

import os
import pickle
import random
import subprocess
import sys
from decimal import Decimal
from enum import Enum
from itertools import chain, islice
from multiprocessing.connection import wait
from operator import itemgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvproto import decode_pairs, encode_pairs
from kvproto.engine import sort_runs as runs
from kvproto.engine.sort import check_buffer_size, sort_frames, sort_pairs
from kvproto.errors import DataError, JobError

pytestmark = pytest.mark.slow

AWKWARD = st.sampled_from([0, 1, 2, 3, 4, 5, 10, 255]) | st.integers(0, 255)
BYTES = st.lists(AWKWARD, max_size=6).map(bytes) | st.binary()
TEXT = st.text(
    st.sampled_from("\0\1\2\3\4\5\n%a\u00e9\ud800\udfff\uffff\U0001f600") | st.characters(),
    max_size=6,
)
VALUES = (
    BYTES | TEXT | st.integers() | st.floats(allow_nan=False) | st.none() | st.tuples(TEXT, BYTES)
)


def batches(pairs, size=7):
    return [pairs[at : at + size] for at in range(0, len(pairs), size)]


def by_sort(pairs, directory, buffer_size="1M", size=7):
    done = list(
        chain.from_iterable(sort_pairs(iter(batches(pairs, size)), buffer_size, str(directory)))
    )
    assert os.listdir(directory) == []
    return done


def in_order(pairs):
    return sorted(pairs, key=itemgetter(0))


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    return tmp_path_factory.mktemp("sort")


# --- order, and what comes out is what went in
# -----------------------------------------------------


@pytest.mark.documented(
    "2 sort: the reduce gets equal keys one behind the other, keys in ascending order"
)
@given(pairs=st.lists(st.tuples(BYTES, BYTES)))
def test_frames_of_any_bytes_come_out_in_the_order_of_their_keys(room, pairs):
    data = encode_pairs(pairs)
    chunks = [data[at : at + 11] for at in range(0, len(data), 11)]
    assert decode_pairs(b"".join(sort_frames(chunks, "1M", str(room)))) == in_order(pairs)
    assert os.listdir(room) == []


@pytest.mark.documented(
    "2 sort: the reduce gets equal keys one behind the other, keys in ascending order"
)
@given(pairs=st.lists(st.tuples(BYTES, VALUES)) | st.lists(st.tuples(TEXT, VALUES)))
def test_keys_of_bytes_or_of_text_come_out_in_order_with_values_of_any_type(room, pairs):
    assert repr(by_sort(pairs, room)) == repr(in_order(pairs))


KINDS = [BYTES, TEXT, st.integers(), st.floats()]


@given(
    pairs=st.sampled_from(KINDS[:2]).flatmap(
        lambda keys: st.sampled_from(KINDS).flatmap(lambda v: st.lists(st.tuples(keys, v)))
    )
)
def test_values_of_one_type_come_back_as_they_were(room, pairs):
    assert repr(by_sort(pairs, room)) == repr(in_order(pairs))


COMPARABLE = [
    st.integers() | st.floats(allow_nan=False) | st.booleans(),
    st.decimals(allow_nan=False),
    st.fractions() | st.integers(),
    st.tuples(TEXT, st.integers()),
    st.tuples(st.none(), BYTES),
    st.none(),
    st.frozensets(st.nothing()),
]


@given(pairs=st.sampled_from(COMPARABLE).flatmap(lambda keys: st.lists(st.tuples(keys, VALUES))))
def test_keys_of_other_types_come_out_in_their_own_order(room, pairs):
    keys = [key for key, _ in pairs]
    assert repr(by_sort(pairs, room)) == repr(pairs if None in keys else in_order(pairs))


def test_every_byte_at_every_place_of_a_key_keeps_its_place(room):
    keys = (
        [bytes([a, b]) for a in range(256) for b in range(256)]
        + [bytes([a]) for a in range(256)]
        + [b""]
    )
    pairs = [(key, key[::-1]) for key in keys]
    random.Random(3).shuffle(pairs)
    assert by_sort(pairs, room, size=1000) == in_order(pairs)


@pytest.mark.parametrize(
    "key", [str, str.encode, int, lambda text: (text,)], ids=["text", "bytes", "int", "tuple"]
)
def test_equal_keys_keep_the_order_in_which_they_came_on_disk_too(room, key, monkeypatch):
    monkeypatch.setattr(runs, "_FAN_IN", 3)  # many runs, merged in several passes
    numbers = random.Random(5).choices(range(10, 30), k=60_000)
    pairs = [(key(str(number)), at) for at, number in enumerate(numbers)]
    assert by_sort(pairs, room, "1M", size=1000) == in_order(pairs)


def test_one_and_true_and_one_point_naught_are_the_same_key(room):
    assert (
        repr(by_sort([(2, "a"), (True, "b"), (1.0, "c"), (1, "d")], room))
        == "[(True, 'b'), (1.0, 'c'), (1, 'd'), (2, 'a')]"
    )


def test_none_as_every_key_keeps_the_order_on_disk_too(room):
    pairs = [(None, at) for at in range(30_000)]
    assert by_sort(pairs, room, size=1000) == pairs


@pytest.mark.parametrize("value", [1, "\udfff", b"\xff", None])
def test_lone_surrogates_come_back_and_have_the_place_of_their_code_point(room, value):
    pairs = [
        ("\U0001f600", value),
        ("\ue000", value),
        ("\ud800", value),
        ("\udfffx", value),
        ("\ud7ff", value),
    ]
    assert by_sort(pairs, room) == in_order(pairs)


class OnlyLess:
    """Keys that can be compared with `<` and nothing else."""

    def __init__(self, number):
        self.number = number

    def __lt__(self, other):
        return self.number < other.number


def test_keys_of_a_class_that_has_only_less_than_stay_in_order_on_disk_too(room):
    numbers = random.Random(7).choices(range(50), k=30_000)
    done = by_sort(
        [(OnlyLess(number), at) for at, number in enumerate(numbers)], room, "1M", size=1000
    )
    assert [(key.number, at) for key, at in done] == in_order(
        [(number, at) for at, number in enumerate(numbers)]
    )


class Colour(str, Enum):  # noqa: UP042
    RED = "red"


class Octets(bytes):
    pass


def test_keys_of_subclasses_of_text_and_bytes_come_back_as_such(room):
    done = by_sort([("z", 1), (Colour.RED, 2), ("a", 3)], room)
    assert [(type(key), key, value) for key, value in done] == [
        (str, "a", 3),
        (Colour, Colour.RED, 2),
        (str, "z", 1),
    ]
    done = by_sort([(Octets(b"b"), 1), (bytearray(b"a\0"), 2), (b"c", 3)], room)
    assert [(type(key), key, value) for key, value in done] == [
        (bytearray, b"a\0", 2),
        (Octets, b"b", 1),
        (bytes, b"c", 3),
    ]
    assert [type(key) for key, _ in by_sort([(Colour.RED, 1)], room)] == [Colour]


def test_a_record_longer_than_the_buffer_and_the_blocks_is_sorted(room):
    pairs = [("b", b"\0" * 3_000_000), ("a" * 2_000_000, "x"), ("a", bytes(range(256)) * 10_000)]
    assert by_sort(pairs, room) == in_order(pairs)
    pairs = [(3, b"\0" * 3_000_000), (1, b"y" * 3_000_000), (2, None)]
    assert by_sort(pairs, room, size=1) == in_order(pairs)


def test_a_value_of_a_class_that_cannot_be_imported_comes_back(room):
    class Local:
        number = 3

    [(_, value)] = by_sort([("a", Local())], room)
    assert value.number == 3


class Tripwire:
    def __reduce__(self):
        return (pytest.fail, ("what an external program gave was unpickled",))


def test_frames_are_never_unpickled(room):
    frames = encode_pairs(
        [(b"k", b"p" + pickle.dumps(Tripwire())), (b"a", b"k" + pickle.dumps(Tripwire()))]
    )
    assert len(b"".join(sort_frames([frames], "1M", str(room)))) == len(frames)


def test_nothing_is_sorted_to_nothing(room):
    assert by_sort([], room) == [] == list(sort_pairs([[], []], "1M", str(room)))
    assert b"".join(sort_frames([], "1M", str(room))) == b""
    assert list(chain.from_iterable(sort_pairs([[], [("a", 1)], [], []], "1M", str(room)))) == [
        ("a", 1)
    ]


# --- keys without an order
# -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys, types",
    [
        (["a", b"b"], "types bytes and str cannot be ordered: 'a' and b'b'"),
        ([b"b", "a"], "types bytes and str cannot be ordered: b'b' and 'a'"),
        (["a", 7], "types int and str cannot be ordered: 'a' and 7"),
        ([7, "a"], "types int and str cannot be ordered: 7 and 'a'"),
        ([7, None], "types NoneType and int cannot be ordered: 7 and None"),
        ([None, "x"], "types NoneType and str cannot be ordered: None and 'x'"),
        ([{}, {}], "type dict cannot be ordered: {} and {}"),
        ([1j], "type complex cannot be ordered"),
        ([Decimal(1), (1,)], "types Decimal and tuple cannot be ordered"),
        ([1.0, float("nan")], "the key nan has no place in an order"),
    ],
)
@pytest.mark.parametrize("n_between", [0, 50_000])
def test_keys_without_an_order_are_an_error_that_shows_them_wherever_they_come(
    room, keys, types, n_between
):
    pairs = [(keys[0], 0)] * (n_between if keys[0] != {} else 0) + [(key, 0) for key in keys]
    with pytest.raises(TypeError) as caught:
        by_sort(pairs, room, size=1000)
    assert str(caught.value).startswith("sort: ") and types in str(caught.value)
    assert os.listdir(room) == []


def test_keys_whose_parts_have_no_order_are_shown_in_memory_and_in_the_merge(room):
    pairs = [((1, 2), 0), ((1, "x"), 0)]
    with pytest.raises(TypeError, match=r"type tuple cannot be ordered: .*\(1, 'x'\)"):
        by_sort(pairs, room)
    apart = [((1, number), None) for number in range(30_000)] + [
        ((1, str(number)), None) for number in range(30_000)
    ]
    with pytest.raises(TypeError, match=r"type tuple cannot be ordered: \(1, .*\) and \(1, "):
        by_sort(apart, room, size=1000)


# --- nothing is left
# -----------------------------------------------------------------------------------


KEYS = {"text": "%d".__mod__, "bytes": b"%d".__mod__, "int": int}


def of_any_length(key):
    for number in range(1_000_000):
        yield [(key(number), "v" * 100) for _ in range(1000)]


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_nothing_is_left_when_the_source_fails(room, key):
    def broken():
        source = of_any_length(key)
        for _ in range(30):
            yield next(source)
        assert key is int or os.listdir(room)
        raise KeyError("the source failed")

    with pytest.raises(KeyError, match="the source failed"):
        list(sort_pairs(broken(), "1M", str(room)))
    assert os.listdir(room) == []


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_nothing_is_left_when_it_is_closed_early(room, key):
    done = sort_pairs(islice(of_any_length(key), 30), "1M", str(room))
    assert next(done)
    assert key is int or os.listdir(room)
    done.close()
    assert os.listdir(room) == []
    assert (
        subprocess.run(["pgrep", "-f", str(room)], capture_output=True, check=False).stdout == b""
    )


IN_THE_MIDDLE = """
import os, signal, sys
from kvproto.engine.sort import sort_pairs
def batches():
    for number in range(100):
        yield [("%d" % number, "v" * 100)] * 1000
    with open(f"/proc/self/task/{os.getpid()}/children") as children:
        print(children.read(), flush=True)
    signal.pause()
next(sort_pairs(batches(), "1M", sys.argv[1]))
"""


def test_the_program_and_its_files_are_gone_when_the_process_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-P", "-c", IN_THE_MIDDLE, str(tmp_path)], stdout=subprocess.PIPE
    ) as process:
        supervisor = os.pidfd_open(int(process.stdout.readline()))
        assert os.listdir(tmp_path)
        process.kill()
    assert wait([supervisor], timeout=30)
    os.close(supervisor)
    assert os.listdir(tmp_path) == []
    assert (
        subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, check=False).stdout
        == b""
    )


# --- failures of the program and of the disk
# ---------------------------------------------------------------


def test_without_the_program_it_is_named_and_no_other_try_is_made(room, monkeypatch):
    monkeypatch.setenv("PATH", str(room))
    with pytest.raises(JobError, match="there is no program `sort` on the PATH"):
        by_sort([("a", 1)], room)
    assert os.listdir(room) == []


def stand_in(directory, monkeypatch, script):
    """Another program of the name."""
    (directory / "sort").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "sort").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    "script, says, n_pairs",
    [
        ("kill -9 $$", "the program `sort` failed: killed by SIGKILL; it said: nothing", 10),
        ("kill -9 $$", "the program `sort` failed: killed by SIGKILL; it said: nothing", 100_000),
        (
            "cat; echo it is broken >&2; exit 2",
            "the program `sort` failed: exit status 2; it said: it is broken",
            10,
        ),
        ("cat | head -c -1", "the program `sort` failed: its output ends inside a record", 10),
        ("head -z -n 5", "the program `sort` was given 10 records and gave back 5", 10),
        ("cat > /dev/null", "the program `sort` was given 100000 records and gave back 0", 100_000),
    ],
)
def test_a_program_that_fails_or_loses_records_is_an_error_with_its_words(
    room, tmp_path, monkeypatch, script, says, n_pairs
):
    stand_in(tmp_path, monkeypatch, script)
    with pytest.raises(DataError, match=says):
        by_sort([("key", "value")] * n_pairs, room, size=1000)
    assert os.listdir(room) == []


ON_A_SMALL_DISK = """
import os, sys
from kvproto.engine.sort import sort_pairs
key = {"text": str, "int": int}[sys.argv[2]]
try:
    pairs = ([(key(number), f"{other:100}") for other in range(1000)] for number in range(300))
    list(sort_pairs(pairs, "1M", sys.argv[1]))
except Exception as e:
    print(type(e).__name__, e)
print(os.listdir(sys.argv[1]))
"""


@pytest.mark.parametrize("key", ["text", "int"])
def test_a_full_disk_is_an_error_that_no_other_try_mends_and_says_what_to_do(tmp_path, key):
    shell = 'mount -t tmpfs -o size=4m tmpfs "$1" || exit 77; exec "$2" -P -c "$3" "$1" "$4"'
    argv = [
        "unshare",
        "-rm",
        "sh",
        "-c",
        shell,
        "sh",
        str(tmp_path),
        sys.executable,
        ON_A_SMALL_DISK,
        key,
    ]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no unshare to make a small disk with")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no small disk can be made here: {done.stderr}")
    assert done.stdout.startswith("JobError ") and done.stdout.endswith("\n[]\n")
    assert (
        "No space left on device" in done.stdout
        and str(tmp_path) in done.stdout
        and "KVPROTO_HOME" in done.stdout
    )


def test_a_directory_that_is_not_there_is_named(tmp_path):
    for key in ("a", 1):
        with pytest.raises(DataError, match=f"{tmp_path}/nowhere"):
            list(
                sort_pairs(
                    ([(key, number)] * 1000 for number in range(100)),
                    "1M",
                    str(tmp_path / "nowhere"),
                )
            )


# --- memory
# --------------------------------------------------------------------------------------------


MEASURED = """
import resource, sys
from kvproto.engine.sort import sort_pairs
key = {
    "text": "%08d".__mod__,
    "bytes": b"%08d".__mod__,
    "int": int,
    "tuple": lambda number: (number, "x"),
}[sys.argv[2]]
N = 1_000_000
def peak(whose):
    return resource.getrusage(whose).ru_maxrss >> 10
def batches():
    for first in range(0, N, 1000):
        yield [(key(number * 7919 % N), b"v" * 80) for number in range(first, first + 1000)]
before = peak(resource.RUSAGE_SELF)
n, last = 0, None
for batch in sort_pairs(batches(), "8M", sys.argv[1]):
    assert last is None or last < batch[0][0]
    last = batch[-1][0]
    n += len(batch)
assert n == N
print(peak(resource.RUSAGE_SELF) - before, peak(resource.RUSAGE_CHILDREN))
"""


@pytest.mark.parametrize("key", ["text", "bytes", "int", "tuple"])
def test_ten_times_more_data_than_the_buffer_is_sorted_within_its_memory(tmp_path, key):
    """96 MB of records, more as objects, with a buffer of 8 MiB: the program stays within twice
    that, this process too.
    """
    argv = [sys.executable, "-P", "-c", MEASURED, str(tmp_path), key]
    here, program = map(
        int, subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    )
    assert here <= 16 and program <= 16, f"MiB: {here} here, {program} in the program"
    assert os.listdir(tmp_path) == []


# --- the buffer's size
# ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["10%", "64M", "1G", "512K", "100b", "5", "1k", "1t", "0", "1P", "1E", "200%"]
)
def test_a_size_that_sort_takes_is_taken(room, text):
    check_buffer_size(text)
    assert by_sort([("b", 1), ("a", 2)], room, text) == [("a", 2), ("b", 1)]
    assert by_sort([(2, 1), (1, 2)], room, text) == [(1, 2), (2, 1)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M",
        "%",
        "-5",
        "+5",
        " 5",
        "5 ",
        "64MB",
        "1.5G",
        "10%%",
        "1p",
        "1Z",
        "9" * 30,
        "9999E",
        "\u0663",
        64,
        None,
        b"1M",
    ],
)
def test_a_size_that_sort_would_not_take_is_a_value_error_that_says_what_it_takes(text):
    with pytest.raises(ValueError, match=r"sort_buffer_size is what `sort -S` takes.*'10%'.*'64M'"):
        check_buffer_size(text)
