"""MAP-: one result list for each pair, in time. REDUCE-: any lists, at any time."""

from __future__ import annotations

from collections.abc import Sequence

from kvproto.conformance.answers import Pair, pair
from kvproto.conformance.case import Case, Schedules, contract_case
from kvproto.conformance.judges import same_answers
from kvproto.conformance.schedule import (
    SMALL,
    Answers,
    Schedule,
    Send,
    Setting,
    Step,
    Taken,
    ahead,
    lockstep,
    plain,
    twice,
    until_exit,
)

__all__ = ["CASES"]


def _few(setting: Setting) -> list[Schedule]:
    return [ahead(setting, SMALL[:n]) for n in (1, 2, 3)]


def _many(n: int) -> list[Pair]:
    return [(b"%d" % i, b"v") for i in range(n)]


def _apart(setting: Setting) -> list[Step]:
    """Send the parameters alone; PARAMS-with-first-pair sends them with a pair."""
    return [Send(setting.head()), Taken()]


def _next_begun(setting: Setting) -> list[Schedule]:
    """Send a pair with a part of the next one: the answer is due all the same."""
    first, second = pair(*SMALL[0]), pair(*SMALL[1])
    schedules = []
    for n in (1, 4, 5, 9):
        steps = (Send(first + second[:n]), Answers(1), Send(second[n:]), Answers(2))
        schedules.append(until_exit(setting, *_apart(setting), *steps))
    return schedules


def _bursts(setting: Setting) -> list[Schedule]:
    """Send bursts of pairs, each after the one before is answered."""
    steps, n = _apart(setting), 0
    for size in (1, 2, 3, 5, 100, 1):
        steps.append(Send(pair(b"k", b"v"), size))
        n += size
        steps.append(Answers(n))
    return [until_exit(setting, *steps)]


def _ahead_and_lockstep(setting: Setting) -> list[Schedule]:
    return [*twice(setting), lockstep(setting, SMALL)]


def _fan(*numbers: int) -> Schedules:
    return lambda setting: [
        ahead(setting, SMALL, (b"do", b"fan"), (b"n", b"%d" % n)) for n in numbers
    ]


MAP_CASES = (
    Case(
        "MAP-lockstep",
        "MAP-4",
        "a pair is answered before the worker waits for the next one",
        lambda setting: [lockstep(setting, SMALL)],
        reports=("answers held back",),
    ),
    Case(
        "MAP-ahead",
        "MAP-5",
        "a thousand pairs may be written ahead of the answers",
        lambda setting: [ahead(setting, _many(n)) for n in (2, 1000)],
    ),
    Case(
        "MAP-lockstep-next-begun",
        "MAP-4",
        "a pair is answered even when a part of the next one is there",
        _next_begun,
    ),
    Case(
        "MAP-lockstep-bursts",
        "MAP-4 MAP-5",
        "pairs come in bursts, and each burst is answered before the next one",
        _bursts,
    ),
    Case(
        "MAP-lockstep-large",
        "MAP-4",
        "a pair of 128 KiB is answered before the worker waits for the next one",
        lambda setting: [
            lockstep(setting, [(b"k", b"v" * (1 << 17)), (b"k", b"v"), (b"k", b"w" * (1 << 17))])
        ],
    ),
    Case(
        "MAP-one-list-each",
        "MAP-2 LIST-2",
        "each pair is answered with exactly one whole list",
        _few,
        reports=("bad framing", "too many lists", "too few lists"),
    ),
    Case(
        "MAP-lists-alone",
        "MAP-3",
        "stdout has nothing before, between or after the lists",
        _few,
        reports=("text on stdout",),
    ),
    Case(
        "MAP-same-one-by-one",
        "MAP-5",
        "its answers do not depend on whether pairs are written ahead",
        _ahead_and_lockstep,
        same_answers("MAP-5", "its answers depend on whether pairs are written ahead"),
    ),
    contract_case(
        "MAP-echo",
        "MAP-2 FRAME-6",
        "do=echo: each pair comes back, in order",
        lambda setting: [ahead(setting, _many(n), (b"do", b"echo")) for n in (1, 300)],
        reports=("do=echo",),
    ),
    contract_case(
        "MAP-fan", "LIST-1 LIST-2", "do=fan: lists of 0, 1, 3 and 300 pairs", _fan(0, 1, 3, 300)
    ),
    contract_case(
        "MAP-fan-long",
        "LIST-2",
        "do=fan: a list of 70,000 pairs, more than 16 bits can count",
        _fan(70_000),
    ),
    contract_case(
        "MAP-sink",
        "MAP-2 LIST-2",
        "do=sink: an empty list for each pair",
        lambda setting: [ahead(setting, _many(n), (b"do", b"sink")) for n in (1, 3)],
    ),
)


GROUPS: list[Pair] = [(b"%d" % (i // 10), b"v") for i in range(1000)]


def _with(*params: Pair, pairs: list[Pair] | None = None) -> Schedules:
    """Send few pairs, then many, with these parameters."""

    def schedules(setting: Setting) -> list[Schedule]:
        inputs: tuple[Sequence[Pair], ...] = ([], SMALL[:1], SMALL, pairs or GROUPS)
        return [ahead(setting, some, *params) for some in inputs]

    return schedules


REDUCE_CASES = (
    Case(
        "REDUCE-lists-alone",
        "REDUCE-4 LIST-2",
        "stdout has whole lists and nothing else",
        plain,
        reports=("text on stdout", "bad framing"),
    ),
    Case(
        "REDUCE-ahead",
        "REDUCE-5",
        "a thousand pairs may come at once",
        lambda setting: [ahead(setting, GROUPS)],
    ),
    Case(
        "REDUCE-one-key",
        "REDUCE-5",
        "ten thousand pairs may share one key",
        lambda setting: [ahead(setting, [(b"k", b"v")] * 10_000)],
    ),
    contract_case(
        "REDUCE-echo",
        "REDUCE-5 FRAME-6",
        "do=echo: each pair comes back, in order",
        _with((b"do", b"echo")),
        reports=("do=echo",),
    ),
    contract_case(
        "REDUCE-fan",
        "LIST-2",
        "do=fan: each pair comes back three times",
        _with((b"do", b"fan"), (b"n", b"3")),
    ),
    contract_case(
        "REDUCE-sink",
        "REDUCE-2",
        "do=sink: everything is read and nothing is written",
        _with((b"do", b"sink")),
    ),
    contract_case(
        "REDUCE-hold",
        "REDUCE-2 REDUCE-3",
        "do=hold: all of its output comes after the end of its input",
        _with((b"do", b"hold"), pairs=[(b"%d" % i, b"v" * 65536) for i in range(48)]),
    ),
)

CASES = (*MAP_CASES, *REDUCE_CASES)
