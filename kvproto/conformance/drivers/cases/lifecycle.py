"""LIFECYCLE-: how a worker starts and ends, and what is left of it."""

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
    bad,
    hostile,
)
from kvproto.conformance.drivers.hostile.base import packed
from kvproto.conformance.drivers.request import ParamSet

__all__ = ["CASES"]


def _group(case: DriverCase, play: Play) -> DriverFinding | None:
    if play.noted("group") != play.group:
        return None
    return case.finding(
        play,
        "group",
        "the worker is in the process group of the driver",
        "a group of its own",
        f"group {play.group}, as the adapter",
    )


def _out_of_time(
    name: str, limit: str, title: str, worker: Hostile, seconds: float = SHORT, **details: Any
) -> DriverCase:
    """A worker that never ends; the limit may expire before the worker has even started."""
    return DriverCase(
        f"LIFECYCLE-{name}",
        "LIFECYCLE-6",
        title,
        worker,
        limits={limit: seconds},
        is_started=None,
        leaves_nothing=True,
        **details,
    )


def _ended(name: str, number: int, words: str) -> DriverCase:
    return DriverCase(
        f"LIFECYCLE-{name}",
        "LIFECYCLE-7",
        f"no process of the worker outlives a driver that is {words}",
        hostile(bad.leaves_child, holds=(), stays=True),
        kill=number,
        leaves_nothing=True,
    )


FAILS = (
    DriverCase(
        "LIFECYCLE-exits-in-params",
        "LIFECYCLE-4",
        "a worker that exits while parameters are being sent is an error",
        hostile(bad.exits, n_pairs=None),
        params=ParamSet((("words", "w" * (3 << 20)),)),
    ),
    DriverCase(
        "LIFECYCLE-exit-1",
        "LIFECYCLE-4",
        "exit status 1 after good output is an error",
        answering(status=1),
    ),
    DriverCase(
        "LIFECYCLE-exit-255",
        "LIFECYCLE-4",
        "exit status 255 after good output is an error",
        answering(status=255),
    ),
    DriverCase(
        "LIFECYCLE-killed",
        "LIFECYCLE-4",
        "a signal that kills the worker after good output is an error",
        answering(signal=9),
    ),
    DriverCase(
        "LIFECYCLE-exits-at-once",
        "LIFECYCLE-4",
        "a worker that exits with status 0 at once is an error",
        hostile(bad.exits, n_pairs=None),
    ),
    DriverCase(
        "LIFECYCLE-fails-at-once",
        "LIFECYCLE-4",
        "a worker that exits with status 1 at once is an error",
        hostile(bad.exits, n_pairs=None, status=1),
    ),
    DriverCase(
        "LIFECYCLE-fails-midway",
        "LIFECYCLE-4",
        "a worker that exits with status 1 midway is an error",
        hostile(bad.exits, n_pairs=1, status=1),
        entries=MANY,
    ),
    DriverCase(
        "LIFECYCLE-exits-midway",
        "LIFECYCLE-4",
        "a worker that exits with status 0 midway is an error",
        hostile(bad.exits, n_pairs=1),
        entries=MANY,
    ),
    DriverCase(
        "LIFECYCLE-unread",
        "LIFECYCLE-4",
        "good output from a worker that has read nothing is an error",
        hostile(bad.reads_nothing, data=WHOLE),
    ),
    DriverCase(
        "LIFECYCLE-unread-much",
        "LIFECYCLE-4",
        "good output from a worker that has not read all of a long input is an error",
        hostile(bad.reads_nothing, data=packed() * len(MANY)),
        entries=MANY,
    ),
    DriverCase(
        "LIFECYCLE-closes-stdin",
        "LIFECYCLE-4",
        "a worker that closes its stdin before the end is an error",
        hostile(bad.closes_stdin),
        entries=MANY,
    ),
)

TIME = (
    _out_of_time(
        "hangs-at-start",
        "idle",
        "a worker that does nothing is ended by the idle limit",
        hostile(bad.hangs, where="start"),
    ),
    _out_of_time(
        "hangs-in-list",
        "idle",
        "a worker that hangs inside a list is ended by the idle limit",
        hostile(bad.hangs, where="list"),
    ),
    _out_of_time(
        "hangs-full",
        "idle",
        "a worker that hangs with input unread is ended by the idle limit",
        hostile(bad.hangs, where="start"),
        entries=MANY,
    ),
    _out_of_time(
        "hangs-at-end",
        "grace",
        "a worker that has answered everything and does not exit is ended by the grace limit",
        hostile(bad.hangs, where="end"),
        modes=("map",),
    ),
    _out_of_time(
        "deaf",
        "idle",
        "a worker that ignores signals is ended all the same",
        hostile(bad.hangs, where="list", is_deaf=True),
    ),
    _out_of_time(
        "stopped", "idle", "a worker that is stopped is ended all the same", hostile(bad.stops)
    ),
    _out_of_time(
        "busy",
        "total",
        "a worker that writes messages for ever is ended by the total limit",
        hostile(bad.stays_busy),
        3 * SHORT,
    ),
    _out_of_time(
        "closes-stdout",
        "grace",
        "a worker that closes its stdout and does not exit is ended by the grace limit",
        hostile(bad.closes_stdout),
    ),
    _out_of_time(
        "child-holds-stdout",
        "grace",
        "stdout that a child holds open is an error when the grace limit runs out",
        hostile(bad.leaves_child, holds=(1,)),
    ),
    DriverCase(
        "LIFECYCLE-daemon-holds-stdout",
        "LIFECYCLE-6",
        "stdout that a daemon holds open is an error when the grace limit runs out",
        hostile(bad.leaves_child, holds=(1,), is_daemon=True),
        limits={"grace": SHORT},
        is_started=None,
    ),
)

LEFT = (
    DriverCase(
        "LIFECYCLE-group",
        "LIFECYCLE-7",
        "the worker is in a process group of its own",
        ECHO,
        echoed,
        checks=(_group,),
    ),
    DriverCase(
        "LIFECYCLE-directory",
        "LIFECYCLE-8",
        "the worker's directory is removed after a success",
        ECHO,
        echoed,
        leaves_nothing=True,
    ),
    DriverCase(
        "LIFECYCLE-directory-failure",
        "LIFECYCLE-8",
        "the worker's directory is removed after a failure",
        answering(status=1),
        leaves_nothing=True,
    ),
    DriverCase(
        "LIFECYCLE-directory-litter",
        "LIFECYCLE-8",
        "what the worker left in its directory is removed with it",
        hostile(bad.litters),
        echoed,
        modes=("map",),
        leaves_nothing=True,
    ),
    DriverCase(
        "LIFECYCLE-directory-gone",
        "LIFECYCLE-4",
        "a worker may have removed its directory itself",
        hostile(bad.removes_all),
        echoed,
        modes=("map",),
        leaves_nothing=True,
    ),
    DriverCase(
        "LIFECYCLE-child",
        "LIFECYCLE-7",
        "no child of the worker is left behind after a success",
        hostile(bad.leaves_child, holds=()),
        echoed,
        leaves_nothing=True,
    ),
    DriverCase(
        "LIFECYCLE-child-failure",
        "LIFECYCLE-7",
        "no child of the worker is left behind after a failure",
        hostile(bad.leaves_child, holds=(), status=1),
        leaves_nothing=True,
    ),
    DriverCase(
        "LIFECYCLE-child-holds-stderr",
        "LIFECYCLE-7",
        "a child that holds stderr open delays nothing and is not left behind",
        hostile(bad.leaves_child, holds=(2,)),
        echoed,
        may_fail=True,
        leaves_nothing=True,
        limits={"grace": SHORT},
    ),
    DriverCase(
        "LIFECYCLE-child-floods-stderr",
        "LIFECYCLE-7",
        "a child that floods stderr delays nothing",
        hostile(bad.leaves_child, holds=(2,), floods=True),
        echoed,
        may_fail=True,
        leaves_nothing=True,
        limits={"grace": SHORT},
    ),
    DriverCase(
        "LIFECYCLE-daemon",
        "LIFECYCLE-4",
        "a daemon that holds no pipe delays nothing",
        hostile(bad.leaves_child, holds=(), is_daemon=True),
        echoed,
    ),
    _ended("driver-killed", signal.SIGKILL, "killed"),
    _ended("driver-interrupted", signal.SIGINT, "interrupted"),
    _ended("driver-terminated", signal.SIGTERM, "terminated"),
)

CASES = (*FAILS, *TIME, *LEFT)
