"""LIMITS-: sizes that are too large or false, and memory."""

from __future__ import annotations

from kvproto.conformance.answers import item, pair, pairs_of
from kvproto.conformance.case import Case, Schedules, contract_case
from kvproto.conformance.judges import fails, keeps_nothing, uses_at_most
from kvproto.conformance.schedule import (
    SMALL,
    Exit,
    Measure,
    Rest,
    Schedule,
    Send,
    Setting,
    until_exit,
)

__all__ = ["CASES"]


OVER = (b"\1\0\0\x40", b"\0\0\0\x80", b"\xff\xff\xff\xff")
"""Sizes of 1 GiB and a byte, of 2 GiB, and the largest possible one."""

ANNOUNCED = b"\xff\xff\xff\x3f"
"""A size of 1 GiB less a byte: allowed, but the bytes never come."""

BODY, MUCH = 1 << 20, 64 << 20
STAGE, N_STAGES, PER_PAIR = 250_000, 4, 16
"""Pairs in a stage, at the end of which memory is measured; the number of stages; the bytes for
each pair that are a leak if every stage adds them (late garbage collection affects only some)."""


def _over(*before: bytes) -> Schedules:
    """Send a size over the limit after `before`, and then end of file."""
    start = b"".join(before)
    return lambda setting: [
        until_exit(setting, Send(setting.head() + start + size + b"x" * 9), breaks="LIMITS-1")
        for size in OVER
    ]


def _over_and_open(setting: Setting) -> list[Schedule]:
    """Keep stdin open: the size alone must be refused."""
    starts = [setting.head() + before + OVER[0] for before in (b"", pairs_of(SMALL), item(b"k"))]
    return [Schedule((Send(start), Exit()), setting.mode, breaks="LIMITS-1") for start in starts]


def _announced(*before: bytes) -> Schedules:
    def schedules(setting: Setting) -> list[Schedule]:
        ready = (Send(setting.head() + pair(b"k", b"v")), Rest(), Measure())
        lie = (Send(b"".join(before) + ANNOUNCED + b"x" * BODY), Rest(), Measure())
        return [until_exit(setting, *ready, *lie, breaks="FRAME-4")]

    return schedules


def _announced_set(start: bytes) -> Schedules:
    """Send a parameter set that announces a lot and then ends."""
    ready = (Send(start[:1]), Rest(), Measure())
    lie = (Send(start[1:] + b"x" * BODY), Rest(), Measure())
    return lambda setting: [until_exit(setting, *ready, *lie, breaks="PARAMS-5")]


def _million(setting: Setting) -> list[Schedule]:
    stage = (Send(pair(b"key", b"value"), STAGE), Rest(), Measure())
    return [until_exit(setting, Send(setting.head()), *stage * N_STAGES)]


LIED = "it allocates memory by an announced size"
ENDS_INSIDE = fails("its input ends inside an item", "FRAME-4")
REFUSES = fails("a size is over the limit", "LIMITS-1")
GROWS = keeps_nothing(STAGE, PER_PAIR)

CASES = (
    Case("LIMITS-key-over", "LIMITS-1", "a key size over 1 GiB is an error", _over(), REFUSES),
    Case(
        "LIMITS-value-over",
        "LIMITS-1",
        "a value size over 1 GiB is an error",
        _over(item(b"k")),
        REFUSES,
    ),
    Case(
        "LIMITS-key-announced",
        "LIMITS-5",
        "a long key that is announced and never arrives does not fill memory",
        _announced(),
        uses_at_most(MUCH, "LIMITS-5", LIED, ENDS_INSIDE),
        level="SHOULD",
    ),
    Case(
        "LIMITS-value-announced",
        "LIMITS-5",
        "a long value that is announced and never arrives does not fill memory",
        _announced(item(b"k")),
        uses_at_most(MUCH, "LIMITS-5", LIED, ENDS_INSIDE),
        level="SHOULD",
    ),
    Case(
        "LIMITS-flat-memory",
        "LIMITS-6",
        "memory does not grow while a million pairs go through",
        _million,
        GROWS,
        level="SHOULD",
    ),
    contract_case(
        "LIMITS-over-at-once",
        "LIMITS-1",
        "a size over the limit is refused at once, not when the item has arrived",
        _over_and_open,
    ),
    contract_case(
        "LIMITS-params-over",
        "LIMITS-4",
        "parameters of more than 1 GiB are refused when they are announced",
        lambda setting: [
            Schedule((Send(head), Exit()), setting.mode, breaks="LIMITS-4")
            for head in (b"1073741825\n", b"9999999999\n")
        ],
    ),
    Case(
        "LIMITS-item-not-allocated",
        "LIMITS-5",
        "memory is not allocated by the announced size of an item",
        _announced(item(b"k")),
        uses_at_most(MUCH, "LIMITS-5", LIED, ENDS_INSIDE, is_touched=False),
        contract="reference",
    ),
    Case(
        "LIMITS-params-not-allocated",
        "LIMITS-5",
        "memory is not allocated by the announced total of the parameters",
        _announced_set(b"1000000000\n999999980 "),
        uses_at_most(
            MUCH,
            "LIMITS-5",
            LIED,
            fails("its input ends inside the parameters", "PARAMS-5"),
            is_touched=False,
        ),
        contract="reference",
    ),
    Case(
        "LIMITS-flat",
        "LIMITS-6",
        "do=echo: memory does not grow while a million pairs go through",
        _million,
        GROWS,
        contract="reference",
        reports=("memory grows with the pairs",),
    ),
)
