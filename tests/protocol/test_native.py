"""The compiled primitives where no caller in this package takes them: misuse, and memory that is
not there.
"""

import gc
import mmap
import sys

import pytest
from support.codecs_under_test import NAMES, codec_named
from support.memory import memory_for

from kvproto import MAX_ITEM, encode_list, encode_pair
from kvproto.protocol import reference as _reference
from kvproto.protocol.dealing import NativeDealer

pytestmark = pytest.mark.skipif(
    "native" not in NAMES, reason="KVPROTO_PURE=1 asks for the reference alone"
)

MIB = 1 << 20
BIG = bytes(96 * MIB)
"""So large that the C library always asks the kernel for it."""
BIG_PAIR = encode_pair(b"", BIG)
BIG_TYPED = encode_pair(b"", b"b" + BIG)


@pytest.fixture
def native():
    return codec_named("native").primitives


# --- misuse ---------------------------------------------------------------------------------------

ARGUMENTS = {
    "scan_pairs": (b"", 0, 1, MAX_ITEM, []),
    "scan_lists": (b"", 0, None, 0, MAX_ITEM, []),
    "pack_pairs": ([], MAX_ITEM, 0),
    "frame_lines": (b"",),
    "split_lines": (b"", True),
    "sum_pairs": (iter(()), {}, 1),
    "deal_pairs": ([], [[]], len),
    "pack_typed": ([], True, len),
    "unpack_typed": (b"", True, len),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_wrong_number_of_arguments_is_refused(native, name):
    function, arguments = getattr(native, name), ARGUMENTS[name]
    function(*arguments)
    for wrong in ((), (*arguments, 0)):
        with pytest.raises(TypeError) as caught:
            function(*wrong)
        assert str(caught.value) == f"{name}() takes {len(arguments)} arguments, not {len(wrong)}"
    with pytest.raises(TypeError, match="keyword"):
        function(*arguments, more=1)


@pytest.mark.parametrize(
    "wrong", [([], {}, 1), (iter(()), [], 1), (iter(()), {}, "1"), (iter(()), {}, 1 << 70)]
)
def test_sums_of_other_things_are_refused(native, wrong):
    with pytest.raises((TypeError, OverflowError)):
        native.sum_pairs(*wrong)


@pytest.mark.parametrize(
    "wrong",
    [([("a", 1)], []), ([("a", 1)], ()), ([("a", 1)], [()]), ([()], [[]]), ([["a", 1]], [[]])],
)
def test_dealing_other_things_is_refused(native, wrong):
    with pytest.raises(TypeError, match="takes a list of tuples"):
        native.deal_pairs(*wrong, len)


NOT_BYTES = [3, None, "text", [b"x"], memoryview(bytes(8))[::2]]
NOT_A_NUMBER = ["1", None, 1.5, b"1"]
WRONG = (
    [(name, 0, wrong) for name in ARGUMENTS if name != "pack_pairs" for wrong in NOT_BYTES]
    + [("scan_pairs", at, wrong) for at in (1, 2, 3) for wrong in NOT_A_NUMBER]
    + [("scan_lists", at, wrong) for at in (1, 3, 4) for wrong in NOT_A_NUMBER]
    + [("pack_pairs", at, wrong) for at in (1, 2) for wrong in NOT_A_NUMBER]
    + [("pack_pairs", 0, wrong) for wrong in (3, None)]
)


@pytest.mark.parametrize(("name", "at", "wrong"), WRONG)
def test_an_argument_of_a_wrong_type_is_refused(native, name, at, wrong):
    arguments = list(ARGUMENTS[name])
    arguments[at] = wrong
    with pytest.raises((TypeError, BufferError)):
        getattr(native, name)(*arguments)


@pytest.mark.parametrize(
    ("name", "at"), [("scan_pairs", 1), ("scan_pairs", 2), ("scan_lists", 1), ("pack_pairs", 1)]
)
@pytest.mark.parametrize("wrong", [-1, 1 << 64])
def test_a_number_that_no_size_can_be_is_refused(native, name, at, wrong):
    arguments = list(ARGUMENTS[name])
    arguments[at] = wrong
    with pytest.raises(OverflowError):
        getattr(native, name)(*arguments)


def test_values_can_only_be_appended_to_a_list(native):
    with pytest.raises(SystemError):
        native.scan_pairs(encode_pair("k", "v"), 0, 1, MAX_ITEM, ())
    with pytest.raises(SystemError):
        native.scan_lists(encode_list([("k", "v")]), 0, None, 0, MAX_ITEM, ())
    with pytest.raises(SystemError):
        native.scan_lists(encode_pair("k", "v"), 0, (), 1, MAX_ITEM, [])
    assert gc.isenabled()


def test_a_truth_that_cannot_be_told_comes_out_as_it_is(native):
    class Unsure:
        def __bool__(self):
            raise RuntimeError("unsure")

    with pytest.raises(RuntimeError, match="unsure"):
        native.split_lines(b"a\n", Unsure())
    with pytest.raises(RuntimeError, match="unsure"):
        native.pack_typed([], Unsure(), len)
    with pytest.raises(RuntimeError, match="unsure"):
        native.unpack_typed(b"", Unsure(), len)


def test_a_start_behind_the_end_finds_nothing(native):
    out = []
    assert native.scan_pairs(encode_pair("k", "v"), 1000, 1, MAX_ITEM, out) == (10, _reference.FINE)
    assert out == []


@pytest.mark.parametrize("was_enabled", [True, False])
def test_the_cycle_collector_is_afterwards_as_it_was_before(native, was_enabled):
    try:
        (gc.enable if was_enabled else gc.disable)()
        native.scan_pairs(encode_pair("k", "v"), 0, 1, MAX_ITEM, [])
        native.scan_lists(encode_list([("k", "v")]), 0, None, 0, MAX_ITEM, [])
        assert gc.isenabled() == was_enabled
    finally:
        gc.enable()


# --- large and too large --------------------------------------------------------------------------


def test_a_large_result_is_that_of_the_reference(native):
    pairs = [(b"%d" % index, bytes([index % 251]) * 100_000) for index in range(100)]
    assert native.pack_pairs(pairs, MAX_ITEM) == _reference.pack_pairs(pairs, MAX_ITEM)


NO_ROOM = [
    pytest.param(
        lambda native: native.pack_typed([("k", BIG)], True, len), 32, id="frames of typed values"
    ),
    pytest.param(
        lambda native: native.unpack_typed(BIG_TYPED, True, len), 32, id="objects of typed values"
    ),
    pytest.param(lambda native: native.frame_lines(b"\n" * (16 * MIB)), 32, id="frames of lines"),
    pytest.param(lambda native: native.split_lines(b"\n" * (16 * MIB), True), 32, id="lines"),
    pytest.param(lambda native: native.split_lines(BIG_PAIR, False), 32, id="a line"),
    pytest.param(lambda native: native.pack_pairs([(b"", BIG)], MAX_ITEM), 32, id="packed pairs"),
]


@pytest.mark.parametrize(("call", "mib"), NO_ROOM)
def test_memory_that_is_not_there_is_a_memory_error_and_the_function_goes_on_working(
    native, call, mib
):
    with memory_for(mib * MIB), pytest.raises(MemoryError):
        call(native)
    assert native.frame_lines(b"v\n") == (encode_pair("", "v\n"), 1)


@pytest.mark.slow
def test_a_line_that_is_too_large_for_a_frame_is_refused(native):
    says = "a line has 4294967296 bytes, but an item can have at most"
    with (
        mmap.mmap(-1, 1 << 32, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as line,
        pytest.raises(ValueError, match=says),
    ):
        native.frame_lines(line)


@pytest.mark.parametrize("kind", ["pairs", "lists"])
def test_a_pair_that_memory_cannot_hold_is_a_memory_error_and_keeps_nothing(native, kind):
    data, out, under_way = BIG_PAIR, [], []
    n_references = sys.getrefcount(under_way), sys.getrefcount(data)
    with memory_for(32 * MIB), pytest.raises(MemoryError):
        if kind == "pairs":
            native.scan_pairs(data, 0, 1, MAX_ITEM, out)
        else:
            native.scan_lists(data, 0, under_way, 1, MAX_ITEM, out)
    assert (sys.getrefcount(under_way), sys.getrefcount(data)) == n_references
    assert out == under_way == []
    assert gc.isenabled()


def test_a_key_that_memory_cannot_hold_is_a_memory_error_of_the_dealer():
    data = encode_pair(BIG, b"")
    dealer = NativeDealer(2, print, with_lists=False)
    with memory_for(32 * MIB), pytest.raises(MemoryError):
        dealer.feed(data)
    assert dealer.n_pairs == 0


def test_buffers_that_memory_cannot_hold_are_a_memory_error_of_the_dealer():
    with memory_for(32 * MIB), pytest.raises(MemoryError):
        NativeDealer(96, print, with_lists=False, buffer_bytes=MIB)
