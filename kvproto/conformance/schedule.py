"""A schedule: all that the kit does to a worker, as data.

Promises: a schedule says everything that a run depends on but the program itself; it goes to JSON and comes back
the same, for `--replay`. Refuses to know how it is played.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from dataclasses import dataclass, field
from functools import cached_property

from kvproto.conformance import answers

__all__ = [
    "Answers",
    "CloseOutput",
    "End",
    "Exit",
    "Measure",
    "Pause",
    "Rest",
    "Resume",
    "Schedule",
    "Send",
    "Step",
    "Taken",
]


@dataclass(frozen=True)
class Send:
    """Write these bytes to stdin, `times` times. While stdout is not read: as many as fit, the rest when it is again."""

    data: bytes
    times: int = 1


@dataclass(frozen=True)
class Taken:
    """Wait until the worker has read all that was sent, so that it cannot get more in the same read."""


@dataclass(frozen=True)
class Answers:
    """Wait until `n` result lists are complete in all."""

    n: int


@dataclass(frozen=True)
class Rest:
    """Wait until the worker has read all that was sent and does nothing more with it."""


@dataclass(frozen=True)
class Measure:
    """Note how much memory the worker has had at most."""


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


Step = Send | Taken | Answers | Rest | Measure | Pause | Resume | CloseOutput | End | Exit
_STEPS = {step.__name__: step for step in Step.__args__}

_CHOICES = {
    "stdout": ("pipe", "full", "closed"),
    "environment": ("ours", "empty"),
    "witness": ("", "landlock", "strace"),
}


@dataclass(frozen=True)
class Schedule:
    """What is done to a worker.

    steps        tuple of steps; the last one is Exit
    argument     str, what the worker is given behind its own arguments: "map", "reduce", or one that is neither
    between      tuple of str, given before that, behind the worker's own
    stdout       "pipe"; "full": /dev/full, on which each write fails; "closed": not open at all
    environment  "ours", or "empty"
    files        tuple of (name, contents), put beside the worker and its supporting files
    witness      "", or who watches what files it opens: "landlock", "strace"
    turn         int, tells one run from another of the same kind: each is played once
    breaks       str, the clause that the bytes break on purpose, "" when none: each schedule is checked for that
    """

    steps: tuple[Step, ...]
    argument: str
    between: tuple[str, ...] = ()
    stdout: str = "pipe"
    environment: str = "ours"
    files: tuple[tuple[str, bytes], ...] = ()
    witness: str = ""
    turn: int = 1
    breaks: str = ""
    stdin: bytes = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        stdin = b"".join(step.data * step.times for step in self.steps if isinstance(step, Send))
        object.__setattr__(self, "stdin", stdin)

    @cached_property
    def read(self) -> answers.Stdin:
        """Its bytes, as a worker is to read them."""
        return answers.Stdin(self.stdin)

    @property
    def needs_looks(self) -> bool:
        """Whether it cannot be played without seeing what the processes of the worker do."""
        return any(isinstance(step, Pause | Rest | Measure) for step in self.steps)

    def flaw(self) -> str:
        """Why it must not be played: its bytes are not what it says they are, or it does not end; "" when it may be."""
        if not self.steps or self.steps[-1] != Exit():
            return "its last step is not Exit"
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                return f"{name} {getattr(self, name)!r} is not known"
        fault = self.read.fault
        broken = fault.clause if fault else ""
        if broken != self.breaks:
            found = (
                f"{fault.what} at byte {fault.offset} [{broken}]" if fault else "nothing is wrong"
            )
            return f"it says that its bytes break {self.breaks or 'no clause'}; found: {found}"
        return ""

    def to_json(self) -> str:
        """As JSON text; bytes in base64."""
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        content["steps"] = [_step_to_json(step) for step in self.steps]
        content["files"] = [[name, base64.b64encode(data).decode()] for name, data in self.files]
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        """The schedule of a JSON text. Raises ValueError where it is not one."""
        try:
            content = json.loads(text)
            content["steps"] = tuple(_step_from_json(step) for step in content["steps"])
            content["files"] = tuple(
                (name, base64.b64decode(data, validate=True)) for name, data in content["files"]
            )
            content["between"] = tuple(content["between"])
            if not all(
                isinstance(word, str) for word in (content["argument"], *content["between"])
            ):
                raise TypeError("an argument is not text")
            return cls(**content)
        except (KeyError, TypeError, AttributeError) as e:
            raise ValueError(f"not a schedule: {e!r}") from None


def _step_to_json(step: Step) -> list:
    values = [
        base64.b64encode(v).decode() if isinstance(v, bytes) else v
        for v in dataclasses.astuple(step)
    ]
    return [type(step).__name__, *values]


def _step_from_json(content: list) -> Step:
    name, *values = content
    if name == "Answers" and not isinstance(values[0], int):
        raise TypeError(f"{values[0]!r} is not a number of answers")
    return (
        Send(base64.b64decode(values[0], validate=True), *values[1:])
        if name == "Send"
        else _STEPS[name](*values)
    )
