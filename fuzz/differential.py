"""Compare the compiled codecs with the reference.

Run `PYTHONPATH=tests python fuzz/differential.py SECONDS`.

Invariant: on every input, in any pieces, under any limit, the compiled codec and the C core return
what the codec in Python returns: the values, or the error with its class, offset, field and sizes.
The primitives stop at the same byte. Values and messages encode to the same bytes, and stderr
parses into the same messages.

Hypothesis draws the inputs: streams that are almost valid, cut, or have wrong numbers. It shrinks
an input that breaks the invariant and prints it; then the program exits with 1.
"""

from __future__ import annotations

import struct
import sys
import time
from itertools import count

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from support.codecs_under_test import agrees, codec_named

from kvproto.protocol import native as _native
from kvproto.protocol import reference as _reference

MAX_ITEMS = [1 << 30, 0, 1, 7, 255, 65536, 0xFFFFFFFF]
EDGES = st.sampled_from([127, 128, 255, 256, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
SIZES = st.one_of(st.integers(0, 12), EDGES)
ITEM = st.binary(max_size=20).map(lambda item: struct.pack("<I", len(item)) + item)
U32 = SIZES.map(lambda size: struct.pack("<I", size))
STREAM = st.lists(st.one_of(ITEM, ITEM, ITEM, U32, st.binary(max_size=9)), max_size=12).map(
    b"".join
)
ODD_NUMBERS = st.sampled_from(
    [b"", b"01", b"1073741825", b"9999999999", b"00000000001", b"-1", b"+1"]
)
NUMBER = st.one_of(st.integers(0, 30).map(lambda n: b"%d" % n), ODD_NUMBERS)
ENTRY_ITEM = st.one_of(
    st.binary(max_size=12).map(lambda item: b"%d %s" % (len(item), item)), NUMBER
)
SPACE, NEWLINE = (
    st.sampled_from([b" ", b" ", b" ", b"\n", b""]),
    st.sampled_from([b"\n", b"\n", b"\n", b" ", b""]),
)
ENTRY = st.tuples(ENTRY_ITEM, SPACE, ENTRY_ITEM, NEWLINE)
ENTRIES = st.lists(ENTRY.map(b"".join), max_size=4).map(b"".join)
PARAMS = st.one_of(
    ENTRIES.map(lambda entries: b"%d\n%s" % (len(entries), entries)),
    st.tuples(NUMBER, st.sampled_from([b"\n", b" ", b""]), ENTRIES).map(b"".join),
)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut data into pieces, which may be empty."""
    places = sorted(place % (len(data) + 1) for place in cuts)
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def streams_agree(kind, data, cuts, max_item):
    due = getattr(codec_named("reference"), kind)([data], max_item)
    for name in ("reference", "native", "c"):
        codec = codec_named(name)
        outcome = getattr(codec, kind)(cut(data, cuts), max_item)
        assert agrees(codec, kind, outcome, due), (name, outcome, due)


def parameter_sets_agree(data):
    due, codec = codec_named("reference").params(data), codec_named("c")
    outcome = codec.params(data)
    assert agrees(codec, "params", outcome, due), (outcome, due)


def encoders_agree(pairs, max_item, kind, text, pieces):
    due = codec_named("reference")
    for name in ("native", "c"):
        codec = codec_named(name)
        assert codec.encode_pairs(pairs, max_item) == due.encode_pairs(pairs, max_item), name
        assert codec.encode_list(pairs, max_item) == due.encode_list(pairs, max_item), name
        assert codec.encode_params(dict(pairs)) == due.encode_params(dict(pairs)), name
        assert codec.encode_message(kind, text) == due.encode_message(kind, text), name
        assert codec.messages(pieces) == due.messages(pieces), name


def primitives_agree(data, start, max_item, most, n_partitions):
    start = min(start, len(data))
    answers = []
    for made in (_reference, _native):
        pairs, lists = [], []
        answers.append(
            (
                made.scan_pairs(data, start, most, max_item, pairs),
                pairs,
                made.scan_lists(data, start, None, 0, max_item, lists),
                lists,
                made.frame_lines(data),
                made.split_lines(data, False),
                made.split_lines(data, True),
                made.pack_pairs(pairs, max_item),
            )
        )
    assert answers[0] == answers[1]


ITEMS = st.one_of(st.binary(max_size=20), st.integers(0, 70_000).map(lambda size: b"x" * size))
LINES = st.lists(
    st.one_of(
        st.sampled_from([b"**<MSG>", b"**<ERR>", b"**<MSG", b"*", b" ", b"\n", b"\n", b""]),
        st.binary(max_size=9),
        st.integers(65_520, 65_560).map(lambda size: b"x" * size),
    ),
    max_size=12,
)
CUTS = st.lists(st.integers(0, 1 << 16), max_size=6)
MAX_ITEM = st.sampled_from(MAX_ITEMS)
TARGETS = {
    streams_agree: (st.sampled_from(["pairs", "lists"]), STREAM, CUTS, MAX_ITEM),
    parameter_sets_agree: (PARAMS,),
    encoders_agree: (
        st.lists(st.tuples(ITEMS, ITEMS), max_size=5),
        MAX_ITEM,
        st.sampled_from(["MSG", "ERR"]),
        LINES.map(b"".join),
        LINES,
    ),
    primitives_agree: (STREAM, st.integers(0, 20), MAX_ITEM, st.integers(0, 5), st.integers(1, 9)),
}


def run(target, number: int, max_examples: int) -> None:
    """Run a target on inputs drawn with a seed. AssertionError for a broken invariant."""
    limits = settings(
        max_examples=max_examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    seed(number)(limits(given(*TARGETS[target])(target)))()


def main() -> None:
    end = time.monotonic() + float(sys.argv[1])
    for number in count():
        for target in TARGETS:
            run(target, number, 500)
        if time.monotonic() >= end:
            print(f"{500 * len(TARGETS) * (number + 1)} inputs")
            return


if __name__ == "__main__":
    main()
