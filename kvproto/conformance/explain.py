"""What a case asks, in words: for --explain."""

from __future__ import annotations

from kvproto.conformance import hexdump
from kvproto.conformance.case import Case
from kvproto.conformance.schedule import Answers, CloseOutput, End, Exit, Pause, Resume, Schedule, Send, Step, Taken

__all__ = ["explain"]

WORDS = {
    Taken: "wait until the worker has read all of it",
    Pause: "read stdout no more",
    Resume: "read stdout again",
    CloseOutput: "close our end of stdout",
    End: "close stdin",
    Exit: "wait until the worker has exited and stdout is at end of file",
}
STEPS = 12


def explain(case: Case) -> str:
    """Its title, clauses and modes, and its first schedule step by step."""
    schedules = case.schedules(case.modes[0])
    lines = [
        f"{case.id}  {case.level}  {case.clauses}", f"{case.title}", "",
        f"asked in: {', '.join(case.modes)}", f"the worker runs: {len(schedules)} times in each of them, as a rule", "",
        f"the first run, argument {schedules[0].argument}{_special(schedules[0])}:",
    ]  # fmt: skip
    steps = [_words(step) for step in schedules[0].steps]
    if len(steps) > STEPS:
        steps[STEPS - 2 : -2] = [f"... {len(steps) - STEPS} more of these"]
    lines += [f"  {n}. {words}" for n, words in enumerate(steps, 1)]
    lines += ["", "its stdin:", *hexdump.of_input(schedules[0].stdin)]
    return "\n".join(lines) + "\n"


def _special(schedule: Schedule) -> str:
    return ", stdout is /dev/full" * (schedule.stdout == "full") + ", the environment is empty" * (
        schedule.environment == "empty"
    )


def _words(step: Step) -> str:
    if isinstance(step, Send):
        return f"send {len(step.data)} byte{'s' * (len(step.data) != 1)}"
    if isinstance(step, Answers):
        return f"wait until the answers to all {step.n} pairs so far are there"
    return WORDS[type(step)]
