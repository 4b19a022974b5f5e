"""A schedule: all that the kit does to a worker, as data.

Promises: a schedule says everything that a run depends on but the program itself; it goes to JSON and comes back
the same, for `--replay`. Refuses to know how it is played.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass, field

from kvproto.conformance import answers

__all__ = ["Answers", "CloseOutput", "End", "Exit", "Pause", "Resume", "Schedule", "Send", "Step", "Taken"]


@dataclass(frozen=True)
class Send:
    """Write these bytes to stdin. While stdout is not read: as many of them as fit, the rest when it is read again."""

    data: bytes


@dataclass(frozen=True)
class Taken:
    """Wait until the worker has read all that was sent, so that it cannot get more in the same read."""


@dataclass(frozen=True)
class Answers:
    """Wait until `n` result lists are complete in all."""

    n: int


@dataclass(frozen=True)
class Pause:
    """Read stdout no more."""


@dataclass(frozen=True)
class Resume:
    """Read stdout again."""


@dataclass(frozen=True)
class CloseOutput:
    """Close the end of stdout that is ours, for good."""


@dataclass(frozen=True)
class End:
    """Give the worker its end of file."""


@dataclass(frozen=True)
class Exit:
    """Wait until the worker has exited and its stdout is at end of file."""


Step = Send | Taken | Answers | Pause | Resume | CloseOutput | End | Exit
_STEPS = {step.__name__: step for step in (Send, Taken, Answers, Pause, Resume, CloseOutput, End, Exit)}


@dataclass(frozen=True)
class Schedule:
    """What is done to a worker.

    steps        tuple of steps; the last one is Exit
    argument     str, what the worker is given behind its own arguments: "map", "reduce", or one that is neither
    stdout       "pipe", or "full": /dev/full, on which each write fails
    environment  "ours", or "empty"
    breaks       str, the clause that the bytes break on purpose, "" when none: each schedule is checked for that
    """

    steps: tuple[Step, ...]
    argument: str
    stdout: str = "pipe"
    environment: str = "ours"
    breaks: str = ""
    stdin: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        stdin = b"".join(step.data for step in self.steps if isinstance(step, Send))
        object.__setattr__(self, "stdin", stdin)

    def flaw(self) -> str:
        """Why it must not be played: its bytes are not what it says they are, or it does not end; "" when it may be."""
        if not self.steps or self.steps[-1] != Exit():
            return "its last step is not Exit"
        if self.stdout not in ("pipe", "full") or self.environment not in ("ours", "empty"):
            return f"stdout {self.stdout!r} or environment {self.environment!r} is not known"
        fault = answers.fault_of_stdin(self.stdin)
        broken = fault.clause if fault else ""
        if broken != self.breaks:
            found = f"{fault.what} at byte {fault.offset} [{broken}]" if fault else "nothing is wrong"
            return f"it says that its bytes break {self.breaks or 'no clause'}; found: {found}"
        return ""

    def to_json(self) -> str:
        """As JSON text; bytes in base64."""
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init and f.name != "steps"}
        content["steps"] = [_step_to_json(step) for step in self.steps]
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        """The schedule of a JSON text. Raises ValueError where it is not one."""
        try:
            content = json.loads(text)
            content["steps"] = tuple(_step_from_json(step) for step in content["steps"])
            return cls(**content)
        except (KeyError, TypeError, AttributeError) as e:
            raise ValueError(f"not a schedule: {e!r}") from None


def _step_to_json(step: Step) -> list:
    values = [base64.b64encode(v).decode() if isinstance(v, bytes) else v for v in dataclasses.astuple(step)]
    return [type(step).__name__, *values]


def _step_from_json(content: list) -> Step:
    name, *values = content
    return Send(base64.b64decode(values[0], validate=True)) if name == "Send" else _STEPS[name](*values)
