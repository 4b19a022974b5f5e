"""PARAMS-: what comes before the first pair. Workers that follow the contract dump the set."""

from __future__ import annotations

from kvproto.conformance.case import Case, Schedules
from kvproto.conformance.judges import fails, leave_to_contract
from kvproto.conformance.schedule import (
    SMALL,
    Answers,
    End,
    Exit,
    Pair,
    Schedule,
    Send,
    Setting,
    Step,
    Taken,
    ahead,
    byte_by_byte,
    pairs_of,
    parameter_set,
    stdin,
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
    """Leading zeros, up to the limit of 10 digits; a reader must accept them."""
    total, _, body = setting.head().partition(b"\n")
    heads = [b"0" + total, total.rjust(10, b"0")]
    return [
        Schedule((Send(head + b"\n" + body + pairs_of(SMALL)), End(), Exit()), setting.mode)
        for head in heads
    ]


def _cut(setting: Setting) -> list[Schedule]:
    """Input that ends inside the set; never before it, since a driver may send no set at all."""
    head = setting.head()
    cuts = [*range(1, min(len(head), 64))]
    return [
        Schedule((Send(head[:n]), End(), Exit()), setting.mode, breaks="PARAMS-5") for n in cuts
    ]


def _apart(setting: Setting) -> list[Schedule]:
    rest = Send(pairs_of(SMALL))
    return [Schedule((Send(setting.head()), Taken(), rest, End(), Exit()), setting.mode)]


def _with_first_pair(setting: Setting) -> list[Schedule]:
    first = Send(stdin(setting, SMALL[:1]))
    waits: list[Step] = [Answers(1)] if setting.mode == "map" else [Taken()]
    return [Schedule((first, *waits, Send(pairs_of(SMALL[1:])), End(), Exit()), setting.mode)]


def _dumped(*sets: list[Pair]) -> Schedules:
    """The worker must return its parameters."""
    return lambda setting: [ahead(setting, SMALL[:1], DUMP, *entries) for entries in sets]


def _refused(*inputs: tuple[bytes, str]) -> Schedules:
    """Malformed sets with the clauses that they break; each is followed by a pair."""
    rest = pairs_of(SMALL[:1])
    return lambda setting: [
        Schedule((Send(data + rest), End(), Exit()), setting.mode, breaks=clause)
        for data, clause in inputs
    ]


def _well_formed(*sets: list[Pair]) -> Schedules:
    """Well-formed parameters that the contract refuses."""
    return lambda setting: [
        Schedule((Send(parameter_set(entries) + pairs_of(SMALL)), End(), Exit()), setting.mode)
        for entries in sets
    ]


def _number_of_digits(setting: Setting) -> list[Schedule]:
    entries = b"02 do 00006 params\n1 a 0000000001 b\n"
    return [
        Schedule(
            (Send(b"%d\n%b%b" % (len(entries), entries, pairs_of(SMALL[:1]))), End(), Exit()),
            setting.mode,
        )
    ]


def _dumped_byte_by_byte(setting: Setting) -> list[Schedule]:
    return [byte_by_byte(stdin(setting, SMALL[:1], DUMP, (b"", b""), (b"a b", b" 1 b\n")), setting)]


CASES = (
    Case(
        "PARAMS-apart",
        "MUST",
        "PARAMS-9 LIFECYCLE-1",
        "the parameters may arrive, and be read, before the first pair",
        _apart,
    ),
    Case(
        "PARAMS-with-first-pair",
        "MUST",
        "PARAMS-9",
        "the parameters and the first pair may arrive together",
        _with_first_pair,
    ),
    Case(
        "PARAMS-byte-by-byte",
        "MUST",
        "PARAMS-1 FRAME-5",
        "the parameters may come one byte at a time",
        lambda setting: [byte_by_byte(stdin(setting, []), setting)],
    ),
    Case("PARAMS-zeros", "MUST", "PARAMS-3", "the total may have leading zeros", _zeros),
    Case(
        "PARAMS-cut",
        "MUST",
        "PARAMS-5",
        "input that ends inside the parameters is an error",
        _cut,
        fails("its input ends inside the parameters", "PARAMS-5"),
    ),
    Case(
        "PARAMS-not-known",
        "SHOULD",
        "PARAMS-10",
        "parameters that it does not know are ignored",
        lambda setting: [ahead(setting, SMALL, (b"x-kvproto-check", b"1"))],
    ),
    Case(
        "PARAMS-none",
        "MUST",
        "PARAMS-7",
        "without parameters it does what do=echo says",
        lambda setting: [
            Schedule((Send(parameter_set([]) + pairs_of(SMALL)), End(), Exit()), setting.mode)
        ],
        leave_to_contract,
        contract="reference",
        tells=("do=echo",),
    ),
    Case(
        "PARAMS-one",
        "MUST",
        "PARAMS-2",
        "one parameter, and two",
        _dumped([], [(b"a", b"b")]),
        leave_to_contract,
        contract="reference",
        tells=("do=params",),
    ),
    Case(
        "PARAMS-thousand",
        "MUST",
        "PARAMS-2",
        "a thousand parameters",
        _dumped([(b"%d" % i, b"v" * (1 + i % 13)) for i in range(1000)]),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-empty-name",
        "MUST",
        "PARAMS-2",
        "a name may be empty",
        _dumped([(b"", b"v")]),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-empty-value",
        "MUST",
        "PARAMS-2",
        "a value may be empty",
        _dumped([(b"a", b"")], [(b"", b"")]),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-white-space",
        "MUST",
        "PARAMS-2",
        "names and values may begin and end with white space",
        _dumped(*([(b"a", white)] for white in WHITE), [(white, b"v") for white in WHITE]),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-entries-inside",
        "MUST",
        "PARAMS-2",
        "a value may look like entries, and so may a name",
        _dumped(
            *([(b"a", like)] for like in LIKE_ENTRIES), [(like, like) for like in LIKE_ENTRIES]
        ),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-any-bytes",
        "MUST",
        "PARAMS-4 FRAME-6",
        "names and values may hold any bytes, and lengths count bytes",
        _dumped(
            [("naïve".encode(), "née".encode())],
            [(b"a", bytes(range(256)))],
            [(bytes(range(256)), b"\xff\0")],
        ),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-1-mib",
        "MUST",
        "PARAMS-2 LIMITS-4",
        "a value of 1 MiB",
        _dumped([(b"a", b"0123456789abcdef" * (MIB >> 4))]),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-twice",
        "MUST",
        "PARAMS-8",
        "of a name that is given twice, the last value counts",
        _dumped([(b"a", b"1"), (b"a", b"2")], [(b"a", b"1"), (b"b", b"2"), (b"a", b"")]),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-zeros-inside",
        "MUST",
        "PARAMS-3",
        "lengths may have leading zeros",
        _number_of_digits,
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-dump-byte-by-byte",
        "MUST",
        "PARAMS-1 FRAME-5",
        "a set with entries may come one byte at a time",
        _dumped_byte_by_byte,
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-bad-head",
        "MUST",
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
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-bad-length",
        "MUST",
        "PARAMS-2 PARAMS-3",
        "a length that is not a number, or lacks its space, is an error",
        _refused(
            (b"8\nx a 1 b\n", "PARAMS-2"),
            (b"8\n1a  1 b\n", "PARAMS-2"),
            (b"9\n-1 a 1 b\n", "PARAMS-2"),
            (b"9\n 1 a 1 b\n", "PARAMS-2"),
            (b"18\n00000000001 a 1 b\n", "PARAMS-2"),
        ),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-bad-entry",
        "MUST",
        "PARAMS-2",
        "an entry that lacks the space after its name, or its newline, is an error",
        _refused(
            (b"8\n1 ax1 b\n", "PARAMS-2"),
            (b"8\n1 a\n1 b\n", "PARAMS-2"),
            (b"8\n1 a 1 bx", "PARAMS-2"),
            (b"8\n1 a 1 b ", "PARAMS-2"),
        ),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-bad-total",
        "MUST",
        "PARAMS-5",
        "entries that are longer or shorter than the total are an error",
        _refused(
            (b"7\n1 a 1 b\n", "PARAMS-5"),
            (b"8\n1 a 9 b\n", "PARAMS-5"),
            (b"8\n9 a 1 b\n", "PARAMS-5"),
            (b"9\n1 a 1 b\n", "PARAMS-2"),
        ),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-missing",
        "MUST",
        "LIFECYCLE-3",
        "a parameter that is needed and missing is an error",
        _well_formed(
            [(b"do", b"fan")],
            [(b"do", b"say")],
            [(b"do", b"file")],
            [(b"do", b"err"), (b"text", b"t")],
        ),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-no-number",
        "MUST",
        "LIFECYCLE-3",
        "a parameter that should be a number and is not is an error",
        _well_formed(
            *(
                [(b"do", b"fan"), (b"n", n)]
                for n in (b"", b"x", b"-1", b" 1", b"1\n", b"4294967296", b"00000000001")
            )
        ),
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "PARAMS-wrong-do",
        "MUST",
        "LIFECYCLE-3",
        "a value of `do` that the contract does not define is an error",
        _well_formed(
            [(b"do", b"nothing")], [(b"do", b"")], [(b"do", b"ECHO")], [(b"do", b"echo ")]
        ),
        leave_to_contract,
        contract="reference",
    ),
)
