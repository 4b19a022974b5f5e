"""Pairs and result lists dealt to partitions: each pair goes to that of its key, and the errors are
those of the decoders.
"""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.codecs_under_test import NAMES
from support.stream_strategies import (
    KINDS,
    cut,
    cuts,
    encode,
    every_kind,
    frame_like,
    limits,
    list_lists,
)
from support.vectors_format import load

from kvproto import MAX_ITEM, PairDecoder, encode_list, encode_pairs
from kvproto.errors import ItemTooLarge, ProtocolError
from kvproto.protocol import native as _native
from kvproto.protocol.dealing import Dealer, NativeDealer, ReferenceDealer
from kvproto.protocol.stream import ReferenceStream

DEALERS = {"native": NativeDealer, "reference": ReferenceDealer}
every_dealer = pytest.mark.parametrize("name", [name for name in NAMES if name != "c"])
# So many that a cut finds lists that are dealt whole, and others field by field.
long_lists = st.lists(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=50))))
many_cuts = st.lists(st.integers(0, 2000), max_size=8)
buffer_sizes = st.integers(1, 100) | st.just(4096)


class Dealt:
    """What a dealer makes of pieces of a stream: the bytes and counts of partitions, the fault."""

    def __init__(self, name, kind, pieces, n_partitions, *, max_item=MAX_ITEM, buffer_bytes=None):
        self.data = [b""] * n_partitions
        self.n_pairs = [0] * n_partitions
        self.sizes = []
        self.fault = ()
        dealer = DEALERS[name](
            n_partitions,
            self.write,
            with_lists=kind == "lists",
            max_item=max_item,
            buffer_bytes=buffer_bytes,
        )
        try:
            for piece in pieces:
                dealer.feed(piece)
            dealer.close()
        except ProtocolError as fault:
            self.fault = (type(fault), fault.offset, fault.field, fault.clause, str(fault))
        dealer.flush()
        self.state = (dealer.n_pairs, dealer.n_lists, dealer.list_under_way())

    def write(self, partition, data, n_pairs):
        self.data[partition] += bytes(data)
        self.n_pairs[partition] += n_pairs
        self.sizes.append(len(data))

    def pairs(self):
        """The complete pairs of each partition."""
        return [PairDecoder(max_item=0xFFFFFFFF).feed(data) for data in self.data]


def fault_of_stream(kind, pieces, max_item):
    frames = ReferenceStream(with_lists=kind == "lists", max_item=max_item)
    try:
        for piece in pieces:
            frames.feed(piece)
        frames.close()
    except ProtocolError as fault:
        return (type(fault), fault.offset, fault.field, fault.clause, str(fault))
    return ()


def test_the_compiled_dealer_is_under_test():
    if "native" in NAMES:
        assert _native.NATIVE
        assert type(Dealer(1, print, with_lists=True)) is NativeDealer


@every_dealer
@every_kind
@given(lists=list_lists | long_lists, at=many_cuts, n=st.integers(1, 5), size=buffer_sizes)
def test_each_pair_goes_to_the_partition_of_its_key(name, kind, lists, at, n, size):
    pairs = [pair for pairs_of_list in lists for pair in pairs_of_list]
    data = encode(kind, lists if kind == "lists" else pairs)
    dealt = Dealt(name, kind, cut(data, at), n, buffer_bytes=size)
    due = [[pair for pair in pairs if crc32(pair[0]) % n == index] for index in range(n)]
    assert dealt.data == [encode_pairs(pairs_of_partition) for pairs_of_partition in due]
    assert dealt.n_pairs == [len(pairs_of_partition) for pairs_of_partition in due]
    assert dealt.state == (len(pairs), len(lists) if kind == "lists" else 0, None)
    assert dealt.fault == ()


@every_kind
@given(
    lists=long_lists,
    end=frame_like,
    max_item=limits,
    at=cuts | many_cuts,
    n=st.integers(1, 3),
    size=buffer_sizes,
)
@pytest.mark.skipif("native" not in NAMES, reason="KVPROTO_PURE=1 asks for the reference alone")
def test_both_dealers_do_the_same_with_any_bytes_in_any_pieces(
    kind, lists, end, max_item, at, n, size
):
    begun = encode(kind, lists if kind == "lists" else [pair for pairs in lists for pair in pairs])
    pieces = cut(begun + end, at)
    native, reference = (
        Dealt(name, kind, pieces, n, max_item=max_item, buffer_bytes=size)
        for name in ("native", "reference")
    )
    assert native.fault == reference.fault == fault_of_stream(kind, pieces, max_item)
    assert native.state == reference.state
    assert native.n_pairs == reference.n_pairs
    assert native.pairs() == reference.pairs()


@pytest.mark.parametrize(
    ("kind", "vector"),
    [(kind, vector) for kind in KINDS for vector in load(kind)],
    ids=lambda x: getattr(x, "id", ""),
)
@every_dealer
def test_vectors_have_the_fault_that_a_stream_finds(name, kind, vector):
    dealt = Dealt(name, kind, [vector.input], 2, max_item=vector.max_item)
    assert dealt.fault == fault_of_stream(kind, [vector.input], vector.max_item)
    assert dealt.state[kind == "lists"] == len(vector.values)


@every_dealer
def test_no_buffer_grows_over_its_size(name):
    pairs = [(b"%d" % index, b"v" * index) for index in range(300)]
    dealt = Dealt(name, "lists", [encode_list(pairs)], 3, buffer_bytes=100)
    assert sorted(pair for part in dealt.pairs() for pair in part) == sorted(pairs)
    if name == "native":
        assert max(dealt.sizes) == 100


@every_dealer
def test_a_fault_is_raised_again_and_nothing_more_is_dealt(name):
    dealt = []
    dealer = DEALERS[name](1, lambda *written: dealt.append(written), with_lists=True, max_item=3)
    for _ in range(2):
        with pytest.raises(ItemTooLarge, match="key size at byte 4 "):
            dealer.feed(b"\1\0\0\0\4\0\0\0")
    assert dealer.n_pairs == 0


@every_dealer
def test_an_error_of_the_function_that_writes_comes_out(name):
    def fail(*written):
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        dealer = DEALERS[name](1, fail, with_lists=True, buffer_bytes=4)
        dealer.feed(encode_list([("key", "value")]))
        dealer.flush()


@pytest.mark.parametrize("wrong", [0, -1])
def test_there_is_at_least_one_partition(wrong):
    with pytest.raises(ValueError, match=f"n_partitions must be at least 1, not {wrong}"):
        Dealer(wrong, print, with_lists=True)


@given(data=st.binary(max_size=600), value=st.integers(0, 0xFFFFFFFF), times=st.integers(1, 40))
def test_the_checksum_is_that_of_zlib(data, value, times):
    assert _native.crc32(data * times, value) == crc32(data * times, value)
    assert _native.crc32(memoryview(data)) == crc32(data)
