"""PARAMS-: what a driver sends before the pairs."""

from __future__ import annotations

from typing import Any

from kvproto.conformance.case import MODES
from kvproto.conformance.drivers.case import DriverCase, DriverFinding, Play, echoed
from kvproto.conformance.drivers.hostile import ALL_BYTES, ECHO
from kvproto.conformance.drivers.request import DEFAULT, ParamSet, Raw

__all__ = ["CASES"]


LARGE = ParamSet((("words", "w" * (3 << 20)),))


def _zeros(case: DriverCase, play: Play) -> DriverFinding | None:
    """Check that the total has no leading zeros."""
    head = play.stdin.partition(b"\n")[0]
    if head == b"0" or not head.startswith(b"0"):
        return None
    return case.finding(
        play,
        "zeros",
        "a number of the parameter set has leading zeros",
        repr(head.lstrip(b"0")),
        repr(head),
        at=0,
    )


def _goes_out(
    name: str,
    clauses: str,
    title: str,
    params: ParamSet | Raw | str | None,
    modes: tuple[str, ...] = ("map",),
    **details: Any,
) -> DriverCase:
    """Parameters that must arrive; most are sent only in a map, since the mode does not matter."""
    return DriverCase(
        f"PARAMS-{name}", clauses, title, ECHO, echoed, params=params, modes=modes, **details
    )


CASES = (
    _goes_out(
        "default",
        "PARAMS-7",
        "where the user gives no parameters, the empty set goes out",
        DEFAULT,
        modes=MODES,
        reports=("wrong parameters",),
    ),
    _goes_out("empty-set", "PARAMS-7", "an empty set is `0` and a newline", ParamSet()),
    _goes_out(
        "sent-none",
        "PARAMS-7",
        "when its user asks for no parameters, it sends no byte for them",
        None,
    ),
    _goes_out(
        "raw-bytes", "PARAMS-6", "a string of bytes goes out unchanged", Raw(b"3\n" + ALL_BYTES)
    ),
    _goes_out(
        "raw-text", "PARAMS-6", "a string of text goes out as UTF-8", Raw("na\u00efve \u2603\n")
    ),
    _goes_out("raw-empty", "PARAMS-6", "an empty string goes out as nothing", Raw(b"")),
    _goes_out(
        "sent-one", "PARAMS-1 PARAMS-2", "a set of one entry", ParamSet((("name", "value"),))
    ),
    _goes_out(
        "several",
        "PARAMS-2 PARAMS-5",
        "a set of several entries, in any order",
        ParamSet(tuple((f"name {n}", f"value {n}" * n) for n in range(30))),
    ),
    _goes_out(
        "bytes-counted",
        "PARAMS-4",
        "lengths and total count bytes, not characters",
        ParamSet((("na\u00efve", "\u2603" * 10),)),
    ),
    _goes_out(
        "spaces",
        "PARAMS-2",
        "values that begin with spaces, newlines or digits; an empty name",
        ParamSet((("", ""), ("a ", "  1 \n"), ("\n", "3 abc 3 def\n"))),
    ),
    _goes_out(
        "all-bytes",
        "PARAMS-2",
        "names and values of any bytes",
        ParamSet(((ALL_BYTES, ALL_BYTES[::-1]),)),
    ),
    _goes_out("large", "PARAMS-1", "a set that is larger than a pipe", LARGE, modes=MODES),
    _goes_out(
        "sent-twice",
        "PARAMS-8",
        "a name that is given twice is refused, or goes out once",
        ParamSet((("name", "1"), (b"name", "1"))),
        may_fail=True,
        is_started=None,
    ),
    _goes_out(
        "sent-zeros",
        "PARAMS-3",
        "numbers without leading zeros",
        ParamSet((("name", "value"),)),
        level="SHOULD",
        checks=(_zeros,),
    ),
)
