"""What script.c is asked to do and what must come of it: the runs that are good, and those that end
in die().

Expected bytes are written with the Python codec, which is the reference.
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
SHORT = "the stream ends inside the {} at byte {}: {} bytes wanted, {} there [{}]"
TOO_LARGE = (
    "the {} at byte {} announces {} bytes, the limit is {}; "
    "raise it by disco_set_max_item() "
    "if that is meant [LIMITS-1]"
)
BEHIND = encode_list([("k", "v")])
BAD = [
    *(
        case(
            f"a_pair_cut_at_{n}",
            "echo",
            stdin=ONE * 2 + ONE[:n],  # the first fills the buffer, the second is found there whole
            stdout=BEHIND * 2,
            error=SHORT.format(field, 20 + at, wanted, n - at, "FRAME-4"),
            clauses=["FRAME-4", "LIFECYCLE-3"],
        )
        for n, field, at, wanted in [
            (1, "key size", 0, 4),
            (3, "key size", 0, 4),
            (4, "key", 4, 1),
            (5, "value size", 5, 4),
            (8, "value size", 5, 4),
            (9, "value", 9, 1),
        ]
    ),
    case(
        "a_long_value_cut",
        "echo",
        stdin=encode_pair("", "x" * 300_000)[:-1],
        error=SHORT.format("value", 8, 300_000, 299_999, "FRAME-4"),
        clauses=["FRAME-4"],
    ),
    case(
        "a_key_over_the_limit",
        "echo",
        stdin=ONE + b"\xf7\xff\xff\xff",
        stdout=BEHIND,
        error=TOO_LARGE.format("key size", 10, 4294967287, 1 << 30),
        clauses=["LIMITS-1"],
    ),
    case(
        "a_value_over_a_limit_that_was_set",
        "max:1",
        "echo",
        stdin=ONE + encode_pair("k", "vv"),
        stdout=BEHIND,
        error=TOO_LARGE.format("value size", 15, 2, 1),
        clauses=["LIMITS-1"],
    ),
    case(
        "a_huge_size_without_a_limit",
        "max:4294967295",
        "echo",
        stdin=b"\xf7\xff\xff\xffabc",
        error=SHORT.format("key", 4, 4294967287, 3, "FRAME-4"),
    ),
    case(
        "a_negative_number_of_pairs",
        "prefix:-1",
        error="write_num_prefix(-1): a list cannot have fewer than 0 pairs [LIST-2]",
    ),
    case(
        "a_list_begun_inside_another",
        "prefix:3",
        "pair:a=b",
        "prefix:1",
        stdout=None,
        error="a list begins after 1 of the 3 pairs that the list announced [LIST-2]",
        clauses=["LIST-2"],
    ),
    case(
        "a_list_begun_after_a_key",
        "prefix:1",
        "half:a",
        "prefix:1",
        stdout=None,
        error="a list begins after a key: write its value first [FRAME-3]",
    ),
    case(
        "a_pair_after_a_key",
        "prefix:2",
        "half:a",
        "pair:b=c",
        stdout=None,
        error="a pair begins after a key: write its value first [FRAME-3]",
    ),
    case(
        "a_pair_without_a_list",
        "pair:a=b",
        error="a pair more than the 0 that the list announced [LIST-2]",
        clauses=["LIST-2"],
    ),
    case(
        "a_pair_more_than_announced",
        "prefix:1",
        "pair:a=b",
        "pair:c=d",
        stdout=None,
        error="a pair more than the 1 that the list announced [LIST-2]",
    ),
    case(
        "an_entry_more_than_announced",
        "prefix:0",
        "half:a",
        stdout=None,
        error="a pair more than the 0 that the list announced [LIST-2]",
    ),
    case(
        "exit_with_pairs_due",
        "prefix:2",
        "pair:a=b",
        stdout=None,
        error="the output ends after 1 of the 2 pairs that the list announced [LIST-2]",
        clauses=["LIST-2", "LIFECYCLE-3"],
    ),
    case(
        "exit_with_pairs_due_by_exit",
        "prefix:2",
        "exit:0",
        stdout=None,
        error="the output ends after 0 of the 2 pairs that the list announced [LIST-2]",
    ),
    case(
        "exit_with_pairs_due_by_an_exit_handler",
        "at-exit-announce",
        "prefix:0",
        stdout=None,
        error="the output ends after 0 of the 1 pairs that the list announced [LIST-2]",
    ),
    case(
        "exit_with_a_value_due",
        "prefix:1",
        "half:a",
        stdout=None,
        error="the output ends after a key: write its value first [FRAME-3]",
    ),
    case(
        "an_item_too_long_to_write",
        "prefix:1",
        f"pair-of-size:{(1 << 30) + 1}",
        stdout=None,
        error="an item of 1073741825 bytes is over the limit, which is 1073741824; raise it by "
        "disco_set_max_item(), and the driver's, if that is meant [LIMITS-1]",
        clauses=["LIMITS-1"],
    ),
    case(
        "an_item_too_long_for_its_size_field",
        "max:4294967295",
        "prefix:1",
        f"pair-of-size:{1 << 32}",
        stdout=None,
        error="an item of 4294967296 bytes is over the limit, which is 4294967295; raise it by "
        "disco_set_max_item(), and the driver's, if that is meant [LIMITS-1]",
    ),
    case(
        "raw_parameters_cut",
        "raw:5",
        stdin=b"sep",
        error=SHORT.format("raw parameters", 0, 5, 3, "PARAMS-6"),
    ),
    *(
        case(f"parameters_{name}", "params", stdin=stdin, error=error, clauses=[error[-9:-1]])
        for name, stdin, error in [
            ("absent", b"", SHORT.format("total", 0, 1, 0, "PARAMS-1")),
            ("cut_in_the_head", b"22", SHORT.format("total", 0, 3, 2, "PARAMS-1")),
            (
                "with_a_sign",
                b"-1\n",
                "the total at byte 0 must be 1 to 10 digits and '\\n', but byte 0 is '-' "
                "[PARAMS-3]",
            ),
            (
                "of_eleven_digits",
                b"00000000001\n",
                "the total at byte 0 must be 1 to 10 digits and '\\n', but byte 10 is '1' "
                "[PARAMS-3]",
            ),
            (
                "over_the_limit",
                b"1073741825\n",
                "the total at byte 0 announces 1073741825 bytes, the limit is 1073741824 "
                "[LIMITS-4]",
            ),
            (
                "cut_in_the_entries",
                SET[:-1],
                SHORT.format("parameter set", 3, len(SET) - 3, len(SET) - 4, "PARAMS-5"),
            ),
            (
                "with_a_huge_total_and_no_body",
                b"1073741824\nx",
                SHORT.format("parameter set", 11, 1 << 30, 1, "PARAMS-5"),
            ),
            (
                "with_a_bad_name_length",
                b"8\n\x001 a 1 x",
                "the length of a parameter name must be 1 to 10 digits and ' ', but byte "
                "2 is '\\x00' [PARAMS-3]",
            ),
            (
                "with_a_bad_value_length",
                b"8\n1 a x x\n",
                "the length of a parameter value must be 1 to 10 digits and ' ', but byte "
                "6 is 'x' [PARAMS-3]",
            ),
            (
                "with_a_name_not_closed",
                b"8\n1 ab1 x\n",
                "the parameter name that ends at byte 5 must be followed by ' ', not 'b' "
                "[PARAMS-2]",
            ),
            (
                "with_a_value_not_closed",
                b"8\n1 a 1 x ",
                "the parameter value that ends at byte 9 must be followed by '\\n', not ' "
                "' [PARAMS-2]",
            ),
            (
                "with_a_name_over_the_total",
                b"8\n9 a 1 x\n",
                "the parameter set ends inside the parameter name, or its length, at byte "
                "4 [PARAMS-5]",
            ),
            (
                "with_a_value_over_the_total",
                b"8\n1 a 2 x\n",
                "the parameter set ends inside the parameter value, or its length, at "
                "byte 8 [PARAMS-5]",
            ),
        ]
    ),
]
