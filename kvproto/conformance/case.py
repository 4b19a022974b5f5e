"""A case: what is asked of a worker, as one row of a table.

Promises: a row is all there is of a case. The modules of `cases` are such tables, one for each section; a new
case is a new row, and the runner, --list and --explain find it by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kvproto.conformance.finding import Finding, NotApplicable
from kvproto.conformance.oracle import fault_of
from kvproto.conformance.schedule import Schedule
from kvproto.conformance.setting import Setting
from kvproto.conformance.trace import Trace

__all__ = ["CONTRACTS", "LEVELS", "MODES", "Case", "each"]

CONTRACTS = ("any", "reference")
LEVELS = ("MUST", "SHOULD", "INFO")
MODES = ("map", "reduce")

Verdict = Finding | NotApplicable | None
Judge = Callable[[list[Trace]], Verdict]


def each(judge: Callable[[Trace], Verdict]) -> Judge:
    """A judge of each run alone."""
    return lambda traces: judge(traces[-1])


@dataclass(frozen=True)
class Case:
    """One case.

    id         str, SECTION-words; it never changes and is never given to another case
    level      "MUST", "SHOULD" or "INFO", which tells and never fails a worker
    clauses    str, of PROTOCOL.md, with spaces between
    title      str, what a good worker does
    schedules  Setting -> its schedules, the smallest input first; played until one of them gives a finding
    judge      the traces so far -> a Finding, None when nothing is wrong, NotApplicable
    modes      in which it is asked
    contract   "any", or "reference": it is asked only of workers that follow CONTRACT.md
    drawn      Setting -> a Hypothesis strategy of schedules: examples of it are played besides, each behind its plain
               run, and judged with that; None for most cases
    tells      what causes of findings begin with that this case tells, where it and others meet them; where several
               tell the same, the first of those that meet it
    """

    id: str
    level: str
    clauses: str
    title: str
    schedules: Callable[[Setting], list[Schedule]]
    judge: Judge = each(fault_of)
    modes: tuple[str, ...] = MODES
    contract: str = "any"
    drawn: Callable[[Setting], Any] | None = None
    tells: tuple[str, ...] = ()
