"""Judges a play: finds the first fault of the driver.

The questions are in the order of causes: wrong bytes for the worker explain a wrong result, and a
missing end of file explains an adapter that does not end. Time decides only through the watchdog,
where nothing can be proved, and the finding says so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from kvproto.conformance.answers import Fault, Pair, read_params
from kvproto.conformance.contract import n_same
from kvproto.conformance.display import plural, quoted
from kvproto.conformance.drivers.case import DriverCase, DriverFinding, Play
from kvproto.conformance.drivers.play import MOST_MEMORY
from kvproto.conformance.drivers.request import DEFAULT, Answer, BadAnswer, Message, read

__all__ = ["CAUSES", "fault_of"]

CAUSES = (
    "wrong parameters",
    "wrong pairs",
    "no end of file",
    "end of file too soon",
    "no answer of the adapter",
    "not started",
)
"""Causes that many cases can find; the case that lists one in `reports` reports it."""

NO_END = ("stuck", "watchdog")
"""The endings of a play in which the adapter does not exit."""

MOST_KEPT = 1 << 16
"""Bytes that a driver must keep of a line of stderr (LIMITS-3)."""

_ENTRY = re.compile(rb"([0-9]+) ")

Results = Sequence[list[Pair] | Pair]


def fault_of(case: DriverCase, play: Play) -> DriverFinding | None:
    """Return the first fault, or None."""
    if finding := _stdin(case, play) or _memory(case, play) or _end_of_file(case, play):
        return finding
    if play.ending in NO_END:
        return _no_end(case, play)
    if case.kill:
        return _never_started(case, play, "") or _asked(case, play)
    try:
        answer = _answer(play)
    except BadAnswer as fault:
        return DriverFinding(
            "no answer of the adapter",
            fault.clause,
            f"the adapter gives no answer: {fault}",
            "a JSON document as ADAPTER.md has it, and exit status 0",
            _status(play),
            play,
        )
    return (
        _never_started(case, play, answer.error)
        or _verdict(case, play, answer)
        or _results(case, play, answer)
        or _messages(case, play, answer)
        or _asked(case, play)
    )


def _stdin(case: DriverCase, play: Play) -> DriverFinding | None:
    """Check the bytes that the worker read, as far as it read."""
    request, got = play.request, play.stdin
    params, pairs = request.param_bytes, request.pair_bytes
    read = read_params(got) if request.has_set else None
    n = read[0] if read and not isinstance(read, Fault) else 0
    if n and _entries(got[:n]) == _entries(params):
        params = got[:n]  # the same in another order
    wanted = params + pairs
    at = n_same(wanted, got)
    if at < len(got):
        is_of_params = at < len(params) or (at == len(params) and case.params != DEFAULT)
        field, clause = ("parameters", "LIFECYCLE-1") if is_of_params else ("pairs", "FRAME-3")
        if is_of_params and case.id.startswith("PARAMS-"):
            clause = case.clauses.split()[0]
        place = f"the {field}" if at < len(wanted) else "the end"
        return DriverFinding(
            f"wrong {field}",
            clause,
            f"the worker gets wrong bytes where {place} should be",
            f"at byte {at}: {_shown(wanted[at:])}",
            f"at byte {at}: {_shown(got[at:])}",
            play,
            at=at,
        )
    if at < len(wanted) and play.noted("has_end"):
        return DriverFinding(
            "end of file too soon",
            "LIFECYCLE-1",
            "the worker gets end of file before it has got all input",
            f"{len(wanted)} bytes",
            f"{at} bytes, then end of file",
            play,
            at=at,
        )
    return None


def _memory(case: DriverCase, play: Play) -> DriverFinding | None:
    if not case.is_frugal or play.peak <= MOST_MEMORY:
        return None
    return case.finding(
        play,
        "memory",
        "the driver allocates memory by a number that the worker announces",
        "memory only for bytes that have arrived",
        f"{play.peak >> 20} MiB in use, for {plural(len(play.stdin), 'byte')} of input",
    )


def _end_of_file(case: DriverCase, play: Play) -> DriverFinding | None:
    """Check that the worker does not wait for end of file in vain."""
    if (
        play.ending not in NO_END
        or case.lists is None
        or play.noted("has_end")
        or not play.noted("waits_for_end")
    ):
        return None
    clause = "MAP-6" if play.request.mode == "map" else "REDUCE-5"
    return DriverFinding(
        "no end of file",
        clause,
        "the worker has answered everything and does not get end of file",
        "stdin closed after the last pair",
        f"the worker waits for it; {play.ended}",
        play,
    )


def _no_end(case: DriverCase, play: Play) -> DriverFinding:
    wanted = "an error" if case.lists is None else "an error or " * case.may_fail + "a success"
    got = f"nothing; {play.ended}"
    return case.finding(play, "no end", "the driver does not finish", wanted, got)


def _answer(play: Play) -> Answer:
    if play.exit_status != 0:
        raise BadAnswer(f"it ended with {_status(play)}", "ADAPTER-4")
    return read(play.answer)


def _never_started(case: DriverCase, play: Play, error: str) -> DriverFinding | None:
    """Check that the worker was started if it should be; `error` is what the driver says."""
    if case.is_started is None or case.is_started == bool(play.notes):
        return None
    if not case.is_started:
        return case.finding(
            play,
            "started",
            "the driver starts a worker that it should have refused",
            "an error, and no worker started",
            "the worker was started",
        )
    return DriverFinding(
        "not started",
        "FILES-1",
        "the worker is never started",
        "the program, as `op`, started",
        "it was not started" + f"; the driver says: {error}" * bool(error),
        play,
    )


def _verdict(case: DriverCase, play: Play, answer: Answer) -> DriverFinding | None:
    if case.lists is None and answer.is_success:
        return case.finding(play, "success", "the driver reports success", "an error", "a success")
    if case.lists is not None and not answer.is_success and not case.may_fail:
        return case.finding(
            play, "error", "the driver reports an error", "a success", f"an error: {answer.error}"
        )
    if answer.is_success:
        return None
    if n := len(answer.lists or answer.pairs or ()):
        return DriverFinding(
            "results of a failure",
            "LIFECYCLE-4",
            "the driver passes on results of an attempt that failed",
            "an error, and no results",
            f"an error, and {n} results",
            play,
        )
    if not answer.error:
        return DriverFinding(
            "no words",
            "LIFECYCLE-4",
            "the driver does not say what failed",
            "an error text",
            "none",
            play,
        )
    return None


def _results(case: DriverCase, play: Play, answer: Answer) -> DriverFinding | None:
    if not answer.is_success or case.lists is None:
        return None
    lists = case.lists(play.request)
    unit: str = "list"
    wanted: Results = lists
    got: Results | None = answer.lists
    if play.request.mode == "reduce":
        unit, wanted, got = "pair", [pair for pairs in lists for pair in pairs], answer.pairs
    if got == wanted:
        return None
    if got is None:
        return DriverFinding(
            "no answer of the adapter",
            "ADAPTER-6",
            f"there are no {unit}s",
            f"{unit}s",
            "none",
            play,
        )
    at = n_same(wanted, got)
    place = f"{plural(len(wanted), unit)}; number {at + 1}: {_nth(wanted, at)}"
    return case.finding(
        play,
        "results",
        "the results are not what the worker wrote",
        place,
        f"{plural(len(got), unit)}; number {at + 1}: {_nth(got, at)}",
    )


def _messages(case: DriverCase, play: Play, answer: Answer) -> DriverFinding | None:
    """Check that the lines of stderr are passed on; the end of a long one may be cut."""
    if case.messages is None:
        return None
    got = answer.messages
    at = next(
        (n for n, pair in enumerate(zip(case.messages, got, strict=False)) if not _is_kept(*pair)),
        None,
    )
    if at is None and len(case.messages) == len(got):
        return None
    at = min(len(case.messages), len(got)) if at is None else at
    return case.finding(
        play,
        "messages",
        "the lines of stderr are not passed on unchanged",
        f"{plural(len(case.messages), 'line')}; number {at + 1}: {_line(case.messages, at)}",
        f"{plural(len(got), 'line')}; number {at + 1}: {_line(got, at)}",
    )


def _is_kept(wanted: Message, got: Message) -> bool:
    if wanted == got:
        return True
    is_shorter = len(got.text) < len(wanted.text) and wanted.text.startswith(got.text)
    return got.kind == wanted.kind and got.is_cut and is_shorter and len(got.text) >= MOST_KEPT


def _asked(case: DriverCase, play: Play) -> DriverFinding | None:
    for check in case.checks:
        if finding := check(case, play):
            return finding
    if play.is_family_gone is False:
        return case.finding(
            play,
            "processes",
            "processes of the worker's group are left behind",
            "none",
            f"at least one still runs {play.limit:g} s after the adapter's end",
            clause="LIFECYCLE-7",
        )
    if play.is_directory_gone is False:
        return case.finding(
            play,
            "directory",
            "the worker's directory is left behind",
            "it is removed",
            f"{play.noted('directory')} is still there {play.limit:g} s after the adapter's end",
            clause="LIFECYCLE-8",
        )
    return None


def _entries(data: bytes) -> Counter[tuple[bytes, bytes]]:
    """Split a complete parameter set into its entries, in any order."""
    at = data.index(b"\n") + 1
    items = []
    while size := _ENTRY.match(data, at):
        items.append(data[size.end() : size.end() + int(size[1])])
        at = size.end() + int(size[1]) + 1
    return Counter(zip(items[::2], items[1::2], strict=True))


def _status(play: Play) -> str:
    status = f"exit status {play.exit_status}"
    return "no exit status: it was killed" if play.exit_status is None else status


def _shown(data: bytes) -> str:
    return quoted(data, 24) if data else "the end"


def _nth(results: Results, at: int) -> str:
    if at >= len(results):
        return "none"
    result = results[at]
    if isinstance(result, tuple):
        return _pair(result)
    first = f", first {_pair(result[0])}" if result else ""
    return f"a list of {plural(len(result), 'pair')}{first}"


def _pair(pair: tuple[bytes, bytes]) -> str:
    return f"key {quoted(pair[0], 24)}, value {quoted(pair[1], 24)}"


def _line(messages: Sequence[Message], at: int) -> str:
    if at >= len(messages):
        return "none"
    kind, text, is_cut = messages[at]
    return f"{kind or 'no tag'} {_shown(text)}, {len(text)} bytes{', cut' * is_cut}"
