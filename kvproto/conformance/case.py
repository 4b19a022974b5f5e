"""A case is one question to a worker: a row of a table. `explain` describes it.

The modules of `workers` are the tables, one for each section. To add a case, add a row: the runner,
--list and --explain need no change.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kvproto.conformance import display
from kvproto.conformance.display import plural, quoted
from kvproto.conformance.oracle import fault_of
from kvproto.conformance.schedule import (
    Answers,
    CloseOutput,
    End,
    Exit,
    Measure,
    Pause,
    Rest,
    Resume,
    Schedule,
    Send,
    Setting,
    Step,
    Taken,
)
from kvproto.conformance.trace import Finding, NotApplicable, Trace

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "LEVELS",
    "MODES",
    "BaseCase",
    "Case",
    "Judge",
    "Schedules",
    "Verdict",
    "contract_case",
    "each",
    "explain",
    "good_input",
    "leave_to_contract",
    "special",
]

LEVELS = ("MUST", "SHOULD", "INFO")
MODES = ("map", "reduce")

Verdict = Finding | NotApplicable | None
Judge = Callable[[list[Trace]], Verdict]
Schedules = Callable[[Setting], list[Schedule]]


def each(judge: Callable[[Trace], Verdict]) -> Judge:
    """Make a judge of the last run alone."""
    return lambda traces: judge(traces[-1])


good_input = each(fault_of)


def leave_to_contract(traces: list[Trace]) -> Verdict:
    """Find nothing: CONTRACT.md judges the run, as it does in all cases for such workers."""
    return None


@dataclass(frozen=True)
class BaseCase:
    """The fields that cases for workers and for drivers share.

    id        SECTION-words; it never changes, and no other case ever gets it
    clauses   of PROTOCOL.md, separated by spaces
    title     what a good worker or driver does
    level     "MUST", "SHOULD", or "INFO", which informs and fails nobody
    modes     the modes to ask it in; by default the one that its id begins with, otherwise both
    contract  "any", or "reference" to ask only workers that follow CONTRACT.md
    reports   prefixes of causes. When several cases find the same fault, the first one that lists
              its cause here reports it.
    """

    id: str
    clauses: str
    title: str
    level: str = field(default="MUST", kw_only=True)
    modes: tuple[str, ...] = field(default=(), kw_only=True)
    contract: str = field(default="any", kw_only=True)
    reports: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if not self.modes:
            own = tuple(mode for mode in MODES if self.id.startswith(f"{mode.upper()}-"))
            object.__setattr__(self, "modes", own or MODES)


@dataclass(frozen=True)
class Case(BaseCase):
    """A case for workers.

    schedules  are played in order, the smallest input first, until `judge` returns a finding
    judge      takes the traces so far
    drawn      a Hypothesis strategy of schedules, or None. Each example is judged together with
               a run in which the same bytes come all at once.
    """

    schedules: Schedules
    judge: Judge = good_input
    drawn: Callable[[Setting], SearchStrategy[Schedule]] | None = None


def contract_case(
    id: str,
    clauses: str,
    title: str,
    schedules: Schedules,
    modes: tuple[str, ...] = (),
    reports: tuple[str, ...] = (),
) -> Case:
    """Make a case that is judged by CONTRACT.md alone."""
    return Case(
        id,
        clauses,
        title,
        schedules,
        leave_to_contract,
        modes=modes,
        contract="reference",
        reports=reports,
    )


# --- in words -----------------------------------------------------------------------------------

_WORDS: dict[type[Any], str] = {
    Taken: "wait until the worker has read all of it",
    Rest: "wait until the worker has read all of it and is idle",
    Measure: "note how much memory the worker has used",
    Pause: "stop reading stdout",
    Resume: "read stdout again",
    CloseOutput: "close our end of stdout",
    End: "close stdin",
    Exit: "wait until the worker has exited and stdout is at end of file",
}
_MOST_STEPS = 12


def explain(case: Case, setting: Setting) -> str:
    """Describe a case: title, clauses, modes, and its first schedule step by step."""
    schedules = case.schedules(setting)
    lines = [
        f"{case.id}  {case.level}  {case.clauses}",
        f"{case.title}",
        "",
        f"modes: {' and '.join(case.modes)}",
    ]
    if case.contract == "reference":
        lines.append("only with --contract reference, for workers that follow CONTRACT.md")
    if case.drawn:
        lines += [
            "",
            "each run: the same bytes all at once, for comparison, and then a random schedule",
            "(--examples, --seed), which is shrunk when it fails",
        ]
        return "\n".join(lines) + "\n"
    lines += [
        f"runs of the worker in each mode, unless it fails sooner: {len(schedules)}",
        "",
        f"the first run, with the argument {schedules[0].argument!r}{special(schedules[0])}:",
    ]
    steps = [_words(step) for step in schedules[0].steps]
    if len(steps) > _MOST_STEPS:
        steps[_MOST_STEPS - 2 : -2] = [f"... {len(steps) - _MOST_STEPS} more of these"]
    lines += [f"  {n}. {words}" for n, words in enumerate(steps, 1)]
    lines += ["", "its stdin:", *display.of_input(schedules[0].stdin)]
    return "\n".join(lines) + "\n"


def special(schedule: Schedule) -> str:
    """List what is unusual about the start of the worker, with a comma before each item."""
    names = ", ".join(quoted(name.encode()) for name, _ in schedule.files)
    facts = {
        "stdout is /dev/full": schedule.stdout == "full",
        "stdout is not open": schedule.stdout == "closed",
        f"watched by {schedule.witness}": schedule.witness,
        "the environment is empty": schedule.environment == "empty",
        f"other arguments before it: {shlex.join(schedule.between)}": schedule.between,
        f"supporting files {names}": schedule.files,
    }
    return "".join(f", {words}" for words, holds in facts.items() if holds)


def _words(step: Step) -> str:
    if isinstance(step, Send):
        times = f", {step.times} times" * (step.times != 1)
        return f"send {plural(len(step.data), 'byte')}{times}"
    if isinstance(step, Answers):
        who = "the pair is" if step.n == 1 else f"{step.n} pairs in all are"
        return f"wait until {who} answered"
    return _WORDS[type(step)]
