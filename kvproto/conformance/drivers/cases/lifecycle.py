"""LIFECYCLE-: from the start of a worker to its end, and what remains afterwards."""

from __future__ import annotations

import signal
from typing import Any

from kvproto.conformance.drivers.case import DriverCase, DriverFinding, Play, echoed
from kvproto.conformance.drivers.hostile import (
    ECHO,
    MANY,
    SHORT,
    WHOLE,
    Hostile,
    answering,
    hostile,
)
from kvproto.conformance.drivers.hostile import bad as lifecycle
from kvproto.conformance.drivers.hostile import bad as stdout
from kvproto.conformance.drivers.hostile.base import packed
from kvproto.conformance.drivers.request import ParamSet

__all__ = ["CASES"]

LEAVES_CHILD = lifecycle.leaves_child


def _group(case: DriverCase, play: Play) -> DriverFinding | None:
    if play.noted("group") != play.group:
        return None
    return DriverFinding(
        f"{case.id}: group",
        "LIFECYCLE-7",
        "the worker is in the process group of the driver",
        "a group of its own",
        f"group {play.group}, as the adapter",
        play,
    )


def _error(name: str, clauses: str, title: str, worker: Hostile, **details: Any) -> DriverCase:
    return DriverCase(f"LIFECYCLE-{name}", "MUST", clauses, title, worker, **details)


def _out_of_time(
    name: str, limit: str, title: str, worker: Hostile, seconds: float = SHORT, **details: Any
) -> DriverCase:
    """A worker that never ends; an error is right even if the limit expires before that point."""
    return _error(
        name,
        "LIFECYCLE-6",
        title,
        worker,
        limits={limit: seconds},
        is_started=None,
        leaves_nothing=True,
        **details,
    )


def _ended(name: str, number: int, words: str) -> DriverCase:
    return _error(
        name,
        "LIFECYCLE-7",
        f"no process of the worker outlives a driver that is {words}",
        hostile(LEAVES_CHILD, holds=(), stays=True),
        kill=number,
        leaves_nothing=True,
    )


FAILS = (
    _error(
        "exits-in-params",
        "LIFECYCLE-4",
        "a worker that exits while parameters are being sent is an error",
        hostile(lifecycle.exits, n_pairs=None),
        params=ParamSet((("words", "w" * (3 << 20)),)),
    ),
    _error(
        "exit-1", "LIFECYCLE-4", "exit status 1 after good output is an error", answering(status=1)
    ),
    _error(
        "exit-255",
        "LIFECYCLE-4",
        "exit status 255 after good output is an error",
        answering(status=255),
    ),
    _error(
        "killed",
        "LIFECYCLE-4",
        "a signal that kills the worker after good output is an error",
        answering(signal=9),
    ),
    _error(
        "exits-at-once",
        "LIFECYCLE-4",
        "a worker that exits with status 0 at once is an error",
        hostile(lifecycle.exits, n_pairs=None),
    ),
    _error(
        "fails-at-once",
        "LIFECYCLE-4",
        "a worker that exits with status 1 at once is an error",
        hostile(lifecycle.exits, n_pairs=None, status=1),
    ),
    _error(
        "fails-midway",
        "LIFECYCLE-4",
        "a worker that exits with status 1 midway is an error",
        hostile(lifecycle.exits, n_pairs=1, status=1),
        entries=MANY,
    ),
    _error(
        "exits-midway",
        "LIFECYCLE-4",
        "a worker that exits with status 0 midway is an error",
        hostile(lifecycle.exits, n_pairs=1),
        entries=MANY,
    ),
    _error(
        "unread",
        "LIFECYCLE-4",
        "good output from a worker that has read nothing is an error",
        hostile(stdout.reads_nothing, data=WHOLE),
    ),
    _error(
        "unread-much",
        "LIFECYCLE-4",
        "good output from a worker that has not read all of a long input is an error",
        hostile(stdout.reads_nothing, data=packed() * len(MANY)),
        entries=MANY,
    ),
    _error(
        "closes-stdin",
        "LIFECYCLE-4",
        "a worker that closes its stdin before the end is an error",
        hostile(lifecycle.closes_stdin),
        entries=MANY,
    ),
)

TIME = (
    _out_of_time(
        "hangs-at-start",
        "idle",
        "a worker that does nothing is ended by the idle limit",
        hostile(lifecycle.hangs, where="start"),
    ),
    _out_of_time(
        "hangs-in-list",
        "idle",
        "a worker that hangs inside a list is ended by the idle limit",
        hostile(lifecycle.hangs, where="list"),
    ),
    _out_of_time(
        "hangs-full",
        "idle",
        "a worker that hangs with input unread is ended by the idle limit",
        hostile(lifecycle.hangs, where="start"),
        entries=MANY,
    ),
    _out_of_time(
        "hangs-at-end",
        "grace",
        "a worker that has answered everything and does not exit is ended by the grace limit",
        hostile(lifecycle.hangs, where="end"),
        modes=("map",),
    ),
    _out_of_time(
        "deaf",
        "idle",
        "a worker that ignores signals is ended all the same",
        hostile(lifecycle.hangs, where="list", is_deaf=True),
    ),
    _out_of_time(
        "stopped",
        "idle",
        "a worker that is stopped is ended all the same",
        hostile(lifecycle.stops),
    ),
    _out_of_time(
        "busy",
        "total",
        "a worker that writes messages for ever is ended by the total limit",
        hostile(lifecycle.stays_busy),
        3 * SHORT,
    ),
    _out_of_time(
        "closes-stdout",
        "grace",
        "a worker that closes its stdout and does not exit is ended by the grace limit",
        hostile(lifecycle.closes_stdout),
    ),
    _out_of_time(
        "child-holds-stdout",
        "grace",
        "stdout that a child holds open is an error when the grace limit runs out",
        hostile(LEAVES_CHILD, holds=(1,)),
    ),
    _error(
        "daemon-holds-stdout",
        "LIFECYCLE-6",
        "stdout that a daemon holds open is an error when the grace limit runs out",
        hostile(LEAVES_CHILD, holds=(1,), is_daemon=True),
        limits={"grace": SHORT},
        is_started=None,
    ),
)

LEFT = (
    DriverCase(
        "LIFECYCLE-group",
        "MUST",
        "LIFECYCLE-7",
        "the worker is in a process group of its own",
        ECHO,
        echoed,
        checks=(_group,),
    ),
    DriverCase(
        "LIFECYCLE-directory",
        "MUST",
        "LIFECYCLE-8",
        "the worker's directory is removed after a success",
        ECHO,
        echoed,
        leaves_nothing=True,
    ),
    _error(
        "directory-failure",
        "LIFECYCLE-8",
        "the worker's directory is removed after a failure",
        answering(status=1),
        leaves_nothing=True,
    ),
    DriverCase(
        "LIFECYCLE-directory-litter",
        "MUST",
        "LIFECYCLE-8",
        "what the worker left in its directory is removed with it",
        hostile(lifecycle.litters),
        echoed,
        modes=("map",),
        leaves_nothing=True,
    ),
    DriverCase(
        "LIFECYCLE-directory-gone",
        "MUST",
        "LIFECYCLE-4",
        "a worker may have removed its directory itself",
        hostile(lifecycle.removes_all),
        echoed,
        modes=("map",),
        leaves_nothing=True,
    ),
    DriverCase(
        "LIFECYCLE-child",
        "MUST",
        "LIFECYCLE-7",
        "no child of the worker is left behind after a success",
        hostile(LEAVES_CHILD, holds=()),
        echoed,
        leaves_nothing=True,
    ),
    _error(
        "child-failure",
        "LIFECYCLE-7",
        "no child of the worker is left behind after a failure",
        hostile(LEAVES_CHILD, holds=(), status=1),
        leaves_nothing=True,
    ),
    DriverCase(
        "LIFECYCLE-child-holds-stderr",
        "MUST",
        "LIFECYCLE-7",
        "a child that holds stderr open delays nothing and is not left behind",
        hostile(LEAVES_CHILD, holds=(2,)),
        echoed,
        may_fail=True,
        leaves_nothing=True,
        limits={"grace": SHORT},
    ),
    DriverCase(
        "LIFECYCLE-child-floods-stderr",
        "MUST",
        "LIFECYCLE-7",
        "a child that floods stderr delays nothing",
        hostile(LEAVES_CHILD, holds=(2,), floods=True),
        echoed,
        may_fail=True,
        leaves_nothing=True,
        limits={"grace": SHORT},
    ),
    DriverCase(
        "LIFECYCLE-daemon",
        "MUST",
        "LIFECYCLE-4",
        "a daemon that holds no pipe delays nothing",
        hostile(LEAVES_CHILD, holds=(), is_daemon=True),
        echoed,
    ),
    _ended("driver-killed", signal.SIGKILL, "killed"),
    _ended("driver-interrupted", signal.SIGINT, "interrupted"),
    _ended("driver-terminated", signal.SIGTERM, "terminated"),
)

CASES = (*FAILS, *TIME, *LEFT)
