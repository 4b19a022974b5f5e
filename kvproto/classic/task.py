"""What a job function may ask of the task that it runs in, and out-of-band values.

Job functions find these names without importing them (`kvproto.engine.context`). Outside of a task they raise JobError.
"""

from __future__ import annotations

from kvproto.engine.context import current

__all__ = [
    "NAMES",
    "get",
    "put",
    "this_host",
    "this_inputs",
    "this_master",
    "this_name",
    "this_partition",
]


def put(key: str, value: bytes | str) -> None:
    """Keep a value beside the results: for `get` in later tasks, and for `Job.oob_get`, once this task has succeeded.

    key    str of letters, digits, `_ - : @`, at most 256; once in a job: the last one counts
    value  bytes or str
    """
    current().put(key, value)


def get(key: str, job: str | None = None) -> bytes | str:
    """The value that was put under `key`: in this task, in a task of an earlier stage, or in another job of that name.

    Raises JobError when there is none.
    """
    return current().get(key, job)


def this_name() -> str:
    """The name of the job that runs."""
    return current().job


def this_host() -> str:
    """The name of the machine that runs the task."""
    return current().host


def this_master() -> str:
    """ "host:port" of the master: this machine, port 0, as there is no server here."""
    return f"{current().host}:0"


def this_inputs() -> list[str]:
    """In a map the url that is being read, alone in the list; in a reduce those of all its inputs, after a map the paths of what the maps wrote."""
    return list(current().inputs)


def this_partition() -> int:
    """In a map the number of the task, in a reduce that of its partition; both count from 0."""
    return current().number


NAMES = {name: globals()[name] for name in __all__ if name != "NAMES"}
"""Free name -> function, for job functions."""
