"""STDERR-: what a worker writes to stderr, while it runs and when it fails."""

from __future__ import annotations

from kvproto.conformance.answers import Pair, pair
from kvproto.conformance.case import Case, Schedules, contract_case, each
from kvproto.conformance.display import quoted
from kvproto.conformance.oracle import NO_LINE
from kvproto.conformance.schedule import (
    SMALL,
    Answers,
    Exit,
    Schedule,
    Send,
    Setting,
    ahead,
    plain,
    until_exit,
)
from kvproto.conformance.trace import Finding, Trace

__all__ = ["CASES"]


def _ended(trace: Trace) -> Finding | None:
    if all(line.is_ended for line in trace.lines):
        return None
    return Finding(
        "a line of stderr without its newline",
        "STDERR-3",
        "its last line on stderr has no newline",
        "a newline at the end of each line",
        quoted(trace.lines[-1].data),
        trace,
    )


def _tagged(trace: Trace) -> Finding | None:
    untagged = next((line.data for line in trace.lines if not line.tag), None)
    if untagged is None:
        return None
    return Finding(
        "untagged lines on stderr",
        "STDERR-1",
        "it writes lines without a tag to stderr",
        "**<MSG> or **<ERR> at the start of each line",
        quoted(untagged),
        trace,
    )


def _says_why(trace: Trace) -> Finding | None:
    if not trace.exit_status or any(line.tag == b"ERR" for line in trace.lines):
        return None
    last = quoted(trace.lines[-1].data) if trace.lines else "nothing"
    return Finding(
        NO_LINE,
        "LIFECYCLE-3",
        "it fails and no ERR line says why",
        "an **<ERR> line with the reason",
        f"{trace.status}; the last line on stderr: {last}",
        trace,
    )


def _cut(setting: Setting) -> list[Schedule]:
    cut = setting.head() + pair(b"k", b"v")[:-1]
    return [until_exit(setting, Send(cut), breaks="FRAME-4")]


def _say(*texts: bytes, n_pairs: int = 3) -> Schedules:
    pairs: list[Pair] = [(b"k", b"v")] * n_pairs
    return lambda setting: [
        ahead(setting, pairs, (b"do", b"say"), (b"text", text)) for text in texts
    ]


def _err(text: bytes, *at: int) -> Schedules:
    return lambda setting: [
        ahead(setting, SMALL, (b"do", b"err"), (b"text", text), (b"at", b"%d" % index))
        for index in at
    ]


def _err_in_time(setting: Setting) -> list[Schedule]:
    """Keep stdin open: the answers before the error are due at once."""
    head = setting.head((b"do", b"err"), (b"text", b"no more"), (b"at", b"1"))
    steps = (Send(head + pair(b"a", b"1")), Answers(1), Send(pair(b"b", b"2")), Exit())
    return [Schedule(steps, setting.mode)]


CASES = (
    Case(
        "STDERR-no-error",
        "STDERR-7",
        "good input causes no ERR line",
        plain,
        reports=("reports an error",),
    ),
    Case(
        "STDERR-ended", "STDERR-3", "each line on stderr ends with a newline", plain, each(_ended)
    ),
    Case(
        "STDERR-tagged",
        "STDERR-1",
        "each line on stderr has a tag",
        plain,
        each(_tagged),
        level="SHOULD",
    ),
    Case(
        "STDERR-says-why",
        "LIFECYCLE-3",
        "when it fails, an ERR line says why: truncated input",
        _cut,
        each(_says_why),
        level="SHOULD",
    ),
    contract_case(
        "STDERR-message",
        "STDERR-1",
        "do=say: a tagged line for each pair, ended by a newline",
        _say(b"at", b""),
        reports=("says something else",),
    ),
    contract_case(
        "STDERR-message-spaces",
        "STDERR-2",
        "do=say: a text may begin and end with spaces",
        _say(b" two", b"  three ", b"\t"),
    ),
    contract_case(
        "STDERR-message-any-bytes",
        "STDERR-2",
        "do=say: a text may be something other than UTF-8, or look like a tag",
        _say("née".encode(), b"caf\xe9 \xff", b"**<ERR> not", b"a\rb"),
    ),
    contract_case(
        "STDERR-message-lines",
        "STDERR-4",
        "do=say: a text of several lines becomes several tagged lines",
        _say(b"one\ntwo", b"one\n\ntwo\n"),
    ),
    contract_case(
        "STDERR-flood",
        "STDERR-8 LIST-2",
        "do=say: 8 MiB of messages do not disturb its answers",
        _say(b"x" * 1000, n_pairs=8400),
    ),
    contract_case(
        "STDERR-error",
        "STDERR-7 LIFECYCLE-3",
        "do=err: an ERR line, status 1, and the answers before it",
        _err(b"no more", 0, 1, 2),
        reports=("fails with",),
    ),
    contract_case(
        "STDERR-error-lines",
        "STDERR-4",
        "do=err: a text of several lines becomes several ERR lines",
        _err(b"no\nmore", 1),
    ),
    contract_case(
        "STDERR-error-not-due",
        "LIFECYCLE-3",
        "do=err: input that ends before the pair at fault is a success",
        _err(b"no more", 3, 4294967295),
    ),
    contract_case(
        "STDERR-error-at-once",
        "LIFECYCLE-3",
        "do=err: it ends when it fails, and does not wait for more input",
        _err_in_time,
    ),
)
