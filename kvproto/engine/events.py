"""Events report what a job does, to its `on_event` function and in `events.jsonl`.

`KINDS` lists them. As JSON, and for `on_event`, an event is a dict: "time" (seconds since the
epoch), "event" (the name of its kind), and its fields. Passwords in URLs are removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeAlias

from kvproto._text import printable, shortened, without_passwords

__all__ = [
    "KINDS",
    "MAX_EVENT",
    "MAX_MESSAGES",
    "MAX_PARTS",
    "Counted",
    "Done",
    "Event",
    "Failed",
    "JobStarted",
    "Message",
    "Note",
    "OnEvent",
    "Progress",
    "Read",
    "Resumed",
    "Retry",
    "SetAside",
    "StageStarted",
    "Status",
    "TaskEnded",
    "as_dict",
    "read_event",
]

MAX_EVENT = 1 << 26
"""The most bytes that the line of an event may have: 64 MiB."""

MAX_MESSAGES = 1 << 20
"""The most bytes of messages that a task sends to the driver, and characters of a text: 1 MiB."""

MAX_PARTS = 64
"""The most numbers in `TaskEnded.parts`."""


# --- the kinds ---------------------------------------------------------------------------------
# The base class has the methods, because `dataclass` compiles those that it makes at import.


@dataclass(eq=False, repr=False)
class Event:  # noqa: PLW1641 (nobody hashes events)
    """An event; `name` is the name of its kind in JSON."""

    name: ClassVar[str]

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(**{vars(self)})"


@dataclass(eq=False, repr=False)
class JobStarted(Event):
    """The job begins: how many inputs, their known bytes, and the machine of its driver.

    `engine` is the address of its engine; "" if it runs here, or on the caller's own executor.
    `parameters`, `versions` and `programs` describe the job for a person.
    """

    name = "job"
    job: str
    inputs: int
    bytes: int
    machine: str = ""
    engine: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class Resumed(Event):
    """Another driver resumes the job.

    `skipped` has the tasks that do not run again, such as "map:0-7"; `seconds` is how long the job
    has run so far; `machine` and `engine` are those of the new driver.
    """

    name = "resumed"
    skipped: list[str]
    seconds: float
    machine: str = ""
    engine: str = ""


@dataclass(eq=False, repr=False)
class StageStarted(Event):
    """A stage begins: how many tasks and bytes of input it has (0: unknown).

    `sorted_records`: how many records its tasks sort first, if they do; then "bytes" of `Progress`
    go into the sort, and "records" are those that came out of it.
    """

    name = "stage"
    stage: str
    tasks: int
    bytes: int
    sorted_records: int = 0


@dataclass(eq=False, repr=False)
class Progress(Event):
    """How far a stage is: the tasks done, all tasks, and the bytes and entries read."""

    name = "progress"
    stage: str
    done: int
    total: int
    bytes: int
    records: int


@dataclass(eq=False, repr=False)
class Message(Event):
    """A line that a job function printed, or a worker wrote to stderr (STDERR has the kinds)."""

    name = "message"
    stage: str
    task: int
    text: str
    kind: str = "MSG"


@dataclass(eq=False, repr=False)
class Status(Event):
    """How many entries a task has read, once for each `status_interval` entries."""

    name = "status"
    stage: str
    task: int
    text: str


@dataclass(eq=False, repr=False)
class Note(Event):
    """A message about the whole job, such as which files of a directory are skipped."""

    name = "note"
    text: str


@dataclass(eq=False, repr=False)
class Retry(Event):
    """Attempt number `attempt` failed, and another one follows. Messages have its stderr."""

    name = "retry"
    stage: str
    task: int
    attempt: int
    text: str


@dataclass(eq=False, repr=False)
class TaskEnded(Event):
    """Attempt number `attempt`, from 0, of a task has ended.

    Attributes
    ----------
    outcome : str
        "done", "failed" (with an error), "lost" (with its process) or "cancelled" (the driver ended
        it). Of the last two, only the times are known, and here the host and the pid.
    start, end : float
        Seconds since the epoch.
    host, pid
        Of the task process.
    user, system : float
        Seconds of CPU, of the task process and its programs.
    memory : int
        The most bytes that the task process had, without its programs; 0: unknown.
    bytes, records : int
        What it read.
    bytes_out, records_out : int
        What it wrote, if it is done.
    parts : list of int
        The bytes that a map wrote for each partition; if there are more than MAX_PARTS, for each
        group of as many partitions, the last of which may be smaller.
    program_cpu, program_memory : float, int
        Of its programs: seconds of CPU, and the most bytes that one of them had.
    computing, waiting_for_input, waiting_for_output : float
        What its programs did, in seconds (see `kvproto.driver.load.Load`).
    """

    name = "task"
    stage: str
    task: int
    attempt: int
    outcome: str
    start: float
    end: float
    host: str = ""
    pid: int = 0
    user: float = 0.0
    system: float = 0.0
    memory: int = 0
    bytes: int = 0
    records: int = 0
    bytes_out: int = 0
    records_out: int = 0
    parts: list[int] = field(default_factory=list)
    program_cpu: float = 0.0
    program_memory: int = 0
    computing: float = 0.0
    waiting_for_input: float = 0.0
    waiting_for_output: float = 0.0


@dataclass(eq=False, repr=False)
class SetAside(Event):
    """So many bad records, and inputs that cannot be read, are set aside until now."""

    name = "set_aside"
    records: int
    inputs: int


@dataclass(eq=False, repr=False)
class Counted(Event):
    """The counters of the job at its end, of the attempts that succeeded; none: no event."""

    name = "counters"
    counters: dict[str, int]


@dataclass(eq=False, repr=False)
class Done(Event):
    """The job `job` is complete: the paths of its results, or its tag."""

    name = "done"
    results: list[str]
    seconds: float
    job: str = ""


@dataclass(eq=False, repr=False)
class Failed(Event):
    """The job failed: `text` is the whole error.

    If a worker's stderr is in it, `brief` is the error without that. `details` has its parts, as
    far as there are any: "kind" (the class of the error), "task" as "map:17", and of a worker
    "program", "what", "number" and "record" (the pair at which it fails), "replay" (what playing it
    again has shown), "hexdump" (of its output), "stderr" (its last lines), "core" and "advice".
    """

    name = "failed"
    text: str
    seconds: float
    brief: str = ""
    details: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class Read(Event):
    """What a task has read since its last `Read`. The file has `Progress`, the sum, instead."""

    name = "read"
    stage: str
    task: int
    bytes: int
    records: int


OnEvent: TypeAlias = Callable[[Event], None]

KINDS: dict[str, type[Event]] = {
    kind.name: kind
    for kind in (
        *(JobStarted, Resumed, StageStarted, Progress),
        *(Message, Status, Note, Retry, TaskEnded, SetAside, Counted, Done, Failed),
    )
}
"""The kinds in `events.jsonl`, by name."""


# --- as JSON -----------------------------------------------------------------------------------

_LAST_TIME = 253_402_300_799  # the end of the year 9999
_MAX_NUMBER = 1 << 63
_TYPES: dict[str, tuple[type | tuple[type, ...], type | None]] = {
    "str": (str, None),
    "int": (int, None),
    "float": ((int, float), None),
    "list[str]": (list, str),
    "list[int]": (list, int),
    "dict[str, int]": (dict, int),
    "dict[str, str]": (dict, str),
}
"""The type of a field in JSON, and that of its elements."""

_FIELDS = {
    kind.name: [
        (part.name, _TYPES[str(part.type)], part.default is part.default_factory is MISSING)
        for part in fields(kind)
    ]
    for kind in KINDS.values()
}
"""The fields of each kind: the name, the types, and whether events have always had it."""


def as_dict(event: Event, now: float) -> dict[str, Any]:
    """Make the dict of an event: without passwords, and with a long text shortened."""
    as_json = {"time": now, "event": event.name, **vars(event)}
    for name in as_json.keys() & {"text", "brief"}:
        as_json[name] = without_passwords(shortened(as_json[name], MAX_MESSAGES))
    return as_json


def read_event(line: bytes) -> dict[str, Any]:
    """Parse a line of `events.jsonl`; ValueError for a damaged one. Its kind may be unknown."""
    try:
        event = json.loads(line)
    except RecursionError as e:
        raise ValueError("its brackets are nested too deeply") from e
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise ValueError(f"{line!r:.200} is not an event")
    if not _is(event.get("time"), (int, float)) or not 0 <= event["time"] <= _LAST_TIME:
        raise ValueError(f"{line!r:.200} is an event without a time")
    for name, types, is_required in _FIELDS.get(event["event"], ()):
        if (is_required or name in event) and not _fits(event.get(name), *types):
            raise ValueError(f"{line!r:.200} is an event without its {name!r}")
    if event["event"] == Done.name and not all(map(_is_printable, event["results"])):
        raise ValueError(f"{line!r:.200} is an event whose results are not paths")
    return event


def _fits(value: object, types: type | tuple[type, ...], of_elements: type | None) -> bool:
    if not _is(value, types):
        return False
    if not isinstance(value, (dict, list)):
        return True
    elements = value.values() if isinstance(value, dict) else value
    return all(type(element) is of_elements for element in elements)


def _is_printable(url: str) -> bool:
    """Whether a result can have this path or URL: no control characters, no stray surrogates."""
    return printable(url) == url and not re.search("[\ud800-\udc7f\udd00-\udfff]", url)


def _is(value: object, types: type | tuple[type, ...]) -> bool:
    if isinstance(value, (int, float)):
        is_number = isinstance(value, types) and not isinstance(value, bool)
        return is_number and 0 <= value <= _MAX_NUMBER
    return isinstance(value, types)
