"""What script.c is asked to do and what must come of it: the runs that end in die()."""

from kvproto import encode_list, encode_pair
from support.disco_cases import ONE, SET, case

SHORT = "the stream ends inside the {} at byte {}: it needs {} bytes, but has {} [{}]"
TOO_LARGE = (
    "the {} at byte {} announces {} bytes, but the limit is {}; "
    "raise it by disco_set_max_item() "
    "if this is intended [LIMITS-1]"
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
        "disco_set_max_item(), and the driver's, if this is intended [LIMITS-1]",
        clauses=["LIMITS-1"],
    ),
    case(
        "an_item_too_long_for_its_size_field",
        "max:4294967295",
        "prefix:1",
        f"pair-of-size:{1 << 32}",
        stdout=None,
        error="an item of 4294967296 bytes is over the limit, which is 4294967295; raise it by "
        "disco_set_max_item(), and the driver's, if this is intended [LIMITS-1]",
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
                "the total at byte 0 announces 1073741825 bytes, but the limit is 1073741824 "
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
