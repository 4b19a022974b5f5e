"""REDUCE-: lists when it likes, and an end."""

from __future__ import annotations

from kvproto.conformance.case import Case
from kvproto.conformance.cases.building import SMALL, Pair, ahead
from kvproto.conformance.judges import leave_to_contract
from kvproto.conformance.schedule import Schedule
from kvproto.conformance.setting import Setting

__all__ = ["CASES"]

ONLY = {"modes": ("reduce",)}
CONTRACT = {"modes": ("reduce",), "contract": "reference"}

GROUPS: list[Pair] = [(b"%d" % (i // 10), b"v") for i in range(1000)]


def _told(*params: Pair, pairs: list[Pair] | None = None):
    """Few pairs, then many, under these parameters."""

    def schedules(setting: Setting) -> list[Schedule]:
        return [ahead(setting, some, *params) for some in ([], SMALL[:1], SMALL, pairs or GROUPS)]

    return schedules


CASES = (
    Case(
        "REDUCE-lists-alone",
        "MUST",
        "REDUCE-4 LIST-2",
        "stdout has whole lists and nothing else",
        lambda setting: [ahead(setting, SMALL[:n]) for n in (1, 3)],
        **ONLY,
        tells=("text on stdout", "bad framing"),
    ),
    Case(
        "REDUCE-ahead",
        "MUST",
        "REDUCE-5",
        "a thousand pairs may come at once",
        lambda setting: [ahead(setting, GROUPS)],
        **ONLY,
    ),
    Case(
        "REDUCE-one-key",
        "MUST",
        "REDUCE-5",
        "ten thousand pairs may share one key",
        lambda setting: [ahead(setting, [(b"k", b"v")] * 10_000)],
        **ONLY,
    ),
    Case(
        "REDUCE-echo",
        "MUST",
        "REDUCE-5 FRAME-6",
        "do=echo: each pair comes back, in order",
        _told((b"do", b"echo")),
        leave_to_contract,
        **CONTRACT,
        tells=("do=echo",),
    ),
    Case(
        "REDUCE-fan",
        "MUST",
        "LIST-2",
        "do=fan: each pair comes back three times",
        _told((b"do", b"fan"), (b"n", b"3")),
        leave_to_contract,
        **CONTRACT,
    ),
    Case(
        "REDUCE-sink",
        "MUST",
        "REDUCE-2",
        "do=sink: everything is read and nothing is written",
        _told((b"do", b"sink")),
        leave_to_contract,
        **CONTRACT,
    ),
    Case(
        "REDUCE-hold",
        "MUST",
        "REDUCE-2 REDUCE-3",
        "do=hold: all of its output comes after the end of its input",
        _told((b"do", b"hold"), pairs=[(b"%d" % i, b"v" * 65536) for i in range(48)]),
        leave_to_contract,
        **CONTRACT,
    ),
)
