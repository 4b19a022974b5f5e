"""LIFECYCLE-: from the start to the exit."""

from __future__ import annotations

from collections.abc import Sequence

from kvproto.conformance import quiet
from kvproto.conformance.case import Case, Schedules, Verdict, each
from kvproto.conformance.judges import fails, leave_to_contract, unwritable
from kvproto.conformance.oracle import hang_of
from kvproto.conformance.schedule import (
    SMALL,
    CloseOutput,
    End,
    Exit,
    Pair,
    Rest,
    Schedule,
    Send,
    Setting,
    ahead,
    pair,
    pairs_of,
    stdin,
)
from kvproto.conformance.trace import Finding, NotApplicable, Trace

__all__ = ["CASES"]

NO_MODES = ("neither-map-nor-reduce", "", "Map", "mapreduce")
MORE_THAN_BUFFERS: list[Pair] = [(b"k", b"v" * 65536)] * 64


def _plain(setting: Setting) -> list[Schedule]:
    return [ahead(setting, SMALL[:n]) for n in (1, 3)]


def _full(pairs: Sequence[Pair]) -> Schedules:
    return lambda setting: [ahead(setting, pairs), ahead(setting, pairs, stdout="full")]


def _closed(setting: Setting) -> list[Schedule]:
    closed = (CloseOutput(), Send(stdin(setting, SMALL)), End(), Exit())
    return [ahead(setting, SMALL), Schedule(closed, setting.mode)]


def _closed_midway(setting: Setting) -> list[Schedule]:
    begin, rest = stdin(setting, SMALL), Send(pair(b"k", b"v" * 65536), 64)
    closed = (Send(begin), Rest(), CloseOutput(), rest, End(), Exit())
    return [
        Schedule((Send(begin), rest, End(), Exit()), setting.mode),
        Schedule(closed, setting.mode),
    ]


def _no_stdout(setting: Setting) -> list[Schedule]:
    return [ahead(setting, SMALL), ahead(setting, SMALL, stdout="closed")]


def _goes_on_writing(traces: list[Trace]) -> Verdict:
    """As `unwritable`, after the reader has gone away while there was more to write."""
    if len(traces) == 1 and len(traces[0].stdout) < 4 << 20:
        return NotApplicable("it writes less than its pipe holds")
    return unwritable("nobody reads its output")(traces)


def _nothing_sent(setting: Setting) -> list[Schedule]:
    return [Schedule((End(), Exit()), setting.mode, breaks="PARAMS-5")]


def _left(trace: Trace) -> Verdict:
    if not quiet.can_look():
        return NotApplicable(
            "this machine's /proc does not tell which processes a worker has started"
        )
    if not trace.left:
        return None
    return Finding(
        "leaves a process",
        "LIFECYCLE-7",
        f"it leaves a process behind: {', '.join(trace.left)}",
        "no process",
        ", ".join(trace.left),
        trace,
    )


def _with_arguments(setting: Setting) -> list[Schedule]:
    return [ahead(setting, SMALL, between=("an", "argument"))]


def _wrong_modes(setting: Setting) -> list[Schedule]:
    data = Send(setting.head() + pairs_of(SMALL))
    return [Schedule((data, End(), Exit()), mode) for mode in NO_MODES]


CASES = (
    Case(
        "LIFECYCLE-exit-status",
        "MUST",
        "LIFECYCLE-3",
        "it exits with status 0 after success",
        _plain,
        tells=("exit status ", "killed by "),
    ),
    Case(
        "LIFECYCLE-ends",
        "MUST",
        "LIFECYCLE-3",
        "it ends when its input ends",
        _plain,
        tells=("hangs", "floods", "interferes with its parent"),
    ),
    Case(
        "LIFECYCLE-reads-all",
        "MUST",
        "LIFECYCLE-2",
        "it reads its input to the end",
        _plain,
        tells=("exits before the end of input",),
    ),
    Case(
        "LIFECYCLE-reads-all-of-much",
        "MUST",
        "LIFECYCLE-2",
        "it reads its input to the end, however long that is",
        lambda setting: [ahead(setting, MORE_THAN_BUFFERS)],
        tells=("exits before the end of input",),
    ),
    Case(
        "LIFECYCLE-keeps-stdout",
        "MUST",
        "LIFECYCLE-5",
        "stdout stays open until it exits, and nobody holds it after that",
        _plain,
        tells=("closes stdout", "a process that it started holds stdout"),
    ),
    Case(
        "LIFECYCLE-no-bytes",
        "MUST",
        "LIFECYCLE-3",
        "it ends when stdin ends before a single byte has come",
        _nothing_sent,
        each(hang_of),
    ),
    Case(
        "LIFECYCLE-full-stdout",
        "MUST",
        "LIFECYCLE-3",
        "output that cannot be written is an error: a full disk",
        _full(SMALL),
        unwritable("its output could not be written"),
    ),
    Case(
        "LIFECYCLE-full-stdout-midway",
        "MUST",
        "LIFECYCLE-3",
        "output that cannot be written is an error: a full disk, and more than a buffer of output",
        _full(MORE_THAN_BUFFERS),
        unwritable("its output could not be written"),
    ),
    Case(
        "LIFECYCLE-closed-stdout",
        "MUST",
        "LIFECYCLE-3",
        "output that cannot be written is an error: nobody reads it",
        _closed,
        unwritable("nobody reads its output"),
    ),
    Case(
        "LIFECYCLE-closed-stdout-midway",
        "MUST",
        "LIFECYCLE-3",
        "output that cannot be written is an error: the reader goes away midway",
        _closed_midway,
        _goes_on_writing,
    ),
    Case(
        "LIFECYCLE-no-stdout",
        "SHOULD",
        "LIFECYCLE-3",
        "output that cannot be written is an error: stdout is not open",
        _no_stdout,
        unwritable("its stdout is not open"),
    ),
    Case(
        "LIFECYCLE-none-left",
        "INFO",
        "LIFECYCLE-7",
        "no process that it started outlives it",
        _plain,
        each(_left),
    ),
    Case(
        "LIFECYCLE-unknown-mode",
        "INFO",
        "MAP-1",
        "an argument that is neither map nor reduce is an error",
        lambda setting: _wrong_modes(setting)[:1],
        fails("its argument is neither map nor reduce", "MAP-1", ""),
        modes=("map",),
    ),
    Case(
        "LIFECYCLE-wrong-modes",
        "MUST",
        "MAP-1 LIFECYCLE-3",
        "an argument that is neither map nor reduce is an error",
        _wrong_modes,
        leave_to_contract,
        modes=("map",),
        contract="reference",
    ),
    Case(
        "LIFECYCLE-mode-is-last",
        "INFO",
        "MAP-1 REDUCE-1",
        "other arguments may come before the mode",
        _with_arguments,
    ),
    Case(
        "LIFECYCLE-mode-behind-others",
        "MUST",
        "MAP-1 REDUCE-1",
        "the mode is the last argument, whatever comes before it",
        _with_arguments,
        leave_to_contract,
        contract="reference",
    ),
    Case(
        "LIFECYCLE-empty-environment",
        "INFO",
        "FILES-4",
        "it needs nothing from its environment",
        lambda setting: [ahead(setting, SMALL, environment="empty")],
    ),
)
