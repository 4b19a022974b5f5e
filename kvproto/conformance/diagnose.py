"""The likely mistake of the worker's author, in words.

A guess is a pure function of a finding that returns words, or "" if it does not apply. `GUESSES`
lists them, and the first that applies wins. A guess never changes a verdict.
"""

from __future__ import annotations

import re

from kvproto.conformance.answers import Layout, Stream
from kvproto.conformance.oracle import TEXT, first_line
from kvproto.conformance.schedule import Schedule, Send, Taken
from kvproto.conformance.trace import Finding

__all__ = ["GUESSES", "first_wrong", "likely"]

FLUSH = (
    "flush stdout before the next read "
    "(C: fflush(stdout); Python: sys.stdout.flush(); Perl: $| = 1)"
)

LAYOUTS = (
    (
        Layout("big", 4),
        "sizes look big-endian; they must be 4 bytes, the least significant byte first",
    ),
    (Layout("little", 2), "sizes look 2 bytes long; they must be 4"),
    (
        Layout("big", 2),
        "sizes look 2 bytes long and big-endian; they must be 4, the least significant byte first",
    ),
    (Layout("little", 8), "sizes look 8 bytes long; they must be 4"),
    (
        Layout("big", 8),
        "sizes look 8 bytes long and big-endian; they must be 4, the least significant byte first",
    ),
)


def likely(finding: Finding) -> str:
    """Return the first guess that applies, or ""."""
    return next((words for guess in GUESSES if (words := guess(finding))), "")


def first_wrong(finding: Finding) -> int | None:
    """Return the offset of the first wrong byte of stdout: 0 if all sizes are wrong."""
    if finding.at is not None and (other_layout(finding) or no_num_pairs(finding)):
        return 0
    return finding.at


def text_on_stdout(finding: Finding) -> str:
    if finding.cause != "text on stdout":
        return ""
    text = TEXT.match(finding.trace.stdout, finding.at or 0)
    line = first_line(text[0]).decode("ascii") if text else ""
    return f"text on stdout: your program printed `{line[:60]}`; text for people goes to stderr"


def other_layout(finding: Finding) -> str:
    stdout = finding.trace.stdout
    if finding.trace.lists.fault(at_end=True) is None:
        return ""
    for layout, words in LAYOUTS:
        if _is_whole(Stream("lists", stdout, layout)):
            return words
    return ""


def no_num_pairs(finding: Finding) -> str:
    trace = finding.trace
    if trace.lists.fault(at_end=True) and _is_whole(Stream("pairs", trace.stdout)):
        return "pairs without num-pairs: a result list begins with the number of its pairs, 4 bytes"
    return ""


def late_answers(finding: Finding) -> str:
    if finding.cause != "answers held back":
        return ""
    owed, n_lists = finding.trace.owed, finding.trace.lists.n_records
    if len(owed) > 1 and all(wait.n_had == wait.n_due - 1 for wait in owed):
        return (
            "you answer one pair late: output is buffered, or you read the next pair before you "
            f"answer; {FLUSH}"
        )
    if owed and n_lists >= owed[-1].n_due:
        return f"the answers arrived only at the end of input: output is buffered; {FLUSH}"
    return f"output is buffered; {FLUSH}"


def reads_past(finding: Finding) -> str:
    """A read of a pipe may return less than was asked for."""
    if not _has_cut_piece(finding.trace.schedule):
        return ""
    return (
        "a read of a pipe returns what is there: read again until all the bytes that you need have "
        "arrived"
    )


def _has_cut_piece(schedule: Schedule) -> bool:
    """Whether the worker reads a part of a field and must wait for the rest."""
    read, at = schedule.read, 0
    whole = {0, read.n_params, *(read.n_params + end for end in read.pairs.ends)}
    for step in schedule.steps:
        if isinstance(step, Send):
            at += len(step.data) * step.times
        elif isinstance(step, Taken) and at not in whole:
            return True
    return False


def binary_as_text(finding: Finding) -> str:
    if re.search(rb"Unicode(De|En)codeError", finding.trace.stderr):
        return "keys and values are bytes, not text: do not decode them"
    return ""


def write_not_checked(finding: Finding) -> str:
    if finding.clause != "LIFECYCLE-3" or not finding.cause.startswith("exit 0 although"):
        return ""
    if finding.trace.schedule.stdout == "closed":
        return (
            "some run-times (those of Rust, Node and Tcl) open /dev/null in place of a closed "
            "stdout, and the program cannot notice it; in other languages, the program does not "
            "check the result of a write, or of the last flush at exit"
        )
    return "the program does not check the result of a write, or of the last flush at exit"


def signals_its_parent(finding: Finding) -> str:
    if finding.cause != "interferes with its parent":
        return ""
    return "it sends a signal to its parent; if not, check whether the system ran out of memory"


def kept_for_each_pair(finding: Finding) -> str:
    if finding.cause != "memory grows with the pairs":
        return ""
    return (
        "the program keeps something for each pair: it allocates and never frees it, or puts it "
        "into a list or table; if its computation needs that, list the case in a file for "
        "--known-failing; if its run-time collects garbage late, limit its heap (Java: -Xmx64m)"
    )


GUESSES = (
    text_on_stdout,
    other_layout,
    no_num_pairs,
    late_answers,
    binary_as_text,
    reads_past,
    write_not_checked,
    signals_its_parent,
    kept_for_each_pair,
)


def _is_whole(stream: Stream) -> bool:
    return stream.n_records > 0 and stream.fault(at_end=True) is None
