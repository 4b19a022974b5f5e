"""Judges what every worker must do, whatever it computes: finds the first fault in a trace.

The questions are in the order of causes: a crash explains a truncated list, and text on stdout
explains why answers are missing. `fault_of` judges a run with good input, and `must_fail` a run in
which the worker must not succeed. Implements LIFECYCLE-4.
"""

from __future__ import annotations

import re

from kvproto._text import signal_name
from kvproto.conformance.display import plural, quoted
from kvproto.conformance.schedule import Answers
from kvproto.conformance.trace import Finding, Trace

__all__ = [
    "BAD_INPUT",
    "CAUSES",
    "NO_LINE",
    "TEXT",
    "UNWRITTEN",
    "fault_of",
    "first_line",
    "hang_of",
    "must_fail",
]

CAUSES = (
    "killed by ",
    "reports an error",
    "text on stdout",
    "bad framing",
    "exit status ",
    "exits before the end of input",
    "interferes with its parent",
    "hangs",
    "floods",
    "closes stdout",
    "a process that it started holds stdout",
    "too many lists",
    "too few lists",
    "answers held back",
)
"""Prefixes of the causes that `fault_of` reports."""

BAD_INPUT = "its input is malformed"
UNWRITTEN = "its output could not be written"
NO_LINE = "fails without an ERR line"
"""Causes that most runs share in which a worker does not fail as it should."""

NOT_PROVED = (
    "not proved, because a timer may end its waits, but it waits for input and holds answers back"
)

TEXT = re.compile(rb"[\t\r\n\x20-\x7e]{3,}|[\t\r\n\x20-\x7e]{2}\Z")
"""Text where a list should begin; looked for only if something else is wrong.

Two letters and then other bytes are no text: they may be a num-pairs, such as 8224."""


def fault_of(trace: Trace) -> Finding | None:
    """Judge a run with good input.

    Parameters
    ----------
    trace : Trace
        The run.

    Returns
    -------
    Finding or None
        The first fault, or None if there is none.

    Notes
    -----
    LIFECYCLE-4, and the clauses that the finding names.
    """
    return (
        _crash(trace)
        or _error_line(trace)
        or _bad_bytes(trace)
        or _status(trace)
        or _unread(trace)
        or _unfinished(trace)
        or hang_of(trace)
        or _count(trace)
        or _withheld(trace)
    )


def must_fail(trace: Trace, why: str, clause: str, cause: str = "") -> Finding | None:
    """Judge a run in which the worker must not exit with status 0.

    Parameters
    ----------
    trace : Trace
        The run.
    why : str
        The reason, which completes "exits with status 0 although ...".
    clause : str
        The clause that requires a failure.
    cause : str
        The cause of the finding, when several reasons share it; by default `why`.

    Returns
    -------
    Finding or None
        The fault, or None when the worker failed as it must.

    Notes
    -----
    LIFECYCLE-3.
    """
    if trace.ending not in ("exited", "stopped"):
        return hang_of(trace)
    if trace.exit_status != 0:
        return None
    return _unread(trace) or Finding(
        f"exit 0 although {cause or why}",
        clause,
        f"it exits with status 0 although {why}",
        "an exit status other than 0",
        "exit status 0",
        trace,
    )


def _crash(trace: Trace) -> Finding | None:
    if trace.exit_status is None or trace.exit_status >= 0:
        return None
    name = signal_name(trace.exit_status)
    return Finding(
        f"killed by {name}",
        "LIFECYCLE-3",
        f"it was killed by {name}",
        "exit status 0",
        f"{name}{_progress(trace)}",
        trace,
    )


def _error_line(trace: Trace) -> Finding | None:
    text = next((line.data for line in trace.lines if line.tag == b"ERR"), None)
    if text is None:
        return None
    return Finding(
        "reports an error",
        "STDERR-7",
        "it reports an error although its input is good",
        "no ERR line",
        f"{quoted(text, 1000)} on stderr; {trace.status}",
        trace,
    )


def _bad_bytes(trace: Trace) -> Finding | None:
    """Look for framing that no later byte can complete, and for text instead of lists."""
    final = trace.lists.fault(at_end=False)
    fault = final or trace.lists.fault(at_end=True)
    if not fault:
        return None
    begin = trace.lists.ends[-1] if trace.lists.ends else 0
    text = TEXT.match(trace.stdout, begin)
    # Text of the input is data in the wrong place.
    if text and text[0][:32] not in trace.schedule.stdin:
        clause = "MAP-3" if trace.schedule.argument == "map" else "REDUCE-4"
        return Finding(
            "text on stdout",
            clause,
            "it writes something other than result lists to stdout",
            "result lists and nothing else",
            f"{quoted(first_line(text[0]))} at byte {begin}",
            trace,
            at=begin,
        )
    if not final:
        return None
    return Finding(
        "bad framing",
        "LIST-2",
        "its output is not made of result lists",
        "lists of pairs: num-pairs, then for each pair key size, key, value size, value",
        f"at byte {fault.offset}: {fault.what}",
        trace,
        at=fault.offset,
    )


def first_line(text: bytes) -> bytes:
    """Return the first line that is not blank, or all of the text."""
    return text.strip().partition(b"\n")[0] or text


def _status(trace: Trace) -> Finding | None:
    if not trace.exit_status:
        return None
    status = f"exit status {trace.exit_status}"
    return Finding(
        f"{status}{_last_words(trace)}",
        "LIFECYCLE-3",
        "it fails although its input is good",
        "exit status 0",
        f"{status}{_progress(trace)}",
        trace,
    )


def _unread(trace: Trace) -> Finding | None:
    if trace.exit_status is None or not (
        trace.n_unread or trace.n_sent < len(trace.schedule.stdin)
    ):
        return None
    n_unread = trace.n_unread + len(trace.schedule.stdin) - trace.n_sent
    return Finding(
        "exits before the end of input",
        "LIFECYCLE-2",
        "it exits before it has read all its input",
        f"all {len(trace.schedule.stdin)} bytes of input read",
        f"exit status {trace.exit_status} with {n_unread} bytes unread{_progress(trace)}",
        trace,
    )


def _unfinished(trace: Trace) -> Finding | None:
    fault = trace.lists.fault(at_end=True)
    if not fault or trace.exit_status is None or trace.ending != "exited":
        return None
    return Finding(
        "bad framing",
        "LIST-2",
        "its output ends inside a result list",
        "whole lists",
        f"{fault.what}, at byte {fault.offset} of {len(trace.stdout)}",
        trace,
        at=fault.offset,
    )


def hang_of(trace: Trace) -> Finding | None:
    """Report a run that did not end by itself, whatever exit status was expected."""
    if trace.ending == "exited":
        return None
    if trace.ending == "watchdog" and isinstance(trace.step, Answers) and _waits_for_input(trace):
        return None  # not proved, but `_withheld` reports it
    got = f"{trace.ended}{_progress(trace)}" + "".join(f"\n{thread}" for thread in trace.waits)
    if trace.ending == "unsupervised":
        return Finding(
            "interferes with its parent",
            "LIFECYCLE-10",
            "it interferes with the process that started it",
            "the process that started it left alone",
            got,
            trace,
        )
    if trace.ending == "floods":
        clause = "MAP-2" if trace.schedule.argument == "map" else "REDUCE-3"
        return Finding("floods", clause, "it never stops writing", "output that ends", got, trace)
    if trace.exit_status is not None and not trace.is_stdout_ended:
        return Finding(
            "a process that it started holds stdout",
            "LIFECYCLE-5",
            "it exits while a process that it started holds stdout open",
            "stdout at end of file once it has exited",
            got,
            trace,
        )
    if trace.is_stdout_ended and trace.schedule.stdout == "pipe":
        return Finding(
            "closes stdout",
            "LIFECYCLE-5",
            "it closes stdout and keeps running",
            "stdout open until it exits",
            got,
            trace,
        )
    if trace.n_unread:
        return Finding(
            "hangs",
            "LIFECYCLE-2",
            "it stops reading its input",
            f"all {len(trace.schedule.stdin)} bytes read",
            f"{trace.n_unread} bytes unread; {got}",
            trace,
        )
    return Finding(
        "hangs", "LIFECYCLE-3", "it does not exit", "it exits after the end of input", got, trace
    )


def _withheld(trace: Trace) -> Finding | None:
    if trace.owed:
        n_due, n_had, waits, is_proved = trace.owed[0]
        how = "it waits for more input; this is proved, not timed" if is_proved else NOT_PROVED
    elif trace.ending == "watchdog" and isinstance(trace.step, Answers):
        n_due, n_had, waits, how = trace.step.n, trace.lists.n_records, trace.waits, NOT_PROVED
    else:
        return None
    threads = "".join(f"\n{thread}" for thread in waits)
    return Finding(
        "answers held back",
        "MAP-4",
        f"it waits for pair {n_due + 1} and has not sent the answer to pair {n_had + 1}",
        f"{_lists(n_due)} before it waits for more input",
        f"{_lists(n_had)}; {how}{threads}",
        trace,
    )


def _count(trace: Trace) -> Finding | None:
    if trace.schedule.argument != "map" or trace.lists.n_records == trace.n_pairs:
        return None
    n, n_pairs = trace.lists.n_records, trace.n_pairs
    more = n > n_pairs
    at = trace.lists.ends[n_pairs - 1] if more and n_pairs else 0 if more else None
    return Finding(
        "too many lists" if more else "too few lists",
        "MAP-2",
        f"it answers {plural(n_pairs, 'pair')} with {_lists(n)}",
        _lists(n_pairs),
        _lists(n),
        trace,
        at=at,
    )


def _lists(n: int) -> str:
    return plural(n, "result list")


def _progress(trace: Trace) -> str:
    if trace.schedule.argument != "map":
        return ""
    return f", {trace.lists.n_records} of {trace.n_pairs} pairs answered"


def _last_words(trace: Trace) -> str:
    """Return the last line of stderr, to tell failures apart, without numbers, which may vary."""
    return re.sub(r"[0-9]+", "N", ": " + quoted(trace.lines[-1].data)) if trace.lines else ""


def _waits_for_input(trace: Trace) -> bool:
    return not trace.n_unread and any("of stdin" in wait for wait in trace.waits)
