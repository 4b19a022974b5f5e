"""PARAMS-: what comes before the first pair. Workers that follow CONTRACT.md return it."""

from __future__ import annotations

from kvproto.conformance.answers import Pair, pairs_of
from kvproto.conformance.case import Case, Schedules, contract_case
from kvproto.conformance.judges import fails
from kvproto.conformance.schedule import (
    SMALL,
    Answers,
    Schedule,
    Send,
    Setting,
    Taken,
    ahead,
    byte_by_byte,
    stdin,
    until_exit,
)

__all__ = ["CASES"]

DUMP = (b"do", b"params")
MIB = 1 << 20
LIKE_ENTRIES = (
    b"1 a 1 b\n",
    b"4",
    b"0\n",
    b" 1 b\n",
    b"1 a 1 b\n1 c 1 d\n",
    b"\n",
    b"9\n1 a 1 b\n",
)
WHITE = (b" ", b"  a", b"a  ", b"\n", b"\na\n", b"\t", b"\r\n", b" \n ")


def _zeros(setting: Setting) -> list[Schedule]:
    """Send leading zeros, up to 10 digits."""
    shortest, _, body = setting.head().partition(b"\n")
    rest = b"\n" + body + pairs_of(SMALL)
    return [
        until_exit(setting, Send(head + rest))
        for head in (b"0" + shortest, shortest.rjust(10, b"0"))
    ]


def _cut(setting: Setting) -> list[Schedule]:
    """End the input inside the set, but not before it, since a driver may send no set at all."""
    head = setting.head()
    cuts = range(1, min(len(head), 64))
    return [until_exit(setting, Send(head[:n]), breaks="PARAMS-5") for n in cuts]


def _apart(setting: Setting) -> list[Schedule]:
    return [until_exit(setting, Send(setting.head()), Taken(), Send(pairs_of(SMALL)))]


def _with_first_pair(setting: Setting) -> list[Schedule]:
    first = Send(stdin(setting, SMALL[:1]))
    wait = Answers(1) if setting.mode == "map" else Taken()
    return [until_exit(setting, first, wait, Send(pairs_of(SMALL[1:])))]


def _dumped(*sets: list[Pair]) -> Schedules:
    """The worker must return its parameters."""
    return lambda setting: [ahead(setting, SMALL[:1], DUMP, *entries) for entries in sets]


def _refused(*inputs: tuple[bytes, str]) -> Schedules:
    """Send malformed sets, which break these clauses, each before a pair."""
    rest = pairs_of(SMALL[:1])
    return lambda setting: [
        until_exit(setting, Send(data + rest), breaks=clause) for data, clause in inputs
    ]


def _well_formed(*sets: list[Pair]) -> Schedules:
    """Send these parameters alone, without the user's."""
    return lambda setting: [ahead(Setting(setting.mode, tuple(some)), SMALL) for some in sets]


def _zeros_inside(setting: Setting) -> list[Schedule]:
    entries = b"02 do 00006 params\n1 a 0000000001 b\n"
    data = b"%d\n%b%b" % (len(entries), entries, pairs_of(SMALL[:1]))
    return [until_exit(setting, Send(data))]


def _dumped_byte_by_byte(setting: Setting) -> list[Schedule]:
    return [byte_by_byte(stdin(setting, SMALL[:1], DUMP, (b"", b""), (b"a b", b" 1 b\n")), setting)]


CASES = (
    Case(
        "PARAMS-apart",
        "PARAMS-9 LIFECYCLE-1",
        "the parameters may arrive, and be read, before the first pair",
        _apart,
    ),
    Case(
        "PARAMS-with-first-pair",
        "PARAMS-9",
        "the parameters and the first pair may arrive together",
        _with_first_pair,
    ),
    Case(
        "PARAMS-byte-by-byte",
        "PARAMS-1 FRAME-5",
        "the parameters may come one byte at a time",
        lambda setting: [byte_by_byte(stdin(setting, []), setting)],
    ),
    Case("PARAMS-zeros", "PARAMS-3", "the total may have leading zeros", _zeros),
    Case(
        "PARAMS-cut",
        "PARAMS-5",
        "input that ends inside the parameters is an error",
        _cut,
        fails("its input ends inside the parameters", "PARAMS-5"),
    ),
    Case(
        "PARAMS-not-known",
        "PARAMS-10",
        "parameters that it does not know are ignored",
        lambda setting: [ahead(setting, SMALL, (b"x-kvproto-check", b"1"))],
        level="SHOULD",
    ),
    contract_case(
        "PARAMS-none",
        "PARAMS-7",
        "without parameters it does what do=echo says",
        _well_formed([]),
        reports=("do=echo",),
    ),
    contract_case(
        "PARAMS-one",
        "PARAMS-2",
        "one parameter, and two",
        _dumped([], [(b"a", b"b")]),
        reports=("do=params",),
    ),
    contract_case(
        "PARAMS-thousand",
        "PARAMS-2",
        "a thousand parameters",
        _dumped([(b"%d" % i, b"v" * (1 + i % 13)) for i in range(1000)]),
    ),
    contract_case("PARAMS-empty-name", "PARAMS-2", "a name may be empty", _dumped([(b"", b"v")])),
    contract_case(
        "PARAMS-empty-value",
        "PARAMS-2",
        "a value may be empty",
        _dumped([(b"a", b"")], [(b"", b"")]),
    ),
    contract_case(
        "PARAMS-white-space",
        "PARAMS-2",
        "names and values may begin and end with white space",
        _dumped(*([(b"a", white)] for white in WHITE), [(white, b"v") for white in WHITE]),
    ),
    contract_case(
        "PARAMS-entries-inside",
        "PARAMS-2",
        "a value may look like entries, and so may a name",
        _dumped(
            *([(b"a", like)] for like in LIKE_ENTRIES), [(like, like) for like in LIKE_ENTRIES]
        ),
    ),
    contract_case(
        "PARAMS-any-bytes",
        "PARAMS-4 FRAME-6",
        "names and values may hold any bytes, and lengths count bytes",
        _dumped(
            [("naïve".encode(), "née".encode())],
            [(b"a", bytes(range(256)))],
            [(bytes(range(256)), b"\xff\0")],
        ),
    ),
    contract_case(
        "PARAMS-1-mib",
        "PARAMS-2 LIMITS-4",
        "a value of 1 MiB",
        _dumped([(b"a", b"0123456789abcdef" * (MIB >> 4))]),
    ),
    contract_case(
        "PARAMS-twice",
        "PARAMS-8",
        "of a name that is given twice, the last value counts",
        _dumped([(b"a", b"1"), (b"a", b"2")], [(b"a", b"1"), (b"b", b"2"), (b"a", b"")]),
    ),
    contract_case(
        "PARAMS-zeros-inside", "PARAMS-3", "lengths may have leading zeros", _zeros_inside
    ),
    contract_case(
        "PARAMS-dump-byte-by-byte",
        "PARAMS-1 FRAME-5",
        "a set with entries may come one byte at a time",
        _dumped_byte_by_byte,
    ),
    contract_case(
        "PARAMS-bad-head",
        "PARAMS-1 PARAMS-3",
        "a total that is not a number, or lacks its newline, is an error",
        _refused(
            (b"\n", "PARAMS-1"),
            (b"-1\n", "PARAMS-1"),
            (b"+0\n", "PARAMS-1"),
            (b" 0\n", "PARAMS-1"),
            (b"0 \n", "PARAMS-1"),
            (b"0\r\n", "PARAMS-1"),
            (b"x\n", "PARAMS-1"),
            (b"00000000000\n", "PARAMS-1"),
        ),
    ),
    contract_case(
        "PARAMS-bad-length",
        "PARAMS-2 PARAMS-3",
        "a length that is not a number, or lacks its space, is an error",
        _refused(
            (b"8\nx a 1 b\n", "PARAMS-2"),
            (b"8\n1a  1 b\n", "PARAMS-2"),
            (b"9\n-1 a 1 b\n", "PARAMS-2"),
            (b"9\n 1 a 1 b\n", "PARAMS-2"),
            (b"18\n00000000001 a 1 b\n", "PARAMS-2"),
        ),
    ),
    contract_case(
        "PARAMS-bad-entry",
        "PARAMS-2",
        "an entry that lacks the space after its name, or its newline, is an error",
        _refused(
            (b"8\n1 ax1 b\n", "PARAMS-2"),
            (b"8\n1 a\n1 b\n", "PARAMS-2"),
            (b"8\n1 a 1 bx", "PARAMS-2"),
            (b"8\n1 a 1 b ", "PARAMS-2"),
        ),
    ),
    contract_case(
        "PARAMS-bad-total",
        "PARAMS-5",
        "entries that are longer or shorter than the total are an error",
        _refused(
            (b"7\n1 a 1 b\n", "PARAMS-5"),
            (b"8\n1 a 9 b\n", "PARAMS-5"),
            (b"8\n9 a 1 b\n", "PARAMS-5"),
            (b"9\n1 a 1 b\n", "PARAMS-2"),
        ),
    ),
    contract_case(
        "PARAMS-missing",
        "LIFECYCLE-3",
        "a parameter that is needed and missing is an error",
        _well_formed(
            [(b"do", b"fan")],
            [(b"do", b"say")],
            [(b"do", b"file")],
            [(b"do", b"err"), (b"text", b"t")],
        ),
    ),
    contract_case(
        "PARAMS-no-number",
        "LIFECYCLE-3",
        "a parameter that should be a number and is not is an error",
        _well_formed(
            *(
                [(b"do", b"fan"), (b"n", n)]
                for n in (b"", b"x", b"-1", b" 1", b"1\n", b"4294967296", b"00000000001")
            )
        ),
    ),
    contract_case(
        "PARAMS-wrong-do",
        "LIFECYCLE-3",
        "a value of `do` that the contract does not define is an error",
        _well_formed(
            [(b"do", b"nothing")], [(b"do", b"")], [(b"do", b"ECHO")], [(b"do", b"echo ")]
        ),
    ),
)
