"""Runs the cases on a driver, through its adapter, and keeps the evidence of a failure.

Evidence is a directory with the worker, the request, what came of it, and a repro.sh that needs a
POSIX shell, the adapter, and what the worker needs (Python), but nothing of kvproto.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event

from kvproto.conformance import quiet
from kvproto.conformance.drivers.case import DriverCase, DriverFinding
from kvproto.conformance.drivers.judge import fault_of
from kvproto.conformance.drivers.play import ended_at_start, play
from kvproto.conformance.evidence import comment, write
from kvproto.conformance.runner import MOST_WATCHDOGS, Result, run_all
from kvproto.conformance.trace import NotApplicable

__all__ = ["keep", "run"]

HASTE = 3
"""After MOST_WATCHDOGS runs that the watchdog ended, its time is divided by HASTE."""

LONGER = 4
"""On a loaded machine a limit may expire before the worker has done its part, which shows nothing.
The case is then played again, with limits LONGER times as long."""

UNSEEN = "the /proc of this machine does not show how much memory the adapter uses"


def run(
    chosen: list[tuple[DriverCase, str]],
    adapter: list[str],
    timeout: float,
    on_result: Callable[[Result], object],
) -> list[Result]:
    """Run the chosen cases, each in its mode; on_result is called with each result, in order.

    adapter   the command that starts it
    timeout   seconds, the watchdog's

    Raises WorkerNotStarted when the adapter cannot be started. Nothing is left running at the end.
    """
    stopped = Event()
    watchdogs: list[DriverCase] = []

    def result(case: DriverCase, mode: str) -> Result:
        if case.is_frugal and not quiet.can_look():
            return Result(case, mode, NotApplicable(UNSEEN))
        limit = timeout / (HASTE if len(watchdogs) >= MOST_WATCHDOGS else 1)
        for limits in _limits(case, limit):
            facts = play(replace(case, limits=limits), mode, adapter, limit, stopped.is_set)
            if error := ended_at_start(facts):
                raise error
            if facts.ending == "watchdog":
                watchdogs.append(case)
            if (fault := fault_of(case, facts)) or facts.noted("is_done"):
                break
        return Result(case, mode, fault)

    return run_all(result, chosen, on_result, stopped.set)


def _limits(case: DriverCase, most: float) -> Iterator[dict[str, float]]:
    """Yield the limits of a case, then longer ones, each at most `most` seconds."""
    limits = case.limits
    yield limits
    while limits and LONGER * max(limits.values()) <= most:
        limits = {name: LONGER * seconds for name, seconds in limits.items()}
        yield limits


def keep(result: Result, adapter: list[str], directory: Path) -> None:
    """Write the evidence of a failing result; a directory of that name is replaced."""
    case, finding = result.case, result.finding
    assert isinstance(case, DriverCase) and isinstance(finding, DriverFinding)
    play = finding.play
    contents = {
        "request.json": play.document.encode(),
        "answer.json": bytes(play.answer),
        "adapter-stderr": play.stderr,
        "stdin": play.stdin,
        "notes": "".join(f"{facts!r}\n" for facts in play.notes).encode(),
        **{f"worker/{name}": content for name, content in play.files.items()},
        "repro.sh": _script(result, finding, case.kill, adapter).encode("utf-8", "surrogateescape"),
    }
    write(directory, contents)


def _script(result: Result, finding: DriverFinding, kill: int, adapter: list[str]) -> str:
    play = finding.play
    about = [
        "usage: ./repro.sh [adapter argument ...]; lines that begin with { come from the worker",
        *[f"When the worker says is_done, send the adapter signal {kill}: kill -{kill} PID"]
        * bool(kill),
    ]
    program = os.path.abspath(adapter[0]) if "/" in adapter[0] else adapter[0]
    moved = f"""sed "s|{play.folder}|$folder|g\""""
    files = []
    for name in play.files:
        parent, path = shlex.quote(os.path.dirname(name) or "."), shlex.quote(name)
        files.append(
            f'mkdir -p "$folder"/{parent} && {moved} "$here"/worker/{path} > "$folder"/{path} '
            f'&& chmod +x "$folder"/{path} || exit'
        )
    files_text = "\n".join(files)
    return f"""#!/bin/sh
{comment(result, *about)}here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- {shlex.join([program, *adapter[1:]])}
folder=$(mktemp -d) && mkfifo "$folder/notes" && : > "$folder/stdin" || exit
{files_text}
cat "$folder/notes" &
notes=$!
{moved} "$here/request.json" > "$folder/request.json"
"$@" < "$folder/request.json" > "$folder/answer.json"
echo "exit status: $?"
kill "$notes" 2> /dev/null
echo "what the worker read, $(wc -c < "$folder/stdin") bytes, in $folder/stdin:"
od -A x -t x1 "$folder/stdin" | head -n 20
echo "the answer, in $folder/answer.json:"
head -c 1000 "$folder/answer.json"
echo
"""
