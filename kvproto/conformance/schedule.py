"""A schedule is everything that the kit does to a worker, as data.

A run depends only on its schedule and on the program. `player` plays schedules; JSON keeps them for
`--replay`. The kit's own decoder checks what a schedule sends before a worker gets it.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from kvproto.conformance.answers import Pair, Stdin, pair, pairs_of, parameter_set

__all__ = [
    "SMALL",
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
    "Setting",
    "Step",
    "Taken",
    "ahead",
    "byte_by_byte",
    "lockstep",
    "plain",
    "stdin",
    "twice",
    "until_exit",
]

SMALL: tuple[Pair, ...] = ((b"a", b"1"), (b"b", b"2"), (b"c", b"3"))
"""The input of cases that are not about input."""


class Setting(NamedTuple):
    """What the user says about a worker before the check.

    Attributes
    ----------
    mode : str
        "map" or "reduce".
    params : tuple of (bytes, bytes)
        Names and values of the parameters that the worker needs (`kvproto check -p`).
    """

    mode: str
    params: tuple[Pair, ...] = ()

    def head(self, *more: Pair) -> bytes:
        """Encode the parameter set of a run.

        Parameters
        ----------
        *more : (bytes, bytes)
            More names and values, which override the user's.

        Returns
        -------
        bytes
            The encoded parameter set.
        """
        return parameter_set(
            [*(entry for entry in self.params if entry[0] not in dict(more)), *more]
        )


@dataclass(frozen=True)
class Send:
    """Write `data` (bytes) to stdin, `times` times.

    While stdout is paused, only what fits is written. The rest follows after `Resume`.
    """

    data: bytes
    times: int = 1


@dataclass(frozen=True)
class Taken:
    """Wait until the worker has read everything sent so far, to separate its reads."""


@dataclass(frozen=True)
class Answers:
    """Wait until `n` result lists in all are complete."""

    n: int


@dataclass(frozen=True)
class Rest:
    """Wait until the worker has read everything sent so far and is idle."""


@dataclass(frozen=True)
class Measure:
    """Record the peak memory of the worker so far."""


@dataclass(frozen=True)
class Pause:
    """Stop reading stdout."""


@dataclass(frozen=True)
class Resume:
    """Read stdout again."""


@dataclass(frozen=True)
class CloseOutput:
    """Close the kit's end of stdout for good."""


@dataclass(frozen=True)
class End:
    """Close stdin."""


@dataclass(frozen=True)
class Exit:
    """Wait until the worker has exited and its stdout is at end of file."""


Step = Send | Taken | Answers | Rest | Measure | Pause | Resume | CloseOutput | End | Exit

_PLAIN_STEPS: dict[str, Step] = {
    type(step).__name__: step
    for step in (Taken(), Rest(), Measure(), Pause(), Resume(), CloseOutput(), End(), Exit())
}

_CHOICES = {
    "stdout": ("pipe", "full", "closed"),
    "environment": ("ours", "empty"),
    "witness": ("", "landlock", "strace"),
}


@dataclass(frozen=True)
class Schedule:
    """What the kit does to a worker in one run.

    Attributes
    ----------
    steps : tuple of steps
        Played in order; the last one is `Exit`.
    argument : str
        The worker's last argument: "map", "reduce", or something that is not a mode.
    between : tuple of str
        Arguments between the worker's own and the last one.
    stdout : str
        "pipe"; "full" for /dev/full, where each write fails; "closed" for no stdout at all.
    environment : str
        "ours" or "empty".
    files : tuple of (str, bytes)
        Names and contents of more files in the worker's directory.
    witness : str
        What watches the files that the worker opens: "", "landlock" or "strace".
    turn : int
        Makes equal schedules different, so that each of them is played.
    breaks : str
        The clause that the input breaks on purpose, or "". The kit checks this.
    stdin : bytes
        All input of the run.
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
    def read(self) -> Stdin:
        """`stdin`, decoded as a worker must decode it."""
        return Stdin(self.stdin)

    @property
    def needs_looks(self) -> bool:
        """Whether playing it requires /proc to show what the worker's processes do."""
        return any(isinstance(step, Pause | Rest | Measure) for step in self.steps)

    def flaw(self) -> str:
        """Say why the schedule cannot be played; "" if it can.

        Returns
        -------
        str
            For example, that its bytes break another clause than `breaks` names.
        """
        if not self.steps or self.steps[-1] != Exit():
            return "its last step is not Exit"
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                return f"{name} {getattr(self, name)!r} is not known"
        fault = self.read.fault
        broken = fault.clause if fault else ""
        if broken != self.breaks:
            fact = (
                f"{fault.what} at byte {fault.offset} [{broken}]" if fault else "nothing is wrong"
            )
            return f"it says that its bytes break {self.breaks or 'no clause'}; found: {fact}"
        return ""

    def to_json(self) -> str:
        """Encode the schedule as JSON text, bytes in base64."""
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        content["steps"] = [_step_to_json(step) for step in self.steps]
        content["files"] = [[name, base64.b64encode(data).decode()] for name, data in self.files]
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        """Decode what `to_json` encoded.

        Raises
        ------
        ValueError
            The text is not a schedule.
        """
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


def _step_to_json(step: Step) -> list[str | int]:
    match step:
        case Send(data, times):
            return ["Send", base64.b64encode(data).decode(), times]
        case Answers(n):
            return ["Answers", n]
    return [type(step).__name__]


def _step_from_json(content: list[Any]) -> Step:
    match content:
        case ["Send", str(data), int(times)]:
            return Send(base64.b64decode(data, validate=True), times)
        case ["Answers", int(n)]:
            return Answers(n)
        case [str(name)]:
            return _PLAIN_STEPS[name]
    raise TypeError(f"{content!r} is not a step")


def stdin(setting: Setting, pairs: Iterable[Pair], *params: Pair) -> bytes:
    """Encode the whole input of a worker: the parameters, with `params`, and the pairs."""
    return setting.head(*params) + pairs_of(pairs)


def ahead(
    setting: Setting,
    pairs: Iterable[Pair],
    *params: Pair,
    between: tuple[str, ...] = (),
    stdout: str = "pipe",
    environment: str = "ours",
    witness: str = "",
    turn: int = 1,
) -> Schedule:
    """Make a schedule that sends all input at once and then closes stdin.

    Parameters
    ----------
    setting : Setting
        The mode, and the parameters that the worker needs.
    pairs : iterable of (bytes, bytes)
        The input.
    *params : (bytes, bytes)
        More parameters; they override those of the setting.
    between, stdout, environment, witness, turn
        As for `Schedule`.

    Returns
    -------
    Schedule
    """
    return Schedule(
        (Send(stdin(setting, pairs, *params)), End(), Exit()),
        setting.mode,
        between,
        stdout,
        environment,
        witness=witness,
        turn=turn,
    )


def until_exit(
    setting: Setting, *steps: Step, files: tuple[tuple[str, bytes], ...] = (), breaks: str = ""
) -> Schedule:
    """Make a schedule of these steps, after which stdin is closed and the worker exits."""
    return Schedule((*steps, End(), Exit()), setting.mode, files=files, breaks=breaks)


def lockstep(setting: Setting, pairs: Iterable[Pair]) -> Schedule:
    """Make a schedule that sends each pair after the previous one has been answered.

    Parameters
    ----------
    setting : Setting
        The mode, and the parameters that the worker needs.
    pairs : iterable of (bytes, bytes)
        The input.

    Returns
    -------
    Schedule
    """
    steps: list[Step] = [Send(setting.head()), Taken()]
    for n, one in enumerate(pairs, 1):
        steps += [Send(pair(*one)), Answers(n)]
    return until_exit(setting, *steps)


def plain(setting: Setting) -> list[Schedule]:
    """Make two schedules for cases that are not about input: one pair, and all of SMALL."""
    return [ahead(setting, SMALL[:n]) for n in (1, len(SMALL))]


def twice(setting: Setting, pairs: Iterable[Pair] = SMALL) -> list[Schedule]:
    """Make two schedules that are equal but are both played."""
    return [ahead(setting, pairs, turn=turn) for turn in (1, 2)]


def byte_by_byte(data: bytes, setting: Setting, first: int = 1) -> Schedule:
    """Send the first `first` bytes at once, and then each byte when the one before it is read."""
    pieces = [data[:first], *(bytes([byte]) for byte in data[first:])]
    steps = [step for piece in pieces for step in (Send(piece), Taken())]
    return until_exit(setting, *steps)
