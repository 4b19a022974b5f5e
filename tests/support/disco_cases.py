"""What script.c is asked to do and what must come of it: the runs that are good.

Expected bytes are written with the Python codec, which is the reference. The runs that end in die()
are in `disco_failures`.
"""

import pytest

from kvproto import encode_list, encode_pair, encode_pairs, encode_params

PAIRS = [(b"k", b"one"), (b"", b"\n"), (b"\x00\xff", b"x" * 300_000), (b"last", b"")]
ECHOED = b"".join(encode_list([pair]) for pair in PAIRS)
ONE = encode_pair("k", "v")
SET = encode_params({"some parameter": "a value", "": " \n", "n\u00e4me": "1 2\n"})


def case(name, *arguments, stdin=b"", stdout=b"", says=(), error=None, clauses=()):
    """One run of script.c: its arguments and input, its whole stdout, MSG lines, and the ERR line
    of a run that fails.
    """
    return pytest.param(
        arguments, stdin, stdout, list(says), error, id=name, marks=pytest.mark.clause(*clauses)
    )


GOOD = [
    case("nothing_at_all"),
    case(
        "pairs_of_every_size",
        "echo",
        stdin=encode_pairs(PAIRS),
        stdout=ECHOED,
        clauses=["FRAME-1", "FRAME-2", "FRAME-3", "FRAME-6", "LIST-1"],
    ),
    case(
        "many_pairs_across_the_buffers",
        "echo",
        stdin=ONE * 40_000,
        stdout=encode_list([("k", "v")]) * 40_000,
        clauses=["MAP-2"],
    ),
    case(
        "lists_of_any_length_by_halves",
        "repeat",
        stdin=encode_pairs([("", "x"), ("abc", "y"), ("d", "")]),
        stdout=encode_list([]) + encode_list([("abc", "y")] * 3) + encode_list([("d", "")]),
        clauses=["LIST-1", "LIST-2"],
    ),
    case(
        "entries_are_used_again_and_end_in_a_zero_byte",
        *["read"] * 4,
        stdin=encode_pairs([("long key", "long value"), ("s", "")]),
        says=["key 8 long key", "value 10 long value", "key 1 s", "value 0 ", "end", "end"],
    ),
    case("end_of_file_is_said_again", "read", "read", says=["end", "end"]),
    case(
        "zero_bytes_inside",
        "read",
        stdin=encode_pair(b"a\0b", b"\0"),
        says=["key 3 (binary)", "value 1 (binary)"],
        clauses=["FRAME-6"],
    ),
    case(
        "an_item_of_exactly_the_limit",
        "max:5",
        "read",
        stdin=encode_pair("", "12345"),
        says=["key 0 ", "value 5 12345"],
        clauses=["LIMITS-1"],
    ),
    case(
        "pairs_from_any_bytes",
        "prefix:3",
        "pair:k=v",
        "empty",
        "pair:=",
        stdout=encode_list([("k", "v"), ("", ""), ("", "")]),
    ),
    case(
        "halves_and_pairs_mixed",
        "prefix:2",
        "half:a",
        "half:b",
        "pair:c=d",
        stdout=encode_list([("a", "b"), ("c", "d")]),
    ),
    case("empty_lists", "prefix:0", "prefix:0", stdout=bytes(8), clauses=["LIST-2"]),
    case(
        "a_list_after_the_end_of_input",
        "drop",
        "prefix:1",
        "pair:a=b",
        stdin=ONE * 9,
        stdout=encode_list([("a", "b")]),
        clauses=["REDUCE-2"],
    ),
    case("copies", "copies:abcdef", says=["copy 1 a 1", "copy 6 abcdef 1", "copy 2 ab"]),
    case("allocations_of_no_and_some_bytes", "allocate:0", "allocate:10", says=["allocated"] * 2),
    case(
        "output_of_its_own_keeps_its_place",
        "print:1234",
        "prefix:0",
        "print:x",
        stdout=b"1234\0\0\0\0x",
    ),
    case(
        "stdout_used_before",
        "print:x",
        "fflush",
        "echo",
        stdin=encode_pairs(PAIRS),
        stdout=b"x" + ECHOED,
    ),
    case("stdout_unbuffered", "unbuffered", "echo", stdin=encode_pairs(PAIRS), stdout=ECHOED),
    case("stdout_line_buffered", "line-buffered", "echo", stdin=encode_pairs(PAIRS), stdout=ECHOED),
    case(
        "stdout_line_buffered_and_used",
        "line-buffered",
        "print:x",
        "echo",
        stdin=encode_pairs(PAIRS),
        stdout=b"x" + ECHOED,
    ),
    case(
        "a_list_written_by_an_exit_handler",
        "at-exit-write",
        "prefix:0",
        stdout=bytes(4) + encode_list([("late", "")]),
    ),
    case(
        "a_child_that_exits_keeps_silent",
        "prefix:1",
        "fflush",
        "fork",
        "pair:a=b",
        says=["child 0"],
        stdout=encode_list([("a", "b")]),
    ),
    case(
        "raw_parameters",
        "raw:5",
        "raw:0",
        "read",
        stdin=b"sep=;" + ONE,
        says=["raw sep=;", "raw ", "key 1 k", "value 1 v"],
        clauses=["PARAMS-6"],
    ),
    case(
        "raw_parameters_by_fread",
        "fread:5",
        "read",
        "echo",
        stdin=b"sep=;" + ONE + encode_pairs(PAIRS),
        stdout=ECHOED,
        says=["fread 5", "fread sep=;", "key 1 k", "value 1 v"],
        clauses=["PARAMS-6"],
    ),
    case(
        "parameters_then_pairs",
        *["params", "get:some parameter", "get:", "get:none", "read"],
        stdin=SET + ONE,
        says=[
            "count 3",
            "name 14 some parameter",
            "value 7 a value",
            "name 0 ",
            "value 2  ",
            "name 5 n\u00e4me",
            "value 4 1 2",
            "behind none",
            "behind none",
            "some parameter 7 a value",
            " 2  ",
            "none none",
            "key 1 k",
            "value 1 v",
        ],
        clauses=["PARAMS-1", "PARAMS-2", "PARAMS-4", "PARAMS-9"],
    ),
    case(
        "no_parameters",
        "params",
        "get:x",
        "read",
        stdin=b"0\n" + ONE,
        says=["count 0", "behind none", "behind none", "x none", "key 1 k", "value 1 v"],
        clauses=["PARAMS-7", "PARAMS-9"],
    ),
    case(
        "the_last_of_two_parameters_counts",
        "params",
        "get:a",
        stdin=b"0000000016\n1 a 1 x\n1 a 1 y\n",
        says=[
            "count 2",
            "name 1 a",
            "value 1 x",
            "name 1 a",
            "value 1 y",
            "behind none",
            "behind none",
            "a 1 y",
        ],
        clauses=["PARAMS-3", "PARAMS-8"],
    ),
    case(
        "forty_parameters",
        "params",
        "get:39",
        stdin=encode_params({str(n): "v" for n in range(40)}),
        says=[
            "count 40",
            *[line for n in range(40) for line in (f"name {len(str(n))} {n}", "value 1 v")],
            "behind none",
            "behind none",
            "39 1 v",
        ],
    ),
]
