"""The kit's own decoder: it agrees with every vector, whatever the cuts, and shares nothing with
the codec.
"""

import ast
import random
from pathlib import Path

import pytest
from support import vectors_format

import kvproto
from kvproto.conformance.answers import MAX_ITEM, Fault, Layout, Stdin, Stream, pair, read_params
from kvproto.conformance.display import of_input, of_output
from kvproto.conformance.schedule import SMALL, Setting, stdin

FRAMES = [
    (kind, vector)
    for kind in ("pairs", "lists")
    for vector in vectors_format.load(kind)
    if vector.max_item == MAX_ITEM
]
PARAMS = vectors_format.load("params")


def named(case):
    return case.id if isinstance(case, vectors_format.Vector) else str(case)


def test_it_imports_nothing_of_kvproto():
    source = (Path(kvproto.__file__).parent / "conformance" / "answers.py").read_text(
        encoding="utf-8"
    )
    modules = {
        node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)
    }
    assert not any(module.startswith("kvproto") for module in modules)


@pytest.mark.parametrize(("kind", "vector"), FRAMES, ids=named)
def test_it_gives_the_verdict_of_each_vector_whole_and_in_pieces(kind, vector):
    chance = random.Random(vector.id)
    cuts = sorted(chance.randrange(len(vector.input) + 1) for _ in range(6))
    whole, pieces = Stream(kind, vector.input), Stream(kind)
    for begin, end in zip([0, *cuts], [*cuts, len(vector.input)], strict=True):
        pieces.feed(vector.input[begin:end])
    fault = whole.fault(at_end=True)
    assert fault == pieces.fault(at_end=True) and whole.ends == pieces.ends
    assert (fault is None) == (vector.verdict != "reject")
    if fault:
        assert fault.offset == vector.offset and vector.field in fault.what
        assert (whole.fault(at_end=False) is not None) == fault.is_final
    else:
        assert whole.n_records == len(vector.values)


@pytest.mark.parametrize("vector", PARAMS, ids=named)
def test_it_gives_the_verdict_of_each_parameter_set(vector):
    read = read_params(vector.input)
    if vector.verdict == "reject":
        assert isinstance(read, Fault) or read[0] < len(vector.input)
    else:
        assert read[0] == len(vector.input) and dict(read[1]) == dict(vector.values)


def test_what_is_sent_is_whole_up_to_its_last_byte_alone():
    data = stdin(Setting("map"), SMALL)
    boundaries = {2, *(2 + end for end in Stream("pairs", data[2:]).ends)}
    for n in range(len(data) + 1):
        assert (Stdin(data[:n]).fault is None) == (n in boundaries), n


def test_another_layout_is_read_by_its_own_numbers():
    assert Stream("pairs", b"\0\1a\0\2bc", Layout("big", 2)).n_records == 1


def test_a_dump_marks_the_first_wrong_byte_and_explains_what_is_before_it():
    assert of_output(b"\0\0\0\0oops\n", 4) == [
        f"  0000  {'00 00 00 00':<36}  list 1: num-pairs 0",
        f'> 0004  {"6f 6f 70 73 0a":<36}  "oops."',
        "        ^^ the first wrong byte",
    ]


def test_a_dump_of_much_stays_short_and_says_what_it_leaves_out():
    lines = of_input(b"0\n" + pair(b"k", b"v" * 65536) + 1000 * pair(b"", b""))
    assert len(lines) < 30
    assert any("65512 more bytes" in line for line in of_input(b"0\n" + pair(b"k", b"v" * 65536)))
    assert any("lines left out" in line for line in lines)
