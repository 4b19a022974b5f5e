"""LIFECYCLE-: from the start to the exit."""

from __future__ import annotations

from kvproto.conformance.case import Case, Verdict, each
from kvproto.conformance.cases.building import SMALL, ahead, stdin
from kvproto.conformance.finding import Finding, NotApplicable
from kvproto.conformance.oracle import must_fail
from kvproto.conformance.schedule import CloseOutput, End, Exit, Schedule, Send
from kvproto.conformance.trace import Trace

__all__ = ["CASES"]

UNKNOWN_MODE = "neither-map-nor-reduce"


def _plain(mode: str) -> list[Schedule]:
    return [ahead(mode, SMALL[:n]) for n in (1, 3)]


def _full(mode: str) -> list[Schedule]:
    return [ahead(mode, SMALL), ahead(mode, SMALL, stdout="full")]


def _closed(mode: str) -> list[Schedule]:
    return [ahead(mode, SMALL), Schedule((CloseOutput(), Send(stdin(SMALL)), End(), Exit()), mode)]


def _unwritable(why: str):
    """Of a run that tells whether it writes at all, and one in which it cannot."""

    def judge(traces: list[Trace]) -> Verdict:
        if len(traces) == 1:
            return None if traces[0].stdout else NotApplicable("it writes nothing to stdout")
        found = must_fail(traces[1], why, "LIFECYCLE-3")
        return found and Finding(**{**vars(found), "also": (traces[0],)})

    return judge


def _left(trace: Trace) -> Finding | None:
    if not trace.left:
        return None
    return Finding(
        "leaves a process", "LIFECYCLE-7", f"it leaves a process behind: {', '.join(trace.left)}",
        "no process", ", ".join(trace.left), trace,
    )  # fmt: skip


CASES = (
    Case(
        "LIFECYCLE-exit-status", "MUST", "LIFECYCLE-3", "it exits with status 0 after success",
        _plain, tells=("exit status ", "killed by "),
    ),
    Case(
        "LIFECYCLE-ends", "MUST", "LIFECYCLE-3", "it comes to an end when its input has",
        _plain, tells=("hangs", "floods"),
    ),
    Case(
        "LIFECYCLE-reads-all", "MUST", "LIFECYCLE-2", "it reads its input to the end",
        _plain, tells=("exits before the end of input",),
    ),
    Case(
        "LIFECYCLE-keeps-stdout", "MUST", "LIFECYCLE-5", "stdout is open until it exits, and then nobody's",
        _plain, tells=("closes stdout", "a process that it started holds stdout"),
    ),
    Case(
        "LIFECYCLE-full-stdout", "MUST", "LIFECYCLE-3", "output that cannot be written is an error: a full disk",
        _full, _unwritable("its output could not be written"),
    ),
    Case(
        "LIFECYCLE-closed-stdout", "MUST", "LIFECYCLE-3", "output that cannot be written is an error: nobody reads",
        _closed, _unwritable("nobody reads its output"),
    ),
    Case(
        "LIFECYCLE-none-left", "INFO", "LIFECYCLE-7", "no process that it started outlives it", _plain, each(_left),
    ),
    Case(
        "LIFECYCLE-unknown-mode", "INFO", "MAP-1", "an argument that is neither map nor reduce is an error",
        lambda mode: [ahead(UNKNOWN_MODE, SMALL)],
        each(lambda trace: must_fail(trace, "its argument is neither map nor reduce", "MAP-1")), modes=("map",),
    ),
    Case(
        "LIFECYCLE-empty-environment", "INFO", "FILES-4", "it needs nothing of the environment",
        lambda mode: [ahead(mode, SMALL, environment="empty")],
    ),
)  # fmt: skip
