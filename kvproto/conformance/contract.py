"""What a worker that follows CONTRACT.md must answer: a model of the contract, and its judge.

The answers depend only on the bytes that were sent. Every run of such a worker can therefore be
compared byte for byte, whatever the case is about. This is an implementation of CONTRACT-1 to
CONTRACT-12 of its own, which shares no code with a worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from kvproto.conformance.answers import Stream
from kvproto.conformance.case import MODES
from kvproto.conformance.display import quoted, shown
from kvproto.conformance.oracle import BAD_INPUT, NO_LINE, UNWRITTEN, fault_of, must_fail
from kvproto.conformance.schedule import CloseOutput, Schedule
from kvproto.conformance.trace import Finding, Trace

__all__ = ["Due", "due", "fault_of_contract", "first_difference", "n_same", "pairs_of_lists"]

MAX_NUMBER = 0xFFFFFFFF

CLAUSES = {
    b"echo": "CONTRACT-5",
    b"fan": "CONTRACT-6",
    b"sink": "CONTRACT-7",
    b"params": "CONTRACT-8",
    b"say": "CONTRACT-9",
    b"err": "CONTRACT-10",
    b"file": "CONTRACT-11",
    b"hold": "CONTRACT-12",
}


@dataclass
class Due:
    """The answer that is due.

    do     the value of the parameter `do`
    lists  result lists of encoded pairs; in a reduce only the pairs count, not the lists
    lines  tags and texts of the lines on stderr
    error  why the worker must fail with an ERR line and status 1; "" if it must succeed
    cause  the cause of the finding if it does not fail; "" for a cause of its own
    """

    do: bytes
    lists: list[list[bytes]] = field(default_factory=list)
    lines: list[tuple[bytes, bytes]] = field(default_factory=list)
    error: str = ""
    cause: str = ""


class _RefusedError(Exception):
    """The contract does not allow a parameter; the argument says why."""


def due(schedule: Schedule) -> Due:
    """Work out the answer to all the bytes of a schedule."""
    read = schedule.read
    params = dict(read.params)
    answer = Due(params.get(b"do", b"echo"))
    if schedule.argument not in MODES:
        answer.error = "its argument is neither map nor reduce"
    elif not read.n_params:
        answer.error, answer.cause = "its parameters are malformed", BAD_INPUT
    else:
        try:
            _work(answer, schedule, params)
        except _RefusedError as e:
            answer.error = str(e)
        else:
            if read.fault and not answer.error:
                answer.error, answer.cause = f"in its input {read.fault.what}", BAD_INPUT
    return answer


def _work(answer: Due, schedule: Schedule, params: dict[bytes, bytes]) -> None:
    pairs, is_map = _pairs(schedule), schedule.argument == "map"
    match answer.do:
        case b"echo":
            answer.lists = [[pair] for pair in pairs]
        case b"hold":
            answer.lists = [[pair] for pair in pairs] if is_map else [list(pairs)]
        case b"fan":
            n = _number(params, b"n")
            answer.lists = [[pair] * n for pair in pairs]
        case b"sink":
            answer.lists = [[] for _ in pairs] if is_map else []
        case b"params":
            every = [_item(name) + _item(params[name]) for name in sorted(params)]
            answer.lists = [every for _ in pairs] if is_map else [every]
        case b"say":
            text = _needed(params, b"text")
            answer.lists = [[pair] for pair in pairs]
            answer.lines = [
                line
                for i in range(len(answer.lists))
                for line in _lines(b"MSG", b"%b %d" % (text, i))
            ]
        case b"err":
            text, at = _needed(params, b"text"), _number(params, b"at")
            answer.lists = [[pair] for pair in islice(pairs, at + 1)]
            if len(answer.lists) > at:
                answer.lists.pop()
                answer.lines, answer.error = _lines(b"ERR", text), "it was told to fail"
        case b"file":
            name = _needed(params, b"name")
            content = dict(schedule.files).get(name.decode("utf-8", "surrogateescape"))
            if content is None:
                raise _RefusedError("the file that it should read is not one of its own")
            answer.lists = [[_item(name) + _item(content)] for _ in pairs]
        case _:
            raise _RefusedError("the contract does not define this `do`")


def _pairs(schedule: Schedule) -> Iterator[bytes]:
    data = bytes(schedule.read.pairs.data)
    return (data[begin:end] for begin, end in schedule.read.pairs.pairs())


def _needed(params: dict[bytes, bytes], name: bytes) -> bytes:
    if name not in params:
        raise _RefusedError(f"the parameter {name.decode()} is missing")
    return params[name]


def _number(params: dict[bytes, bytes], name: bytes) -> int:
    text = _needed(params, name)
    if not text.isdigit() or len(text) > 10 or int(text) > MAX_NUMBER:
        raise _RefusedError(f"the parameter {name.decode()} is not a number")
    return int(text)


def _item(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def _lines(tag: bytes, text: bytes) -> list[tuple[bytes, bytes]]:
    return [(tag, line) for line in text.split(b"\n")]


def fault_of_contract(trace: Trace) -> Finding | None:
    """Judge a run of a worker that follows the contract."""
    schedule = trace.schedule
    if schedule.stdout != "pipe" or CloseOutput() in schedule.steps:
        is_silent = not due(schedule).lists
        return None if is_silent else _reports(trace, UNWRITTEN, "CONTRACT-3")
    answer = due(schedule)
    clause = CLAUSES.get(answer.do, "CONTRACT-2")
    if answer.error:
        finding = _reports(
            trace, answer.error, clause if answer.lines else "CONTRACT-3", answer.cause
        )
    else:
        finding = fault_of(trace)
    return finding or _wrong_answer(trace, answer, clause) or _wrong_lines(trace, answer, clause)


def _reports(trace: Trace, why: str, clause: str, cause: str = "") -> Finding | None:
    """Judge a run that must end with exit status 1 and an ERR line; see `must_fail`."""
    if finding := must_fail(trace, why, clause, cause):
        return finding
    has_line = any(line.tag == b"ERR" for line in trace.lines)
    if trace.exit_status == 1 and has_line:
        return None
    return Finding(
        "fails with another status than 1" if has_line else NO_LINE,
        clause,
        f"it does not fail with an ERR line and exit status 1 although {why}",
        "an ERR line on stderr, and exit status 1",
        f"{trace.status}; on stderr {quoted(trace.stderr)}",
        trace,
    )


def _wrong_answer(trace: Trace, answer: Due, clause: str) -> Finding | None:
    if trace.schedule.argument == "map":
        expected = b"".join(
            len(pairs).to_bytes(4, "little") + b"".join(pairs) for pairs in answer.lists
        )
        got = trace.stdout
    else:
        expected = b"".join(b"".join(pairs) for pairs in answer.lists)
        got = pairs_of_lists(trace.lists)
    # A worker may report faulty input before it has written the answers to earlier pairs.
    may_lack = answer.error and not answer.lines
    if got == expected or (may_lack and expected.startswith(got)):
        return None
    return first_difference(
        f"do={answer.do.decode('utf-8', 'backslashreplace')[:20]}: wrong answers",
        clause,
        f"it does not answer as do={answer.do.decode('utf-8', 'backslashreplace')[:20]} says",
        expected,
        got,
        trace,
    )


def _wrong_lines(trace: Trace, answer: Due, clause: str) -> Finding | None:
    got = [(line.tag, line.text) for line in trace.lines if line.is_ended]
    if answer.error and not answer.lines:  # the worker chooses the words
        is_good = len(got) == len(trace.lines) and all(tag for tag, _ in got)
        return None if is_good else _untagged(trace)
    if trace.n_stderr > len(trace.stderr):  # only the start of a flood is kept
        got = got[:-1]
        expected = answer.lines[: len(got)]
    else:
        expected = answer.lines
    if got == expected:
        return None
    at = n_same(got, expected)
    lines = [_line(some, at) for some in (expected, got)]
    return Finding(
        "says something else",
        clause,
        f"line {at + 1} of its stderr is not the expected text",
        f"{len(expected)} lines, this one {lines[0]}",
        f"{len(got)} lines, this one {lines[1]}",
        trace,
    )


def _line(lines: list[tuple[bytes, bytes]], at: int) -> str:
    if at >= len(lines):
        return "no line"
    tag, text = lines[at]
    return quoted((b"**<%b> " % tag if tag else b"") + text)


def _untagged(trace: Trace) -> Finding:
    line = next(line for line in trace.lines if not (line.tag and line.is_ended))
    return Finding(
        "says something else",
        "CONTRACT-4",
        "a line on stderr has no tag, or no newline",
        "tagged lines, each with its newline",
        quoted(line.data),
        trace,
    )


def pairs_of_lists(lists: Stream) -> bytes:
    """Join the pairs of all lists: in a reduce it does not matter how they are divided."""
    return b"".join(lists.data[begin:end] for begin, end in lists.pairs())


def first_difference(
    cause: str,
    clause: str,
    what: str,
    expected: bytes,
    got: bytes,
    trace: Trace,
    also: tuple[Trace, ...] = (),
) -> Finding:
    """Report wrong output; in a reduce, `expected` and `got` are the pairs without the lists."""
    same = n_same(expected, got)
    offset = same
    if trace.schedule.argument != "map":
        offset = _offset_in_lists(trace.lists, same)
    return Finding(
        cause,
        clause,
        what,
        f"{len(expected)} bytes, from byte {same} on {_shown(expected, same)}",
        f"{len(got)} bytes, from byte {same} on {_shown(got, same)}",
        trace,
        at=offset,
        also=also,
    )


def n_same(a: Sequence[object], b: Sequence[object]) -> int:
    """Return the length of the common prefix."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low


def _shown(data: bytes, at: int) -> str:
    return shown(data[at : at + 13])


def _offset_in_lists(lists: Stream, n: int) -> int:
    """Return where byte n of all pairs is in the stream of lists."""
    for begin, end in lists.pairs():
        if n < end - begin:
            return begin + n
        n -= end - begin
    return len(lists.data)
