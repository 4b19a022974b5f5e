"""What a case asks, in words: for --explain."""

from __future__ import annotations

import shlex

from kvproto.conformance import hexdump
from kvproto.conformance.case import Case
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
    Step,
    Taken,
)
from kvproto.conformance.setting import Setting
from kvproto.conformance.wording import plural, quoted

__all__ = ["explain", "special"]

WORDS = {
    Taken: "wait until the worker has read all of it",
    Rest: "wait until the worker has read all of it and is idle",
    Measure: "note how much memory the worker has used",
    Pause: "stop reading stdout",
    Resume: "read stdout again",
    CloseOutput: "close our end of stdout",
    End: "close stdin",
    Exit: "wait until the worker has exited and stdout is at end of file",
}
STEPS = 12


def explain(case: Case, setting: Setting) -> str:
    """Its title, clauses and modes, and its first schedule step by step."""
    schedules = case.schedules(setting)
    lines = [
        f"{case.id}  {case.level}  {case.clauses}",
        f"{case.title}",
        "",
        f"asked in: {' and '.join(case.modes)}",
    ]
    if case.contract == "reference":
        lines.append("asked only with --contract reference, of workers that follow CONTRACT.md")
    if case.drawn:
        lines += [
            "",
            "each run: a random schedule (--examples, --seed), shrunk when it fails, and before it the same",
            "bytes all at once, to compare with",
        ]
        return "\n".join(lines) + "\n"
    lines += [
        f"runs of the worker in each mode, unless it fails sooner: {len(schedules)}",
        "",
        f"the first run, with the argument {schedules[0].argument!r}{special(schedules[0])}:",
    ]
    steps = [_words(step) for step in schedules[0].steps]
    if len(steps) > STEPS:
        steps[STEPS - 2 : -2] = [f"... {len(steps) - STEPS} more of these"]
    lines += [f"  {n}. {words}" for n, words in enumerate(steps, 1)]
    lines += ["", "its stdin:", *hexdump.of_input(schedules[0].stdin)]
    return "\n".join(lines) + "\n"


def special(schedule: Schedule) -> str:
    """What is out of the ordinary in how a worker is started, with a comma before each."""
    said = {
        "stdout is /dev/full": schedule.stdout == "full",
        "stdout is not open": schedule.stdout == "closed",
        f"watched by {schedule.witness}": schedule.witness,
        "the environment is empty": schedule.environment == "empty",
        f"other arguments before it: {shlex.join(schedule.between)}": schedule.between,
        f"supporting files {', '.join(quoted(name.encode()) for name, _ in schedule.files)}": schedule.files,
    }
    return "".join(f", {words}" for words, holds in said.items() if holds)


def _words(step: Step) -> str:
    if isinstance(step, Send):
        times = f", {step.times} times" * (step.times != 1)
        return f"send {plural(len(step.data), 'byte')}{times}"
    if isinstance(step, Answers):
        who = "the pair is" if step.n == 1 else f"{step.n} pairs in all are"
        return f"wait until {who} answered"
    return WORDS[type(step)]
