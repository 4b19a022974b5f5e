"""LIFECYCLE-: how a worker starts and exits."""

from __future__ import annotations

from collections.abc import Sequence

from kvproto.conformance import quiet
from kvproto.conformance.answers import Pair, pair, pairs_of
from kvproto.conformance.case import Case, Schedules, Verdict, contract_case, each
from kvproto.conformance.judges import fails, unwritable
from kvproto.conformance.oracle import hang_of
from kvproto.conformance.schedule import (
    SMALL,
    CloseOutput,
    Rest,
    Schedule,
    Send,
    Setting,
    ahead,
    plain,
    stdin,
    until_exit,
)
from kvproto.conformance.trace import Finding, NotApplicable, Trace

__all__ = ["CASES"]

NO_MODES = ("neither-map-nor-reduce", "", "Map", "mapreduce")
MORE_THAN_BUFFERS: list[Pair] = [(b"k", b"v" * 65536)] * 64


def _full(pairs: Sequence[Pair]) -> Schedules:
    return lambda setting: [ahead(setting, pairs), ahead(setting, pairs, stdout="full")]


def _closed(setting: Setting) -> list[Schedule]:
    closed = until_exit(setting, CloseOutput(), Send(stdin(setting, SMALL)))
    return [ahead(setting, SMALL), closed]


def _closed_midway(setting: Setting) -> list[Schedule]:
    begin, rest = Send(stdin(setting, SMALL)), Send(pair(b"k", b"v" * 65536), 64)
    closed = until_exit(setting, begin, Rest(), CloseOutput(), rest)
    return [until_exit(setting, begin, rest), closed]


def _no_stdout(setting: Setting) -> list[Schedule]:
    return [ahead(setting, SMALL), ahead(setting, SMALL, stdout="closed")]


def _goes_on_writing(traces: list[Trace]) -> Verdict:
    """Judge as `unwritable` does, if the worker writes enough to notice that nobody reads."""
    if len(traces) == 1 and len(traces[0].stdout) < 4 << 20:
        return NotApplicable("it writes less than its pipe holds")
    return unwritable("nobody reads its output")(traces)


def _nothing_sent(setting: Setting) -> list[Schedule]:
    return [until_exit(setting, breaks="PARAMS-5")]


def _left(trace: Trace) -> Verdict:
    if not quiet.can_look():
        return NotApplicable(
            "the /proc of this machine does not show which processes a worker has started"
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
    return [until_exit(Setting(mode), data) for mode in NO_MODES]


CASES = (
    Case(
        "LIFECYCLE-exit-status",
        "LIFECYCLE-3",
        "it exits with status 0 after success",
        plain,
        reports=("exit status ", "killed by "),
    ),
    Case(
        "LIFECYCLE-ends",
        "LIFECYCLE-3",
        "it ends when its input ends",
        plain,
        reports=("hangs", "floods", "interferes with its parent"),
    ),
    Case(
        "LIFECYCLE-reads-all",
        "LIFECYCLE-2",
        "it reads its input to the end",
        plain,
        reports=("exits before the end of input",),
    ),
    Case(
        "LIFECYCLE-reads-all-of-much",
        "LIFECYCLE-2",
        "it reads its input to the end, however long that is",
        lambda setting: [ahead(setting, MORE_THAN_BUFFERS)],
        reports=("exits before the end of input",),
    ),
    Case(
        "LIFECYCLE-keeps-stdout",
        "LIFECYCLE-5",
        "stdout stays open until it exits, and nobody holds it after that",
        plain,
        reports=("closes stdout", "a process that it started holds stdout"),
    ),
    Case(
        "LIFECYCLE-no-bytes",
        "LIFECYCLE-3",
        "it ends when stdin ends before a single byte has arrived",
        _nothing_sent,
        each(hang_of),
    ),
    Case(
        "LIFECYCLE-full-stdout",
        "LIFECYCLE-3",
        "output that cannot be written is an error: a full disk",
        _full(SMALL),
        unwritable("its output could not be written"),
    ),
    Case(
        "LIFECYCLE-full-stdout-midway",
        "LIFECYCLE-3",
        "output that cannot be written is an error: a full disk, and more than a buffer of output",
        _full(MORE_THAN_BUFFERS),
        unwritable("its output could not be written"),
    ),
    Case(
        "LIFECYCLE-closed-stdout",
        "LIFECYCLE-3",
        "output that cannot be written is an error: nobody reads it",
        _closed,
        unwritable("nobody reads its output"),
    ),
    Case(
        "LIFECYCLE-closed-stdout-midway",
        "LIFECYCLE-3",
        "output that cannot be written is an error: the reader goes away midway",
        _closed_midway,
        _goes_on_writing,
    ),
    Case(
        "LIFECYCLE-no-stdout",
        "LIFECYCLE-3",
        "output that cannot be written is an error: stdout is not open",
        _no_stdout,
        unwritable("its stdout is not open"),
        level="SHOULD",
    ),
    Case(
        "LIFECYCLE-none-left",
        "LIFECYCLE-7",
        "no process that it started outlives it",
        plain,
        each(_left),
        level="INFO",
    ),
    Case(
        "LIFECYCLE-unknown-mode",
        "MAP-1",
        "an argument that is neither map nor reduce is an error",
        lambda setting: _wrong_modes(setting)[:1],
        fails("its argument is neither map nor reduce", "MAP-1", ""),
        level="INFO",
        modes=("map",),
    ),
    contract_case(
        "LIFECYCLE-wrong-modes",
        "MAP-1 LIFECYCLE-3",
        "an argument that is neither map nor reduce is an error",
        _wrong_modes,
        modes=("map",),
    ),
    Case(
        "LIFECYCLE-mode-is-last",
        "MAP-1 REDUCE-1",
        "other arguments may come before the mode",
        _with_arguments,
        level="INFO",
    ),
    contract_case(
        "LIFECYCLE-mode-behind-others",
        "MAP-1 REDUCE-1",
        "the mode is the last argument, whatever comes before it",
        _with_arguments,
    ),
    Case(
        "LIFECYCLE-empty-environment",
        "FILES-4",
        "it needs nothing from its environment",
        lambda setting: [ahead(setting, SMALL, environment="empty")],
        level="INFO",
    ),
)
