"""What a job function can ask about its task, and out-of-band values.

Job functions find these names without an import. Outside of a task they raise JobError.
"""

from __future__ import annotations

from typing import Any

from kvproto.classic import disco_names
from kvproto.engine.context import current

__all__ = [
    "NAMES",
    "count",
    "get",
    "put",
    "this_host",
    "this_inputs",
    "this_master",
    "this_name",
    "this_partition",
]


def put(key: str, value: bytes | str) -> None:
    """Keep an out-of-band value, for `get` and `Job.oob_get`, when this task succeeds.

    Parameters
    ----------
    key : str
        At most 256 letters, digits and ``_ - : @``. Of several values, the last one counts.
    value : bytes or str
    """
    current().put(key, value)


def count(name: str, n: int = 1) -> None:
    """Add to a counter of the job; `Job.counters` has the sums of the tasks that succeeded.

    Parameters
    ----------
    name : str
        1 to 128 letters, digits and ``_ . : -``. A job can have 1,000 counters.
    n : int
        What to add; it may be negative, and fits in 64 bits.
    """
    current().counters.count(name, n)


def get(key: str, job: str | None = None) -> bytes | str:
    """Return the value of a key from this task, an earlier stage, or another job.

    Parameters
    ----------
    key : str
    job : str, optional
        The full name of another job.

    Raises
    ------
    JobError
        If there is no such value.
    """
    return current().get(key, job)


def this_name() -> str:
    """Return the full name of the job."""
    return current().job


def this_host() -> str:
    """Return the name of the machine that runs the task."""
    return current().host


def this_master() -> str:
    """Return "host:port" of a master: this machine and port 0, because there is no server."""
    return f"{current().host}:0"


def this_inputs() -> list[str]:
    """Return the urls of the inputs of the task.

    In a map the list has one url. In a reduce after a map it has the paths of the maps' outputs.
    """
    return list(current().inputs)


def this_partition() -> int:
    """Return the number of the map task, or the partition of the reduce task; both count from 0."""
    return current().number


NAMES = {
    function.__name__: function
    for function in (
        count,
        get,
        put,
        this_host,
        this_inputs,
        this_master,
        this_name,
        this_partition,
    )
}
"""Free name -> function, for job functions."""


def free_names() -> dict[str, Any]:
    """Return the names that job functions use without an import: name -> object."""
    if not disco_names.is_installed():
        return NAMES
    from kvproto.classic.disco_names import jobs  # noqa: PLC0415 (it loads subprocess)

    return {**NAMES, **jobs.free_names()}
